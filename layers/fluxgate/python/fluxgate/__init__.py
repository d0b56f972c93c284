"""fluxgate: a self-hosted gateway for Flux image generation."""

__version__ = "1.0.0"
