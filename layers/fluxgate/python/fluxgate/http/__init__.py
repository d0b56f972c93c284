"""Outbound HTTP: deadlines, limits and address checks."""
