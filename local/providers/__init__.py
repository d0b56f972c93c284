"""Simulated providers, one package each, and the HTTP listener that they share."""
