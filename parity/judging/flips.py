"""A ReLU whose input is zero to rounding may be open on one side and shut on the other.

Where an activation has another sign than the judge's, and both lie within its limit of zero, the gradient of the step
says nothing about the side. So the step is judged again, from a state moved aside by a few units in the last place of
float32 until nothing flips. The limit stays. A flip outside the limit is a difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from parity.judging.difference import difference, largest
from parity.judging.factors import FEW_EPS, FLOAT32_FACTOR, MOVED_ASIDE_ULPS, MOVES
from parity.judging.float32 import OTHER, Float32
from parity.live import LiveSide, Observation
from parity.recording import Array, Arrays, Batch, Framework, Key
from parity.rounding import cast, moved
from parity.verdict import EPS, Comparison


class Flips(NamedTuple):
    """How many activations have another sign than the judge's: within the limit of zero, and outside it."""

    inside: int
    outside: int


def flips(side: Observation, judge: Observation) -> Flips:
    """Count the flipped outputs of layers. An activation is near zero within `FLOAT32_FACTOR` few eps of its scale."""
    inside = outside = 0
    for name, expected in judge.forward.items():
        if not name.endswith(".output"):
            continue
        found = side.forward[name].astype(np.float64)
        flipped = (found > 0) != (expected > 0)
        near = np.maximum(np.abs(found), np.abs(expected)) <= FLOAT32_FACTOR * FEW_EPS * EPS["float32"] * largest(
            expected
        )
        inside += int(np.sum(flipped & near))
        outside += int(np.sum(flipped & ~near))
    return Flips(inside, outside)


@dataclass(frozen=True)
class Rejudge:
    """Judges failed gradients again where an activation flipped.

    Attributes:
        float32: what the float32 pass judges by.
        judge: the judge's side, live in float64.
        sides: both sides, live in float32.
        batches: of the judge, float64.
        seed: of the run; the states moved aside are drawn from it.
    """

    float32: Float32
    judge: LiveSide
    sides: Mapping[Framework, LiveSide]
    batches: Sequence[Batch]
    seed: int

    def __call__(self, comparison: Comparison) -> Comparison:
        """The comparison as it is, or as it comes out aside where a flip explains it."""
        key = comparison.key
        if comparison.side is None or not _gradient_name(key):
            return comparison
        exact = self.float32.judge.state_before(key.step).parameters
        parameters = cast(exact, "float32")
        # Against the judge as it was: already the rounding of its parameters to float32 may flip an activation.
        here = flips(self._observe(comparison.side, parameters, key.step), self._judged(exact, key.step))
        if here.outside or not here.inside:
            return comparison
        for move in range(MOVES):
            aside = moved(parameters, MOVED_ASIDE_ULPS, self.seed + move)
            observed = {framework: self._observe(framework, aside, key.step) for framework in self.sides}
            judged = self._judged(aside, key.step)
            if not any(any(flips(seen, judged)) for seen in observed.values()):
                return self._again(comparison, observed, judged, here.inside)
        return comparison

    def _observe(self, framework: Framework, parameters: Arrays, step: int) -> Observation:
        return self.sides[framework].observe(parameters, self.batches[step])

    def _judged(self, parameters: Arrays, step: int) -> Observation:
        return self.judge.observe(cast(parameters, "float64"), self.batches[step])

    def _again(
        self, comparison: Comparison, observed: Mapping[Framework, Observation], judged: Observation, count: int
    ) -> Comparison:
        key, side = comparison.key, comparison.side
        assert side is not None
        expected = _gradient(judged, key)
        scale = self.float32.scales.of[key]
        distances = {fw: difference(_gradient(seen, key), expected, scale) for fw, seen in observed.items()}
        limit = self.float32.limit(key, distances[OTHER[side]], 0.0).limit
        word = "activation" if count == 1 else "activations"
        return replace(
            comparison, difference=distances[side], limit=limit,
            outcome="agree" if distances[side] <= limit else "differ",
            note=f"{count} {word} flipped at zero: judged again from a state moved aside",
        )  # fmt: skip


def _gradient_name(key: Key) -> bool:
    return key.stage == "backward" or key.tensor.startswith("gradient.")


def _gradient(seen: Observation, key: Key) -> Array:
    name = key.tensor.removeprefix("gradient.")
    return (seen.gradients.parameters | seen.cotangents)[name]
