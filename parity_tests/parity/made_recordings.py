"""Recordings made by hand, and noise of a known size, for the tests of what compares them."""

from __future__ import annotations

from parity.judging.distance.difference import scales
from parity.judging.distance.noise import Noise
from parity.recording import Array, Arrays, Dtype, Provenance, Recording


def recording(*groups: tuple[str, int, Arrays], dtype: Dtype = "float64") -> Recording:
    """The tensors of these stages and steps."""
    found = Recording(Provenance("torch", {}, "cpu", "a machine", dtype, "float32", dtype == "float64"))
    for stage, step, arrays in groups:
        found.add(stage, step, arrays)
    return found


def forward(array: Array, dtype: Dtype = "float64") -> Recording:
    """One output of one layer."""
    return recording(("forward", 0, {"fc.output": array}), dtype=dtype)


def off(array: Array, share: float) -> Array:
    """The array, its first entry off by so much of the largest."""
    found = array.copy()
    found.flat[0] += share * abs(array).max()
    return found


def replayed(run: Recording, into: Recording) -> None:
    """Record what a run has once more, step after step as it goes on."""
    for key in run.flow():
        into.add(key.stage, key.step, {key.tensor: run.of(key.stage, key.step)[key.tensor]})


class MadeNoise(Noise):
    """The noise of a side that is `aside` whenever it runs again, and how often it did."""

    def __init__(self, base: Recording, aside: Recording | None = None) -> None:
        self.runs = 0

        def rerun(_: object, into: Recording) -> None:
            self.runs += 1
            replayed(aside or base, into)

        super().__init__(base, rerun, scales([base]), seed=0)
