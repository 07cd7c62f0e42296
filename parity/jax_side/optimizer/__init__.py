"""torch's optimizers, schedulers and clipping in Optax, and the state of any Optax optimizer."""
