"""What a pass draws masks for, and which of torch's masks each is, in a loop or inside of `jax.vmap`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from parity.weight_map.outline import Shape

Path = tuple[int, ...]
"""Where a call stands: the indices of the loops and branches around it, the outermost first, then its own among the
calls there. Those of branches are negative."""


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


def ways(called: Sequence[Called], drawn: Sequence[Shape]) -> list[Told]:
    """The first two ways in which what is called draws masks of the shapes that torch's side draws one after another.

    The axes of a mask may stand in any order (`parity.arrays.draws.mask`). A way in which all is as usual comes first.
    """
    torch = [tuple(sorted(shape)) for shape in drawn]
    return _ways(called, (), (), 0, torch).get(len(torch), [])


_Ways = dict[int, list[Told]]
"""For each number of masks that are drawn then, the first two ways: more are of no interest, and may be without end."""


def _ways(called: Sequence[Called], path: Path, around: Shape, start: int, torch: list[Shape]) -> _Ways:
    """The same of what is called in a loop or branch at `path`, of the masks from `start` on.

    `around` has how many turns each loop has whose turns are examples of one mask.
    """
    at: list[_Ways] = [{} for _ in range(len(called) + 1)]
    at[0][start] = [Told()]
    for index in range(len(called)):
        for begun, before in at[index].items():
            for told, count, end in _ways_of_one(called, (*path, index), around, begun, torch):
                found = at[index + count].setdefault(end, [])
                found += [one.and_(told) for one in before][: 2 - len(found)]
    return at[-1]


def _ways_of_one(
    called: Sequence[Called], at: Path, around: Shape, start: int, torch: list[Shape]
) -> Iterator[tuple[Told, int, int]]:
    """The same of what is called at one place, with how many of what is called that is."""
    one = called[at[-1]]
    if isinstance(one, Dropout):
        if torch[start : start + 1] == [_sorted(around, one.over, one.shape)]:
            yield Told(), 1, start + 1
        group = _of_one_vmap(called[at[-1] :])
        for axis in range(len(one.over)):
            # An expert after another or, with the first dropout of each before the second, all at once.
            for count in dict.fromkeys([len(group), 1]):
                yield from _apart(group[:count], at, axis, around, start, torch)
    elif isinstance(one, Branches):
        for branch, body in one.bodies.items():
            yield from ((told, 1, end) for told, end in _flat(_ways(body, (*at, branch), around, start, torch)))
    else:
        for told, end in _flat(_ways(one.body, at, around, start, torch)):
            all_turns = torch[start:end] * one.turns
            if torch[start : start + len(all_turns)] == all_turns:
                yield told, 1, start + len(all_turns)
        for told, end in _flat(_ways(one.body, at, (*around, one.turns), start, torch)):
            yield Told(frozenset({at})).and_(told), 1, end


def _flat(found: _Ways) -> Iterator[tuple[Told, int]]:
    return ((told, end) for end, several in found.items() for told in several)


def _of_one_vmap(called: Sequence[Called]) -> list[Dropout]:
    """The dropouts with which it begins that are called in one trace, for as many."""
    found: list[Dropout] = []
    for one in called:
        if not isinstance(one, Dropout) or (found and (one.trace, one.over) != (found[0].trace, found[0].over)):
            break
        found.append(one)
    return found


def _apart(
    group: list[Dropout], at: Path, axis: int, around: Shape, start: int, torch: list[Shape]
) -> Iterator[tuple[Told, int, int]]:
    """Dropouts of one `jax.vmap` over what torch calls one after another, such as experts, with all of them in each."""
    *path, index = at
    over, count = group[0].over, len(group)
    shapes = [_sorted(around, (*over[:axis], *over[axis + 1 :]), one.shape) for one in group] * over[axis]
    if torch[start : start + len(shapes)] == shapes:
        strides = tuple(count if place == axis else 0 for place in range(len(over)))
        taken = [1] * (count - 1) + [len(shapes) - count + 1]
        apart = {(*path, index + place): Apart(strides, later) for place, later in enumerate(taken)}
        yield Told(apart=apart), count, start + len(shapes)


def _sorted(*shapes: Shape) -> Shape:
    return tuple(sorted(size for shape in shapes for size in shape))
