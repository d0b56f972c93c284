"""Verifies fluxgate's guarantees: runs many tasks through the local stack while injecting faults."""
