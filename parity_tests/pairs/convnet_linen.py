"""The convolutional net beside its port to Flax Linen, which is told the mode and names its layers by their path."""

from parity import Pair, random_batches

TORCH, JAX = "parity_tests.ports.convnet.in_torch", "parity_tests.ports.convnet.in_linen"

pair = Pair(
    torch=dict(model=f"{TORCH}:Net", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:Net", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(images=(8, 1, 28, 28), labels=(8,), classes=10, steps=20),
    weight_map={"fc1.weight": "Dense_0.kernel: flatten 16 7 7"},
)
