"""What has another shape on each side, where what follows says that it is not one thing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from parity.recording import Key, Recording
from parity.verdict import Comparison


def before_differences(shaped: Collection[str], flow: Recording, compared: Iterable[Comparison]) -> list[Key]:
    """Of each step the tensors of another shape between which and its first difference nothing was found to agree.

    So a convolution that pads otherwise is the first difference, and not what comes long after it; and where both sides
    come to the same, as behind one that is causal, its shape is none. Where shapes are what differs, told are those
    before it, however far, that have the same shapes.
    """
    found = {c.key: c for c in compared if c.key.stage == "forward"}
    forward = (key for key in flow.flow() if key.stage == "forward")
    return [key for _, step in groupby(forward, lambda key: key.step) for key in _before(shaped, step, flow, found)]


def _before(
    shaped: Collection[str], step: Iterable[Key], flow: Recording, found: Mapping[Key, Comparison]
) -> list[Key]:
    every: list[Key] = []
    waiting: list[Key] = []
    told: list[Key] = []
    first = True
    for key in step:
        if key.tensor in shaped:
            every.append(key)
            waiting.append(key)
        elif key in found:
            if found[key].cause == "shape":
                told += [one for one in every if _shape(flow, one) == _shape(flow, key)]
            elif found[key].outcome == "differ" and first:
                told += waiting
            first = first and found[key].outcome == "agree"
            waiting = []
    return list(dict.fromkeys(told))


def _shape(flow: Recording, key: Key) -> tuple[int, ...] | None:
    array = flow.get(key)
    return None if array is None else array.shape
