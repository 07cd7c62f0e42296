"""The whole run with every size of a product a multiple of what the matrix units take, and biases inside the weights.

A bias is the last row of its weight, for an input that is always 1. So an update has half as many arrays, nothing is
summed apart for a bias, and nothing is padded anew in every step.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.jax_side.by_hand import Layout, prepared
from benchmarks.jax_side.problems import Setup
from benchmarks.prepared import Prepared
from jaxnet.arrays import Arrays, Batch
from jaxnet.problem import Feed

UNITS = 16
"""A layer is a multiple of so many units wide, 64 bytes in float32; TF32's products want a multiple of 16 bytes.
Source: NVIDIA, Matrix Multiplication Background User's Guide."""
EXAMPLES = 128
"""And a batch of so many examples: the product that gives a weight's gradient sums over them in pieces of one size."""


def padded(setup: Setup) -> Prepared:
    """The run of the MLP or the MNIST classifier. What is too much of a layer or batch is 0 and stays 0."""
    shapes = {name: array.shape for name, array in setup.states[0].parameters.items()}
    layers = {name.partition(".")[0]: shape for name, shape in shapes.items() if name.endswith(".weight")}
    sizes = Sizes(tuple((name, inputs, outputs) for name, (outputs, inputs) in layers.items()), setup.case.batch_size)
    return prepared(setup, Layout(sizes.carried, sizes.arrays, sizes.loss), sizes.feed(setup.feeds[0]))


class Sizes(NamedTuple):
    """The sizes of a net of linear layers, and how its parameters and data are padded.

    Attributes:
        layers: of each layer, first to last, its name, inputs and outputs.
        examples: how many a batch has. Where it is the whole data, what the data has counts.
    """

    layers: tuple[tuple[str, int, int], ...]
    examples: int

    def carried(self, arrays: Arrays) -> Arrays:
        """A matrix for each layer: the weight, (inputs, outputs), below it the bias, around both 0."""
        found = {}
        for name, inputs, outputs in self.layers:
            # Of a hidden layer's units, one is always 1. It is no output of the matrix: the activation sets it.
            width = outputs if name == self.layers[-1][0] else outputs + 1
            matrix = np.zeros((multiple(inputs + 1, UNITS), multiple(width, UNITS)), arrays[f"{name}.weight"].dtype)
            matrix[:inputs, :outputs] = arrays[f"{name}.weight"].T
            matrix[inputs, :outputs] = arrays[f"{name}.bias"]
            found[name] = matrix
        return found

    def arrays(self, carried: Arrays) -> Arrays:
        """What `carried` was given."""
        found = {}
        for name, inputs, outputs in self.layers:
            found[f"{name}.weight"] = np.ascontiguousarray(carried[name][:inputs, :outputs].T)
            found[f"{name}.bias"] = carried[name][inputs, :outputs].copy()
        return found

    def feed(self, feed: Feed) -> Feed:
        """The data with a 1 behind each example's numbers, and examples of nothing but 0 to fill a batch up."""
        inputs = self.layers[0][1]
        name = "images" if "labels" in feed.data else "x"
        count = len(feed.data[name])
        filling = 1 if feed.rows is not None else -count % EXAMPLES
        data = {key: jnp.pad(array, [(0, filling), *[(0, 0)] * (array.ndim - 1)]) for key, array in feed.data.items()}
        x = jnp.pad(data[name], ((0, 0), (0, multiple(inputs + 1, UNITS) - inputs)))
        data[name] = x.at[:count, inputs].set(1)
        if feed.rows is None:
            return Feed(data)
        missing = -feed.rows.shape[1] % EXAMPLES
        return Feed(data, jnp.pad(feed.rows, ((0, 0), (0, missing)), constant_values=count))

    def loss(self, carried: dict[str, jax.Array], batch: Batch) -> jax.Array:
        """The loss of a padded batch."""
        x = batch["images"] if "labels" in batch else batch["x"]
        # The 1 behind an example's numbers; 0 behind those that fill the batch up.
        counts = x[:, self.layers[0][1], None]
        for name, _, outputs in self.layers[:-1]:
            z = x @ carried[name]
            x = jnp.where(columns(z) == outputs, 1, jax.nn.relu(z))
        last, _, outputs = self.layers[-1]
        z = x @ carried[last]
        if "labels" not in batch:
            return jnp.sum(counts * (z[:, :outputs] - batch["target"]) ** 2)
        z = jnp.where(columns(z) < outputs, z, -jnp.inf)
        # Not indexed by the labels: the gradient of that would be a scatter, a kernel of its own.
        picked = jnp.sum(jnp.where(columns(z) == batch["labels"][:, None], z, 0), axis=1)
        return jnp.sum(counts[:, 0] * (jax.nn.logsumexp(z, axis=1) - picked)) / self.examples


def columns(of: jax.Array) -> jax.Array:
    """The number of the column at every place of a matrix."""
    return jax.lax.broadcasted_iota(jnp.int32, of.shape, 1)


def multiple(size: int, unit: int) -> int:
    """The size, or the next larger multiple of the unit."""
    return size + -size % unit
