"""From a request to an attempt at the provider."""
