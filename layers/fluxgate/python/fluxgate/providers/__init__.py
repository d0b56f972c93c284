"""The port to a provider, and one module per provider."""
