"""The torchvision ResNet-18, and a port to Flax."""

from parity import Pair, random_batches

TORCH, JAX = "parity_tests.ports.resnet18.in_torch", "parity_tests.ports.resnet18.in_jax"

pair = Pair(
    torch=dict(model=f"{TORCH}:Net", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:Net", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(images=(8, 3, 64, 64), labels=(8,), classes=10, steps=3),
)
