"""A sequence classifier with a GRU, and its port with torch's two biases."""

from parity import Pair, random_batches, whole

TORCH, JAX = "parity_tests.ports.recurrent.in_torch", "parity_tests.ports.recurrent.in_jax"

pair = Pair(
    torch=dict(model=f"{TORCH}:gru", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:gru", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(tokens=whole(20, 6, 9), labels=whole(4, 6), steps=20),
)
