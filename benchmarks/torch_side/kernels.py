"""A step of the MNIST classifier in three kernels, written in Triton: the first layer, the rest of the net there and
back, and the update of all weights. Between them lie two tables, an example in each row: what goes into every layer,
and the loss's gradient of what comes out.

Parameters and both of Adam's means are each one matrix, as `benchmarks.kernels` has it. Arguments in capitals are known
when a kernel is compiled; E, K and N are how many examples, inputs and units a program takes at once.
"""
# Triton reads annotations, and knows none of Python's.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

from benchmarks.case import BETAS, EPSILON

BETA_1, BETA_2, TINY = (tl.constexpr(value) for value in (*BETAS, EPSILON))


@triton.jit
def first_layer(
    images, rows, weights, inputs,
    UNITS: tl.constexpr, FIRST: tl.constexpr, COLUMNS: tl.constexpr, HEIGHT: tl.constexpr,
    E: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """E examples and N units of the first layer, and a copy of the examples on the way."""
    e = tl.program_id(0) * E + tl.arange(0, E)
    n = tl.program_id(1) * N + tl.arange(0, N)
    image = images + tl.load(rows + e)[:, None] * FIRST
    here = inputs + e[:, None] * HEIGHT
    z = tl.zeros((E, N), dtype=weights.dtype.element_ty)
    for start in range(0, FIRST, K):
        k = start + tl.arange(0, K)
        x = tl.load(image + k[None, :])
        w = tl.load(weights + k[:, None] * COLUMNS + n[None, :])
        z = tl.dot(factor(x, PRECISION), factor(w, PRECISION), z, input_precision=PRECISION, out_dtype=z.dtype)
        # Each of the programs with these examples writes its share of them.
        mine = (start // K) % tl.num_programs(1) == tl.program_id(1)
        tl.store(here + k[None, :], x, mask=mine)
    tl.store(here + FIRST + n[None, :], hidden(z, n, UNITS))


@triton.jit
def factor(x, PRECISION: tl.constexpr):
    """Numbers as a product takes them: rounded to TF32, since the matrix units would cut the low bits off."""
    if PRECISION == "tf32":
        x = tl.inline_asm_elementwise("cvt.rna.tf32.f32 $0, $1;", "=r, r", [x], dtype=tl.float32, is_pure=True, pack=1)
    return x


@triton.jit
def hidden(z, n, UNITS: tl.constexpr):
    """What the next layer takes: ReLU, and a 1 for its bias behind the last unit."""
    return tl.where((n == UNITS)[None, :], 1, tl.maximum(z, 0))


@triton.jit
def product(
    left, right, i, j,
    LEFT_I: tl.constexpr, LEFT_K: tl.constexpr, RIGHT_K: tl.constexpr, RIGHT_J: tl.constexpr,
    DEPTH: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Rows i of one matrix by columns j of another, given the steps between their rows and columns in memory."""
    z = tl.zeros((i.shape[0], j.shape[0]), dtype=right.dtype.element_ty)
    for start in range(0, DEPTH, K):
        k = start + tl.arange(0, K)
        a = factor(tl.load(left + i[:, None] * LEFT_I + k[None, :] * LEFT_K), PRECISION)
        b = factor(tl.load(right + k[:, None] * RIGHT_K + j[None, :] * RIGHT_J), PRECISION)
        z = tl.dot(a, b, z, input_precision=PRECISION, out_dtype=z.dtype)
    return z


@triton.jit
def there_and_back(
    labels, rows, weights, inputs, gradients, losses, examples,
    UNITS: tl.constexpr, DIGITS: tl.constexpr, FIRST: tl.constexpr, COLUMNS: tl.constexpr, HEIGHT: tl.constexpr,
    E: tl.constexpr, K: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Second and third layer of E examples, their losses, and the gradients of what comes out of each layer."""
    e = tl.program_id(0) * E + tl.arange(0, E)
    n, o = tl.arange(0, COLUMNS), tl.arange(0, OUT)
    there, unit = e < examples, (n < UNITS)[None, :]
    second = weights + FIRST * COLUMNS
    third = second + COLUMNS * COLUMNS
    into_2 = inputs + FIRST
    into_3 = into_2 + COLUMNS
    wide: tl.constexpr = 3 * COLUMNS
    here = e[:, None] * HEIGHT + n[None, :]
    out = gradients + e[:, None] * wide

    x3 = hidden(product(into_2, second, e, n, HEIGHT, 1, COLUMNS, 1, COLUMNS, K, PRECISION), n, UNITS)
    tl.store(into_3 + here, x3)
    # What a program's threads have written, its other threads read.
    tl.debug_barrier()
    z = product(into_3, third, e, o, HEIGHT, 1, COLUMNS, 1, COLUMNS, K, PRECISION)
    label = tl.load(labels + tl.load(rows + e))
    loss, g3 = cross_entropy(z, label, o, DIGITS)
    tl.store(losses + e, tl.where(there, loss / examples, 0))
    tl.store(out + 2 * COLUMNS + o[None, :], tl.where(there[:, None], g3 / examples, 0))
    tl.debug_barrier()
    g2 = product(gradients + 2 * COLUMNS, third, e, n, wide, 1, 1, COLUMNS, OUT, OUT, PRECISION)
    tl.store(out + COLUMNS + n[None, :], tl.where(unit & (x3 > 0), g2, 0))
    tl.debug_barrier()
    g1 = product(gradients + COLUMNS, second, e, n, wide, 1, 1, COLUMNS, COLUMNS, K, PRECISION)
    tl.store(out + n[None, :], tl.where(unit & (tl.load(into_2 + here) > 0), g1, 0))


@triton.jit
def cross_entropy(z, label, o, DIGITS: tl.constexpr):
    """The loss of each example, and its gradient by the logits z."""
    z = tl.where((o < DIGITS)[None, :], z, -float("inf"))
    hit = o[None, :] == label[:, None]
    top = tl.max(z, 1)
    powers = tl.exp(z - top[:, None])
    total = tl.sum(powers, 1)
    loss = tl.log(total) + top - tl.sum(tl.where(hit, z, 0), 1)
    return loss, powers / total[:, None] - tl.where(hit, 1, 0)


@triton.jit
def update(
    weights, exp_avg, exp_avg_sq, inputs, gradients, corrections,
    BATCH: tl.constexpr, FIRST: tl.constexpr, COLUMNS: tl.constexpr, HEIGHT: tl.constexpr,
    E: tl.constexpr, K: tl.constexpr, N: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradient of a tile of K inputs by N units, summed over all examples, and Adam's update of that tile.

    Source: Kingma and Ba, Adam, 2015, algorithm 1.
    """
    # The third layer has one column of tiles, the others have them all.
    across: tl.constexpr = COLUMNS // N
    whole: tl.constexpr = (FIRST + COLUMNS) // K
    here = tl.program_id(0)
    k_tile = tl.where(here < whole * across, here // across, here - whole * (across - 1))
    n_tile = tl.where(here < whole * across, here % across, 0)
    k = k_tile * K + tl.arange(0, K)
    n = n_tile * N + tl.arange(0, N)
    layer = (k_tile * K >= FIRST).to(tl.int32) + (k_tile * K >= FIRST + COLUMNS).to(tl.int32)
    g = product(inputs, gradients + layer * COLUMNS, k, n, 1, HEIGHT, 3 * COLUMNS, 1, BATCH, E, PRECISION)
    tile = k[:, None] * COLUMNS + n[None, :]
    m = tl.load(exp_avg + tile)
    v = tl.load(exp_avg_sq + tile)
    m += (1 - BETA_1) * (g - m)
    v = BETA_2 * v + (1 - BETA_2) * g * g
    tl.store(exp_avg + tile, m)
    tl.store(exp_avg_sq + tile, v)
    step_size = tl.load(corrections).to(g.dtype)
    correction = tl.load(corrections + 1).to(g.dtype)
    moved = tl.load(weights + tile) - step_size * m / (tl.sqrt(v) / correction + TINY)
    tl.store(weights + tile, moved)
