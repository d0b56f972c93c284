"""Flux providers: the port, the registry and one module per provider."""
