"""A step of the MNIST classifier in three kernels, written in Pallas: the first layer, the rest of the net there and
back, and the update of all weights. Between them lie two tables, an example in each row: what goes into every layer,
and the loss's gradient of what comes out.

Parameters and both of Adam's means are each one matrix, as `benchmarks.kernels` has it. Arrays that a kernel is given
whole, it reads and writes by index; what comes back in the place of what was given is the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from benchmarks.case import BETAS, EPSILON
from benchmarks.kernels import COLUMNS, EDGE, Stack, Tile

Ref = Any
"""Memory of the GPU that a kernel reads and writes by index."""


class Plan(NamedTuple):
    """What kernels are compiled for: which net, and whether factors are rounded.

    Interpreted, they run without a GPU, one thread to a program.
    """

    stack: Stack
    tf32: bool
    interpret: bool = False

    def dot(self, left: jax.Array, right: jax.Array) -> jax.Array:
        """A product, its factors rounded or not."""
        precision = jax.lax.DotAlgorithmPreset.TF32_TF32_F32 if self.tf32 else jax.lax.Precision.HIGHEST
        return jnp.dot(left, right, precision=precision, preferred_element_type=left.dtype)

    def meet(self) -> None:
        """Wait until all threads of the program are here: what one of them wrote, the others read."""
        if not self.interpret:
            plgpu.debug_barrier()


def indices(count: int) -> jax.Array:
    """0 to `count`, in the 32 bits that programs are numbered in, whatever JAX's own integers have."""
    return jnp.arange(count, dtype="int32")


def product(
    plan: Plan, like: Ref, shape: tuple[int, int], pieces: int, factors: Callable[[Any], tuple[jax.Array, jax.Array]]
) -> jax.Array:
    """Products of this shape, in the dtype of `like`, summed over pieces. `factors` gives the two of a piece."""

    def add(piece: Any, z: jax.Array) -> jax.Array:
        return z + plan.dot(*factors(piece.astype("int32")))

    total: jax.Array = jax.lax.fori_loop(0, pieces, add, jnp.zeros(shape, like.dtype))
    return total


def first_layer(
    plan: Plan, tile: Tile, start: Ref, ahead: Ref, images: Ref, rows: Ref, weights: Ref, inputs: Ref
) -> None:
    """E examples and N units of the first layer, and a copy of the examples on the way."""
    first, column, columns = plan.stack.first, pl.program_id(1), pl.num_programs(1)
    here = pl.ds(pl.program_id(0) * tile.examples, tile.examples)
    row = rows[start[()] + ahead[()], here]

    def factors(piece: Any) -> tuple[jax.Array, jax.Array]:
        k = pl.ds(piece * tile.inputs, tile.inputs)
        x = images[row[:, None], (piece * tile.inputs + indices(tile.inputs))[None, :]]
        # Each of the programs with these examples writes its share of them.
        mine = piece % columns == column
        plgpu.store(inputs.at[here, k], x, mask=jnp.broadcast_to(mine, x.shape))
        return x, weights[k, pl.ds(column * tile.units, tile.units)]

    z = product(plan, weights, (tile.examples, tile.units), first // tile.inputs, factors)
    n = column * tile.units + indices(tile.units)
    inputs[here, pl.ds(first + column * tile.units, tile.units)] = hidden(z, n, plan.stack.units)


def hidden(z: jax.Array, n: jax.Array, units: int) -> jax.Array:
    """What the next layer takes: ReLU, and a 1 for its bias behind the last unit."""
    return jnp.where((n == units)[None, :], 1, jnp.maximum(z, 0))


def there_and_back(
    plan: Plan, tile: Tile, start: Ref, ahead: Ref, labels: Ref, rows: Ref, weights: Ref, _: Ref, __: Ref,
    inputs: Ref, gradients: Ref, losses: Ref,
) -> None:  # fmt: skip
    """Second and third layer of E examples, their losses, and the gradients of what comes out of each layer."""
    stack, step = plan.stack, start[()] + ahead[()]
    here = pl.ds(pl.program_id(0) * tile.examples, tile.examples)
    there = pl.program_id(0) * tile.examples + indices(tile.examples) < stack.sizes.examples
    second, third = stack.first, stack.first + COLUMNS
    n, unit = indices(COLUMNS), (indices(COLUMNS) < stack.units)[None, :]

    def onward(layer: int, units: int) -> jax.Array:
        def factors(piece: Any) -> tuple[jax.Array, jax.Array]:
            k = pl.ds(layer + piece * tile.inputs, tile.inputs)
            return inputs[here, k], weights[k, pl.ds(0, units)]

        return product(plan, weights, (tile.examples, units), COLUMNS // tile.inputs, factors)

    def back(layer: int, column: int, units: int) -> jax.Array:
        inner = min(tile.inputs, units)

        def factors(piece: Any) -> tuple[jax.Array, jax.Array]:
            out = gradients[here, pl.ds(column + piece * inner, inner)]
            return out, weights[pl.ds(layer, COLUMNS), pl.ds(piece * inner, inner)].T

        return product(plan, weights, (tile.examples, COLUMNS), units // inner, factors)

    x3 = hidden(onward(second, COLUMNS), n, stack.units)
    inputs[here, pl.ds(third, COLUMNS)] = x3
    plan.meet()
    loss, g3 = cross_entropy(onward(third, EDGE), labels[rows[step, here]], stack.digits)
    losses[step, here] = jnp.where(there, loss / stack.sizes.examples, 0)
    gradients[here, pl.ds(2 * COLUMNS, EDGE)] = jnp.where(there[:, None], g3 / stack.sizes.examples, 0)
    plan.meet()
    g2 = back(third, 2 * COLUMNS, EDGE)
    gradients[here, pl.ds(COLUMNS, COLUMNS)] = jnp.where(unit & (x3 > 0), g2, 0)
    plan.meet()
    g1 = back(second, COLUMNS, COLUMNS)
    gradients[here, pl.ds(0, COLUMNS)] = jnp.where(unit & (inputs[here, pl.ds(second, COLUMNS)] > 0), g1, 0)


def cross_entropy(z: jax.Array, label: jax.Array, digits: int) -> tuple[jax.Array, jax.Array]:
    """The loss of each example, and its gradient by the logits z."""
    o = indices(EDGE)
    z = jnp.where((o < digits)[None, :], z, -jnp.inf)
    hit = o[None, :] == label[:, None]
    top = jnp.max(z, 1)
    powers = jnp.exp(z - top[:, None])
    total = jnp.sum(powers, 1)
    loss = jnp.log(total) + top - jnp.sum(jnp.where(hit, z, 0), 1)
    return loss, powers / total[:, None] - jnp.where(hit, 1, 0)


def update(
    plan: Plan, tile: Tile, start: Ref, ahead: Ref, inputs: Ref, gradients: Ref, corrections: Ref,
    _: Ref, __: Ref, ___: Ref, weights: Ref, exp_avg: Ref, exp_avg_sq: Ref,
) -> None:  # fmt: skip
    """The gradient of a tile of K inputs by N units, summed over all examples, and Adam's update of that tile.

    Source: Kingma and Ba, Adam, 2015, algorithm 1.
    """
    stack, step, program = plan.stack, start[()] + ahead[()], pl.program_id(0)
    # The third layer has one column of tiles, the others have them all.
    across, whole = COLUMNS // tile.units, (stack.first + COLUMNS) // tile.inputs
    k_tile = jnp.where(program < whole * across, program // across, program - whole * (across - 1))
    n_tile = jnp.where(program < whole * across, program % across, 0)
    layer = (k_tile * tile.inputs >= stack.first).astype("int32") + (k_tile >= whole).astype("int32")
    k, n = pl.ds(k_tile * tile.inputs, tile.inputs), pl.ds(n_tile * tile.units, tile.units)

    def factors(piece: Any) -> tuple[jax.Array, jax.Array]:
        # By index and not as a slice, turned: so the compiler loads 16 bytes at a time.
        e = piece * tile.examples + indices(tile.examples)
        x = inputs[e[None, :], (k_tile * tile.inputs + indices(tile.inputs))[:, None]]
        e = pl.ds(piece * tile.examples, tile.examples)
        return x, gradients[e, pl.ds(layer * COLUMNS + n_tile * tile.units, tile.units)]

    g = product(plan, weights, (tile.inputs, tile.units), stack.examples // tile.examples, factors)
    m, v = exp_avg[k, n], exp_avg_sq[k, n]
    m += (1 - BETAS[0]) * (g - m)
    v = BETAS[1] * v + (1 - BETAS[1]) * g * g
    exp_avg[k, n], exp_avg_sq[k, n] = m, v
    weights[k, n] -= corrections[step, 0] * m / (jnp.sqrt(v) / corrections[step, 1] + EPSILON)
