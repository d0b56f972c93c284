"""The stack on a laptop: template.yaml deployed into moto, the real handlers in processes, simulated providers."""
