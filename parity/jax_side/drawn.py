"""What a pass draws masks for, and which of torch's masks each is, in a loop or inside of `jax.vmap`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Shape = tuple[int, ...]
Path = tuple[int, ...]
"""The how manieth it is among what is called, with the paths of the loops and branches around it before; a branch has
a number below 0."""


@dataclass
class Dropout:
    """A call of a dropout.

    Attributes:
        shape: of the mask that the code asks for.
        trace: in which it is called.
        over: how many each `jax.vmap` around it maps over, the innermost first, where their keys are several.
    """

    shape: Shape
    trace: object
    over: Shape = ()


@dataclass
class Loop:
    """A loop of so many turns, with what is called in each."""

    turns: int
    body: list[Called] = field(default_factory=list)


@dataclass
class Branches:
    """Branches of which one is taken, with what is called in each."""

    bodies: dict[int, list[Called]] = field(default_factory=dict)


Called = Dropout | Loop | Branches


class Apart(NamedTuple):
    """Of a dropout inside of `jax.vmap` that is several of torch's.

    Attributes:
        strides: for each `jax.vmap`, the innermost first, how many masks later the next one's is; 0: one mask for all.
        taken: how many masks later the next dropout's is.
    """

    strides: tuple[int, ...] = ()
    taken: int = 1


class Told(NamedTuple):
    """Which of torch's masks are drawn, where that is not: a mask for each turn, and one for all inside of `jax.vmap`.

    Attributes:
        together: the loops whose turns are the examples of one mask.
        apart: the dropouts inside of `jax.vmap` that are one for each, as those of experts are.
    """

    together: frozenset[Path] = frozenset()
    apart: Mapping[Path, Apart] = {}

    def and_(self, other: Told) -> Told:
        """Both."""
        return Told(self.together | other.together, {**self.apart, **other.apart})


def nested(called: Sequence[Called], trace: object) -> bool:
    """Whether any of it may be in a loop or inside of `jax.vmap`, so in another trace than this."""
    return any(not isinstance(one, Dropout) or one.over or one.trace != trace for one in called)


def exclusive(path: Path, other: Path) -> bool:
    """Whether two stand in branches of which only one is taken."""
    parted = next(((a, b) for a, b in zip(path, other, strict=False) if a != b), (0, 0))
    return max(parted) < 0


def ways(called: Sequence[Called], drawn: Sequence[Shape]) -> Iterator[Told]:
    """The ways in which what is called draws masks of the shapes that torch's side draws, one after another.

    The axes of a mask may stand in any order (`parity.draws.mask`). A way in which all is as usual comes first.
    """
    torch = [tuple(sorted(shape)) for shape in drawn]
    return (told for told, end in _ways(called, (0,), (), 0, torch) if end == len(torch))


def _ways(
    called: Sequence[Called], at: Path, around: Shape, start: int, torch: list[Shape]
) -> Iterator[tuple[Told, int]]:
    """The same of what is called from `at` on, and of the masks from `start` on, and where the next one begins.

    `around` has how many turns each loop has whose turns are examples of one mask.
    """
    *path, index = at
    if index == len(called):
        yield Told(), start
        return
    for told, count, end in _ways_of_one(called, at, around, start, torch):
        for rest, last in _ways(called, (*path, index + count), around, end, torch):
            yield told.and_(rest), last


def _ways_of_one(
    called: Sequence[Called], at: Path, around: Shape, start: int, torch: list[Shape]
) -> Iterator[tuple[Told, int, int]]:
    """The same of what is called at one place, with how many of what is called that is."""
    one = called[at[-1]]
    if isinstance(one, Dropout):
        if torch[start : start + 1] == [_sorted(around, one.over, one.shape)]:
            yield Told(), 1, start + 1
        for axis in range(len(one.over)):
            yield from _ways_apart(called, at, axis, around, start, torch)
    elif isinstance(one, Branches):
        for branch, body in one.bodies.items():
            for told, end in _ways(body, (*at, branch, 0), around, start, torch):
                yield told, 1, end
    else:
        for told, end in _ways(one.body, (*at, 0), around, start, torch):
            all_turns = torch[start:end] * one.turns
            if torch[start : start + len(all_turns)] == all_turns:
                yield told, 1, start + len(all_turns)
        for told, end in _ways(one.body, (*at, 0), (*around, one.turns), start, torch):
            yield Told(frozenset({at})).and_(told), 1, end


def _ways_apart(
    called: Sequence[Called], at: Path, axis: int, around: Shape, start: int, torch: list[Shape]
) -> Iterator[tuple[Told, int, int]]:
    """All dropouts of one `jax.vmap`, where that is over what torch calls one after another, such as experts."""
    *path, index = at
    group = [called[index]]
    first = group[0]
    assert isinstance(first, Dropout)
    for other in called[index + 1 :]:
        if not (isinstance(other, Dropout) and (other.trace, other.over) == (first.trace, first.over)):
            break
        group.append(other)
    size, over = first.over[axis], (*first.over[:axis], *first.over[axis + 1 :])
    shapes = [_sorted(around, over, one.shape) for one in group if isinstance(one, Dropout)] * size
    if torch[start : start + len(shapes)] != shapes:
        return
    strides = tuple(len(group) if place == axis else 0 for place in range(len(first.over)))
    last = len(shapes) - len(group) + 1
    apart = {
        (*path, index + place): Apart(strides, last if place == len(group) - 1 else 1) for place in range(len(group))
    }
    yield Told(apart=apart), len(group), start + len(shapes)


def _sorted(*shapes: Shape) -> Shape:
    return tuple(sorted(size for shape in shapes for size in shape))
