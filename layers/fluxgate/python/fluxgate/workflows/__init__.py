"""One module per function: its effects in order."""
