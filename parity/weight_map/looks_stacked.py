"""Leaves that may hold an array of each of several layers, as for a scan, and that were not taken apart."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import prod

from parity.errors import listing
from parity.weight_map.entry import Part

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
"""A number that is a whole part of a name."""


def of_stacked(torch: Iterable[Part], jax: Iterable[Part]) -> list[str]:
    """One line for the leaves of `jax` that are as large as all of so many arrays of `torch`, alike but for a number.

    Both are what is left without a counterpart.
    """
    alike = Counter(like for part in dict.fromkeys(torch) for like in _alike(part))
    runs = {(count, size) for (_, _, size), count in alike.items()}
    names = [part.name for part in dict.fromkeys(jax) if _looks_stacked(part.whole, runs)]
    if not names:
        return []
    return [
        f"{listing(names)} may hold arrays of several layers, for a scan: they are taken apart where all that their "
        "module holds is so, along one axis, and a layer has as many weights as torch's (docs/port.md, section 11)"
    ]


def _alike(part: Part) -> Iterator[tuple[str, str, int]]:
    """What stands before and behind each number in a name, and how large the array is."""
    for number in _NUMBER.finditer(part.name):
        yield part.name[: number.start()], part.name[number.end() :], prod(part.whole)


def _looks_stacked(shape: Sequence[int], runs: set[tuple[int, int]]) -> bool:
    return len(shape) > 1 and shape[0] > 1 and (shape[0], prod(shape[1:])) in runs
