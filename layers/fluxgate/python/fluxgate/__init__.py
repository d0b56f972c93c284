"""fluxgate: image generation with Flux models, in your own AWS account."""
