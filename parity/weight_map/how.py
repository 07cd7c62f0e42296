"""How a user tells the map that a tensor is laid out, in a few words."""

from __future__ import annotations

import re
from math import prod
from typing import NamedTuple

from parity.errors import NotCheckable
from parity.weight_map.outline import Shape
from parity.weight_map.steps import TRANSPOSE, Step, chain, shape_through

_NUMBERS = r"(?: \d+)+"
_GRAMMAR = re.compile(
    rf"as is|transpose|(?:un)?flatten \d+{_NUMBERS}|permute{_NUMBERS}(?: flip{_NUMBERS})?|flip{_NUMBERS}"
)
WORDS = "as is, transpose, flatten C H W, unflatten C H W, permute 2 3 1 0, flip 0 1"


class How(NamedTuple):
    """The words, already known to be in the grammar.

    `flatten C H W`: torch's inputs are C channels of H by W, JAX's are H by W of C channels (a vector: its entries);
    `unflatten C H W`: so are the outputs. Both exchange inputs and outputs, as `transpose` does.
    """

    words: str

    @classmethod
    def parse(cls, words: str) -> How | None:
        """The words as they stand, or None where they are something else, such as a path."""
        return cls(words) if _GRAMMAR.fullmatch(words) else None

    def steps(self, name: str, start: Shape, end: Shape) -> tuple[Step, ...]:
        """The steps for a tensor of shape `start`.

        Raises:
            NotCheckable: it cannot take them, or they do not lead to the shape `end`.
        """
        try:
            steps = self._steps(start)
            reached = shape_through(steps, start)
        except NotCheckable as error:
            raise NotCheckable(f'the override of {name}, "{self.words}": {error}') from error
        if reached != end:
            raise NotCheckable(
                f'the override of {name}, "{self.words}": leads to shape {list(reached)}, and the leaf has {list(end)}'
            )
        return steps

    def _steps(self, start: Shape) -> tuple[Step, ...]:
        verb, *rest = self.words.split(" ")
        if verb in ("flatten", "unflatten"):
            return _flattened(start, tuple(map(int, rest)), inputs=verb == "flatten")
        if verb == "transpose":
            return (TRANSPOSE,)
        steps = re.findall(rf"(permute|flip)({_NUMBERS})", self.words)
        return tuple(Step(move, tuple(map(int, numbers.split()))) for move, numbers in steps)


def _flattened(start: Shape, channels_first: Shape, *, inputs: bool) -> tuple[Step, ...]:
    size, count = prod(channels_first), len(channels_first)
    last = (*range(1, count), 0)
    order: tuple[int, ...]
    split: Shape
    end: Shape
    if len(start) == 1:
        order, split, end = last, channels_first, (size,)
    elif inputs:
        order, split, end = (*(axis + 1 for axis in last), 0), (start[0], *channels_first), (size, start[0])
    else:
        order, split, end = (count, *last), (*channels_first, start[-1]), (start[-1], size)
    return chain(Step("reshape", split), Step("permute", order), Step("reshape", end), start=start)
