"""Code that lowers the dtype inside a float64 run, found by how it answers a move that float32 cannot follow.

What goes into a layer is moved up and down by a share of itself. Code in float64 answers along a straight line, but for
the square of the move. Code in float32 answers in steps of its last place, whatever is done with them afterwards. A
constant in float32, such as a table of angles, shows by its dtype alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from parity.errors import listing
from parity.judging.distance.difference import largest
from parity.judging.distance.sentinels import without_sentinels
from parity.recording import FRAMEWORKS, Array, Arrays, Framework, Key

MOVE = 2.0**-24
"""The share that numbers are moved by: half a unit in the last place of float32. Its square is 4e-15."""
SEEN = 2.0**-32
"""A bend counts from this share of the tensor's size on. Steps of float32 are 6e-8, rounding in float64 is 1e-16."""
CURVED = 16.0
"""A bend of less than so many squares of the answer, both as shares of the size, is that of a smooth function."""
BENT = 0.25
"""Of the numbers that answer at all, so many must bend. A kink, as of a ReLU at zero, lies in the way of few."""
ENOUGH = 16
"""So many numbers, at least, must answer."""

Taught = Callable[[Arrays], Arrays]
"""What a side finds at every place of a pass, where each is handed what it is given: `LiveSide.taught`."""
Casts = Mapping[str, tuple[Framework, ...]]
"""The places of a pass, by what is recorded there, that compute in float32 in a float64 run, each with the sides."""


def casts(sides: Mapping[Framework, Taught], given: Arrays) -> dict[str, tuple[Framework, ...]]:
    """The places that compute in float32 on any of the sides, in the order of the pass that is `given`."""
    found = {framework: stepping(taught, given) for framework, taught in sides.items()}
    named = {name: tuple(framework for framework in FRAMEWORKS if name in found.get(framework, ())) for name in given}
    return {name: on for name, on in named.items() if on}


def stepping(taught: Taught, given: Arrays) -> frozenset[str]:
    """The places of one side that answer in steps, each by what is done since the place before it."""
    at, above, below = (taught(_moved(given, share)) for share in (0.0, MOVE, -MOVE))
    seen = [name for name in at if name in above and name in below]
    plain = {
        name: [without_sentinels(Key("forward", 0, name), one[name]) for one in (at, above, below)] for name in seen
    }
    return frozenset(name for name in seen if bends(*plain[name]))


def bends(at: Array, above: Array, below: Array) -> bool:
    """Whether three answers, to a number and to it moved up and down, lie on no smooth line."""
    if at.dtype.kind != "f" or not at.shape == above.shape == below.shape:
        return False
    middle, up, down = (array.astype(np.float64) for array in (at, above, below))
    size, answer = largest(middle), largest(up - down) / 2
    if not (np.isfinite(size) and np.isfinite(answer) and size > 0):
        return False
    answering = (up != middle) | (down != middle)
    bent = np.abs(up + down - 2 * middle) > max(SEEN * size, CURVED * answer**2 / size)
    return int(np.sum(answering)) >= ENOUGH and int(np.sum(bent)) >= BENT * int(np.sum(answering))


def _moved(given: Arrays, share: float) -> Arrays:
    """Every number up or down by this share of itself, by chance but alike for every share."""
    numbers, found = np.random.default_rng(0), {}
    for name, array in given.items():
        found[name] = array
        if array.dtype.kind == "f":
            # The lowest number, of a mask, has none below it.
            with np.errstate(over="ignore"):
                aside = array * (1 + share * numbers.choice((-1.0, 1.0), array.shape))
            found[name] = np.where(np.isfinite(aside), aside, array)
    return found


def on_sides(sides: Sequence[Framework]) -> str:
    """The sides in words."""
    return "on both sides" if len(sides) == len(FRAMEWORKS) else f"on the {sides[0]} side"


def hint(where: str, sides: Sequence[Framework]) -> str:
    """What is told of a difference at a place that computes in float32 on these sides."""
    return (
        f"{where} something is computed in float32 {on_sides(sides)}: moved by {MOVE:.0e} of itself, what goes in is "
        "answered in steps (`float32_inside` in the pair judges that by float32's rule)"
    )


def hint_of_dtype(where: str, sides: Sequence[Framework], *, before: bool) -> str:
    """What is told where numbers in float32 were seen that no move reaches; `before` the place that differs."""
    return f"{'before that, ' if before else ''}{where} there are numbers in float32 {on_sides(sides)}"


def told(found: Casts, wheres: Mapping[str, str]) -> list[str]:
    """One line for each group of sides that computes in float32 somewhere."""
    groups: dict[tuple[Framework, ...], list[str]] = {}
    for name, sides in found.items():
        groups.setdefault(sides, []).append(wheres[name])
    return [f"computed in float32 {on_sides(sides)}: {listing(places)}" for sides, places in groups.items()]
