"""Repairs of tasks whose next step was lost."""
