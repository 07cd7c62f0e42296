"""Scores made in training mode: what one side scored is what the other one gives in training mode."""

from __future__ import annotations

from collections.abc import Mapping

from parity.arrays.draws import STREAM
from parity.errors import NotCheckable
from parity.judging.hints.evidence import Apart, Hint
from parity.recording import Array, Arrays, Framework, Key, Recording
from parity.sides.live import LiveSide


def looks_like_training(
    key: Key, sides: Mapping[Framework, Recording], live: Mapping[Framework, LiveSide], seed: int, steps: int
) -> str:
    """One line on the side that scored in training mode, by what another that runs gives in it; empty where none did.

    `sides` are the recordings of `steps` steps in which the output `key` of a scored batch differs.
    """
    for framework, running in live.items():
        right = sides[framework]
        trained = _in_training(key, running, right.state_before(steps).parameters, seed)
        for other, recording in sides.items():
            here, there = right.get(key), recording.get(key)
            if other == framework or trained is None or here is None or there is None:
                continue
            if (left := Apart.of(here, there).left(trained)) is not None:
                # That other side need not know modes: the fault may as well be in this one's evaluation mode.
                return f"on the {other} side it is {Hint(f'as in training mode on the {framework} side', left)}"
    return ""


def _in_training(key: Key, live: LiveSide, parameters: Arrays, seed: int) -> Array | None:
    """What a side's model gives in training mode for the scored batch; None where it has no modes, or fails in it."""
    stream = live.batches(seed, 1)[0].get(STREAM)
    scored = live.scored(seed)
    name = next((name for name in scored if key.tensor.startswith(f"{name}.")), None)
    if stream is None or name is None:
        return None
    try:
        found = live.forward(parameters, scored[name] | {STREAM: stream})
    except NotCheckable:
        # As a batch norm does beside a single example.
        return None
    return found.get(key.tensor.removeprefix(f"{name}."))
