"""A small GPT with tied embeddings, packed causal attention and dropout, and its port."""

from parity import Pair, random_batches, whole

TORCH, JAX = "parity_tests.ports.gpt.in_torch", "parity_tests.ports.gpt.in_jax"

pair = Pair(
    torch=dict(model=f"{TORCH}:Net", loss=f"{TORCH}:loss", optimizer=f"{TORCH}:optimizer"),
    jax=dict(model=f"{JAX}:Net", loss=f"{JAX}:loss", optimizer=f"{JAX}:optimizer"),
    batches=random_batches(tokens=whole(65, 4, 16), targets=whole(65, 4, 16), steps=20),
)
