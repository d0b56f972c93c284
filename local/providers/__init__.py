"""Simulated providers, one package each."""
