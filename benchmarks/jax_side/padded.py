"""The whole run with padded sizes and biases inside the weights. What is too much is 0 and stays 0."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from benchmarks.case import inputs_of
from benchmarks.jax_side.by_hand import Layout, prepared
from benchmarks.jax_side.problems import Setup
from benchmarks.padding import EXAMPLES, Sizes, sizes_of
from benchmarks.prepared import Prepared
from jaxnet.arrays import Batch
from jaxnet.problem import Feed, stack_feeds


def padded(setup: Setup) -> Prepared:
    """The run of the MLP or the MNIST classifier; of several seeds' classifiers too."""
    sizes = sizes_of(setup.states[0].parameters, setup.case.batch_size)
    layout = Layout(sizes.carried, sizes.arrays, functools.partial(loss_of, sizes))
    feed = stack_feeds(setup.feeds) if len(setup.feeds) > 1 else setup.feeds[0]
    return prepared(setup, layout, filled_up(sizes, feed))


def filled_up(sizes: Sizes, feed: Feed) -> Feed:
    """The data with a 1 behind each example's numbers, and examples of nothing but 0 to fill a batch up."""
    name = inputs_of(feed.data)
    count, inputs = feed.data[name].shape
    filling = 1 if feed.rows is not None else -count % EXAMPLES
    data = {key: jnp.pad(array, [(0, filling), *[(0, 0)] * (array.ndim - 1)]) for key, array in feed.data.items()}
    data[name] = jnp.pad(data[name], ((0, 0), (0, sizes.width - inputs))).at[:count, inputs].set(1)
    if feed.rows is None:
        return Feed(data)
    missing = -feed.rows.shape[-1] % EXAMPLES
    fill = [(0, 0)] * (feed.rows.ndim - 1) + [(0, missing)]
    return Feed(data, jnp.pad(feed.rows, fill, constant_values=count))


def loss_of(sizes: Sizes, carried: dict[str, jax.Array], batch: Batch) -> jax.Array:
    """The loss of a padded batch."""
    x = batch[inputs_of(batch)]
    # The 1 behind an example's numbers; 0 behind those that fill the batch up.
    counts = x[:, sizes.layers[0].inputs]
    for layer in sizes.layers[:-1]:
        z = x @ carried[layer.name]
        x = jnp.where(jnp.arange(z.shape[1]) == layer.outputs, 1, jax.nn.relu(z))
    last = sizes.layers[-1]
    z = x @ carried[last.name]
    if "labels" not in batch:
        return jnp.sum(counts[:, None] * (z[:, : last.outputs] - batch["target"]) ** 2)
    columns = jnp.arange(z.shape[1])
    z = jnp.where(columns < last.outputs, z, -jnp.inf)
    # Not indexed by the labels: the gradient of that would be a scatter, a kernel of its own.
    picked = jnp.sum(jnp.where(columns == batch["labels"][:, None], z, 0), axis=1)
    return jnp.sum(counts * (jax.nn.logsumexp(z, axis=1) - picked)) / sizes.examples
