"""Proves fluxgate's promises: many tasks through the local stack, everything going wrong, and a count at the end."""
