"""Of what only one side has: how often each side calls a layer, and how many tensors each model gives."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parity.recording import PLACE, Framework, Key, Recording

OUTPUT = re.compile(r"output\d*")
"""What a model gives."""


def how_often(key: Key, sides: Mapping[Framework, Recording]) -> str:
    """In words; empty where the key is of no call of a layer, or both sides call it as often."""
    place = PLACE.match(key.tensor)
    if not place or place["what"] == "tap":
        return ""
    counts = {side: _calls(place["layer"], recording.of("forward", key.step)) for side, recording in sides.items()}
    if len({*counts.values()}) == 1:
        return ""
    told = " and ".join(f"{_times(count)} on the {side} side" for side, count in counts.items())
    return f"{place['layer']} is called {told}"


def how_many(key: Key, sides: Mapping[Framework, Recording]) -> str:
    """How many tensors the models give, in words; empty where the key is of another one, or both give as many."""
    if key.stage != "forward" or not OUTPUT.fullmatch(key.tensor):
        return ""
    counts = {
        side: sum(map(bool, map(OUTPUT.fullmatch, recording.of("forward", key.step))))
        for side, recording in sides.items()
    }
    if len({*counts.values()}) == 1:
        return ""
    told = " and ".join(f"{_tensors(count)} on the {side} side" for side, count in counts.items())
    return f"the model gives {told}: have `predict` of both sides give the same ones, (model, batch) -> output"


def _calls(layer: str, tensors: Mapping[str, object]) -> int:
    places = (PLACE.match(tensor) for tensor in tensors if tensor.endswith("output"))
    return sum(place is not None and place["layer"] == layer for place in places)


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
