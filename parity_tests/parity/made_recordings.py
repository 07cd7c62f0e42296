"""Recordings made by hand, and noise of a known size, for the tests of what compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parity.difference import scales
from parity.noise import Noise
from parity.recording import Array, Arrays, Dtype, Provenance, Recording

PROVENANCE = Provenance("torch", {}, "cpu", "a machine", "float64", "float32", True)


def recording(dtype: Dtype = "float64", **stages: Arrays | Mapping[int, Arrays]) -> Recording:
    """Of each stage its tensors at step 0, or its steps."""
    found = Recording(replace(PROVENANCE, dtype=dtype, x64=dtype == "float64"))
    for stage, content in stages.items():
        for key, value in content.items():
            if isinstance(key, int):
                assert isinstance(value, Mapping)
                found.add(stage, key, dict(value))
            else:
                found.add(stage, 0, {key: value})  # type: ignore[dict-item]
    return found


class MadeNoise(Noise):
    """A side whose every redraw is `aside`, and that counts how often it was drawn."""

    def __init__(self, base: Recording, aside: Recording | None = None) -> None:
        self.runs = 0

        def rerun(_: object) -> Recording:
            self.runs += 1
            return aside or base

        super().__init__(base, rerun, scales([base]), seed=0)


def off(array: Array, share: float) -> Array:
    """The array, its first entry off by so much of the largest."""
    found = array.copy()
    found.flat[0] += share * abs(array).max()
    return found
