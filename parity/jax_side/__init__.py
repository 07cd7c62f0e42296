"""The JAX half of the engine: the only folder of `parity` that imports JAX, Flax and Optax."""
