"""Which array of the two models a tensor of a recording is, or is named after."""

from __future__ import annotations

from collections.abc import Collection

from parity.recording import Key, Recording, named_after

HELD = ("init", "backward", "update", "trajectory")
"""The stages in which a tensor may be called as an array of the model is."""


def whose(key: Key, arrays: Collection[str]) -> str:
    """The array that the tensor is or is named after, of all `arrays` of both models; empty where there is none.

    Of `weight` and `fc1.weight`, `exp_avg.fc1.weight` is named after the longer one.
    """
    # In other stages what comes to a layer or leaves it may end in the name of a parameter, too, as `fc1.input` does in
    # `input`, and has nothing to do with it.
    if key.after_update:
        return named_after(key.tensor, arrays)
    return key.tensor if key.stage in HELD and key.tensor in arrays else ""


def held(*recordings: Recording) -> frozenset[str]:
    """The names of all arrays that the models of these recordings hold."""
    return frozenset(name for recording in recordings for name in recording.of("init", 0))
