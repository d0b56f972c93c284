"""One module per function, each a paragraph of effects in their order."""
