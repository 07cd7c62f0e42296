"""The whole run with an example in each column: what a layer gives is (units, examples), a weight (outputs, inputs).

On a CPU, XLA's products are faster so: the long axis is the last one, and no weight's gradient needs a transposition.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.case import inputs_of, layers_of
from benchmarks.jax_side.by_hand import Layout, prepared
from benchmarks.jax_side.problems import Setup
from benchmarks.prepared import Prepared
from jaxnet.arrays import Batch


def turned(setup: Setup) -> Prepared:
    """The run of the MLP or the MNIST classifier. Arrays are carried as the state has them, which is torch's way."""
    return prepared(setup, Layout(dict, dict, loss_of), setup.feeds[0])


def loss_of(parameters: dict[str, jax.Array], batch: Batch) -> jax.Array:
    """The loss of a batch, whose examples become columns."""
    x = batch[inputs_of(batch)].T
    layers = layers_of(parameters)
    for layer in layers:
        x = parameters[f"{layer}.weight"] @ x + parameters[f"{layer}.bias"][:, None]
        x = jax.nn.relu(x) if layer != layers[-1] else x
    if "labels" not in batch:
        return jnp.sum((x.T - batch["target"]) ** 2)
    picked = jnp.sum(jnp.where(jnp.arange(len(x))[:, None] == batch["labels"], x, 0), axis=0)
    return jnp.mean(jax.nn.logsumexp(x, axis=0) - picked)
