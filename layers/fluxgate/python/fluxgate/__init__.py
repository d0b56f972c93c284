"""fluxgate: image generation with Flux models, in your own AWS account."""

import gc

# While a function starts, all that is made is there to stay: Python's default, which looks through it for garbage some
# hundred times, takes a tenth of a cold start. `wiring.prepare` ends this.
gc.set_threshold(500_000)
