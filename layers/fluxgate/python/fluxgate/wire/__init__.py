"""Models of what clients send and receive."""
