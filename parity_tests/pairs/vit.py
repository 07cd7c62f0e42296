"""The torchvision vision transformer, small, and a port to Flax with its own attention."""

from parity import Pair, random_batches

TORCH, JAX = "parity_tests.ports.vit.in_torch", "parity_tests.ports.vit.in_jax"

pair = Pair(
    torch=dict(model=f"{TORCH}:Net", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:Net", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(images=(4, 3, 32, 32), labels=(4,), classes=10, steps=20),
)
