"""Constants that a mistake scales by, with what they are in the run at hand."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf, isqrt, log, pi, prod
from typing import NamedTuple

ROOTS_UP_TO = 1024
"""The largest number whose root has a name."""
OF_A_DENSITY = log(2 * pi) / 2
"""What the log of a normal density has beside the square and the log of the deviation, once for each dimension."""
DIMENSIONS = 64
"""So many dimensions may have left it out: of more, most numbers are near a multiple."""
DROPOUTS = (0.1, 0.2, 0.25, 0.3, 0.4)
"""Shares that dropout usually leaves out. Half of all has no name of its own: it is twice as large."""
CLOSE = 1e-6
"""A factor has a name where it is no further from it than this share of it."""
NEARLY_ONE = 1e-4
"""A factor no further from 1 is told by how far it is."""

FEW_OPERATIONS = 8 * 2.0**-23
"""How far from 1 a factor may be that comes of a few operations in float32."""
RATE_IN_FLOAT32 = (
    "as if its rate had been computed in float32, as stock Optax schedules do: hand them jnp.asarray(count, float)"
)


class Run(NamedTuple):
    """What of a run has constants.

    Attributes:
        output: the shape of the model's output, () where unknown.
        loss: whether a loss differs.
        dropout: whether dropout can have scaled what differs.
    """

    output: tuple[int, ...] = ()
    loss: bool = False
    dropout: bool = True


def named_constants(run: Run) -> Iterator[tuple[float, str]]:
    """Factors that have a name, and what they are: a phrase to stand behind "8 times as large"."""
    shape, reduced, dropout = run
    yield from _reductions(shape) if reduced else _sizes(shape)
    yield 255.0, "as with pixels from 0 to 255 for those from 0 to 1"
    yield 1 / log(2), "as with logarithms to base 2 for natural ones"
    yield log(10), "as with natural logarithms for those to base 10"
    for share in DROPOUTS if dropout else ():
        yield 1 / (1 - share), f"as kept numbers are by a dropout of {share:g}"


def _reductions(shape: tuple[int, ...]) -> Iterator[tuple[float, str]]:
    """What a sum is to a mean, over one axis of the output, all but the last, and all."""
    for axis, size in enumerate(shape):
        of_it = "the batch" if axis == 0 else f"axis {axis} of the output"
        over = of_it if shape.count(size) == 1 else f"an axis of {size}, of which there are {shape.count(size)},"
        yield size, f"as with the sum over {over} for its mean"
    if len(shape) > 2:
        yield prod(shape[:-1]), f"as with the sum over {' x '.join(map(str, shape[:-1]))} for its mean"
    if len(shape) > 1:
        yield prod(shape), "as many as the output has entries"


def _sizes(shape: tuple[int, ...]) -> Iterator[tuple[float, str]]:
    if shape:
        yield shape[0], "as many as the batch has"
    if len(shape) > 2:
        yield prod(shape[:-1]), f"as many as {' x '.join(map(str, shape[:-1]))}"
    if len(shape) > 1:
        yield prod(shape), "as many as the output has entries"
        yield shape[-1], "as many as the output has features"


def words_of(factor: float, run: Run) -> str:
    """The name of a factor; empty where it has none."""
    special = {2.0: "twice as large", 0.5: "half as large", -1.0: "of the opposite sign"}
    for common, words in special.items():
        if abs(factor / common - 1) < CLOSE:
            return words
    for constant, words in named_constants(run):
        if constant > 1 and abs(factor / constant - 1) < CLOSE:
            return f"{constant:.6g} times as large, {words}"
        if constant > 1 and abs(factor * constant - 1) < CLOSE:
            return f"{constant:.6g} times smaller, {_inverse(words)}"
    return _root(factor)


def words_of_an_offset(offset: float) -> str:
    """The name of a constant that is added; empty where it has none."""
    times = round(abs(offset) / OF_A_DENSITY) if abs(offset) < (DIMENSIONS + 1) * OF_A_DENSITY else 0
    if not times or abs(abs(offset) / (times * OF_A_DENSITY) - 1) > CLOSE:
        return ""
    return f"{f'{times} times ' if times > 1 else ''}log(2 pi) / 2, as in the log of a normal density"


def _inverse(words: str) -> str:
    swapped = {
        "the sum over": "the mean over", "for its mean": "for its sum",
        "logarithms to base 2 for natural ones": "natural logarithms for those to base 2",
        "natural logarithms for those to base 10": "logarithms to base 10 for natural ones",
    }  # fmt: skip
    for said, meant in swapped.items():
        words = words.replace(said, meant)
    return words.replace("0 to 255 for those from 0 to 1", "0 to 1 for those from 0 to 255").replace(
        "as kept numbers are by", "as without the factor of"
    )


def _root(factor: float) -> str:
    larger = max(factor, 1 / factor) if factor > 0 else 0.0
    if larger > ROOTS_UP_TO:
        return ""  # and its square may be none
    square = larger**2
    whole = round(square)
    if not 2 <= whole <= ROOTS_UP_TO or isqrt(whole) ** 2 == whole or abs(square / whole - 1) > CLOSE:
        return ""
    return f"{whole**0.5:.6g} times {'as large' if factor > 1 else 'smaller'}, the root of {whole}"


def is_of_float32(factor: float) -> bool:
    """Whether a factor of numbers in float64 may come of a few operations in float32."""
    return 0 < abs(factor - 1) <= FEW_OPERATIONS


def in_words(factor: float) -> str:
    """A factor that has no name."""
    if abs(factor - 1) < NEARLY_ONE:
        return f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.2g} times as large"
    return (
        f"{factor:.6g} times as large" if abs(factor) > 0.5 or isinf(1 / factor) else f"{1 / factor:.6g} times smaller"
    )
