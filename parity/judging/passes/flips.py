"""A ReLU whose input is zero to rounding may be open on one side and shut on the other.

Where an activation has another sign than the judge's, and both lie within its limit of zero, the gradient of the step
says nothing about the side. So the step is judged again, from states moved aside by a few units in the last place of
float32: a gradient that agrees at one of them is right, since a mistake would not depend on so little. In a large
network something flips in most states, in each something else, and it need not be seen: a ReLU of a sum before a pool
stands between no two layers. The limit stays. A flip outside the limit is a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from parity.arrays.rounding import cast, moved
from parity.judging.distance.difference import apart, largest, scaled
from parity.judging.distance.factors import MOVED_ASIDE_ULPS, MOVES
from parity.judging.distance.limits import narrowest
from parity.judging.distance.sentinels import without_sentinels
from parity.judging.passes.float32 import Float32
from parity.recording import GRADIENT, OTHER, Arrays, Batch, Framework, Key
from parity.sides.live import LiveSide, Observation, parameters_moved
from parity.verdict import Comparison, Reason


class Flips(NamedTuple):
    """How many activations have another sign than the judge's: within the limit of zero, and outside it."""

    inside: int
    outside: int


def flips(side: Observation, judge: Observation) -> Flips:
    """Count the flipped outputs of layers, and what flipped at taps, as far as both have them.

    An activation is near zero within the narrowest limit of its scale.
    """
    return _counted(side, judge, (".output", ".tap"))


def flips_before(side: Observation, judge: Observation) -> Flips:
    """The same of what goes into layers and is nowhere negative: a ReLU of a sum has no layer before it.

    So it is behind a residual connection. What flips behind a layer flips here once more.
    """
    return _counted(side, judge, (".input",), rectified=True)


def _counted(side: Observation, judge: Observation, ends: tuple[str, ...], rectified: bool = False) -> Flips:
    inside = outside = 0
    for name, expected in judge.forward.items():
        seen = side.forward.get(name)
        if not name.endswith(ends) or seen is None or seen.shape != expected.shape:
            continue
        found = seen.astype(np.float64)
        if rectified and (found.min(initial=0) < 0 or expected.min(initial=0) < 0):
            continue
        flipped = (found > 0) != (expected > 0)
        size = largest(without_sentinels(Key("forward", 0, name), expected))
        near = np.maximum(np.abs(found), np.abs(expected)) <= narrowest("float32") * size
        inside += int(np.sum(flipped & near))
        outside += int(np.sum(flipped & ~near))
    return Flips(inside, outside)


class Aside(NamedTuple):
    """How right the gradients are at a state moved aside.

    Attributes:
        flipped: how many activations were seen to have flipped before the state was moved.
        apart: of every side that runs, how far each gradient is from the judge's, in absolute values, by its name.
        unflipped: the sides of which nothing flips at this state.
    """

    flipped: int
    apart: Mapping[Framework, Mapping[str, float]]
    unflipped: frozenset[Framework]


@dataclass(frozen=True)
class Rejudge:
    """Judges failed gradients again where an activation flipped.

    Attributes:
        float32: what the float32 pass judges by.
        judge: the judge's side, live in float64. Where the judge is recorded, and cannot be asked about another state,
            the other side's float64 run stands in for it, which has agreed with it by then: a fault that shows in
            float32 only is not in it.
        sides: the sides that run, live in the dtype that is judged.
        batches: of the judge, float64.
        seed: of the run; the states moved aside are drawn from it.
        recorded: of a side that does not run: how many activations of it flipped at the step of a gradient, and how far
            the gradient was from the judge's at the nearest of the states moved aside, in absolute values.
        unseen: whether a gradient is judged again where no flip is seen, too.
    """

    float32: Float32
    judge: LiveSide
    sides: Mapping[Framework, LiveSide]
    batches: Sequence[Batch]
    seed: int
    recorded: Mapping[Key, Sequence[float]] = field(default_factory=dict)
    unseen: bool = True
    _stand: list[Key] = field(default_factory=list, init=False, repr=False)
    """Differences that stood at all states. After one that no flip explains none is looked for that nobody sees."""
    _last: dict[tuple[Framework, int], tuple[list[Aside], Iterator[Aside]]] = field(
        default_factory=dict, init=False, repr=False
    )
    """What was found aside for the step that was asked last, and more of it: its gradients come one after the other."""

    def __call__(self, comparison: Comparison) -> Comparison:
        """The comparison as it is, or as it comes out aside where a flip explains it."""
        key, side = comparison.key, comparison.side
        if side is None or not key.is_gradient:
            return comparison
        if side not in self.sides:
            return self._as_recorded(comparison)
        found = comparison
        for aside in self._asides_of(side, key.step):
            found = self._again(comparison, aside)
            if found.outcome == "agree":
                return found
        self._stand.append(key)
        return found

    def _asides_of(self, side: Framework, step: int) -> Iterator[Aside]:
        if (side, step) not in self._last:
            self._last.clear()
            self._last[side, step] = [], self.asides(side, step)
        held, more = self._last[side, step]
        yield from list(held)
        for aside in more:
            held.append(aside)
            yield aside

    def asides(self, side: Framework, step: int) -> Iterator[Aside]:
        """All sides at states moved aside, unless a flip of this side's is outside the limit."""
        exact = self.float32.judge.state_before(step).parameters
        parameters = cast(exact, "float32")
        # Against the judge as it was: already the rounding of its parameters to float32 may flip an activation.
        seen, judged = self._observe(side, exact, step), self._judged(exact, step)
        here = flips(seen, judged)
        if here == (0, 0):
            here = flips_before(seen, judged)
        if here.outside or not (here.inside or (self.unseen and not self._stand)):
            return
        for move in range(MOVES):
            far = partial(moved, ulps=MOVED_ASIDE_ULPS, seed=self.seed + move)
            state = parameters_moved(self.judge, parameters, far)
            observed = {side: self._observe(side, state, step) for side in self.sides}
            judged = self._judged(state, step)
            unflipped = frozenset(
                side for side, seen in observed.items() if not any(flips(seen, judged) + flips_before(seen, judged))
            )
            yield Aside(
                here.inside, {side: gradients_apart(seen, judged) for side, seen in observed.items()}, unflipped
            )

    def _observe(self, framework: Framework, parameters: Arrays, step: int) -> Observation:
        side = self.sides[framework]
        return side.observe(cast(parameters, side.dtype), self.batches[step])

    def _judged(self, parameters: Arrays, step: int) -> Observation:
        return self.judge.observe(cast(parameters, "float64"), self.batches[step])

    def _again(self, comparison: Comparison, aside: Aside) -> Comparison:
        key, side = comparison.key, comparison.side
        assert side is not None
        name, scale = gradient_name(key), self.float32.scales.of[key]
        distances = {framework: scaled(apart[name], scale) for framework, apart in aside.apart.items() if name in apart}
        # A side that was recorded is not at this state, and one that flips there may be far off for that reason alone,
        # which must not widen the limit: then it is the narrowest that there is.
        other = distances.get(OTHER[side], 0.0) if OTHER[side] in aside.unflipped else 0.0
        return self._within(comparison, distances[side], other, aside.flipped)

    def _as_recorded(self, comparison: Comparison) -> Comparison:
        """From how far the recorded side came aside when it was recorded, within the narrowest limit that there is.

        The other side is not taken to that state: what is not there cannot widen a limit, only leave it narrow.
        """
        if comparison.key not in self.recorded:
            return comparison
        count, apart = self.recorded[comparison.key]
        return self._within(comparison, scaled(apart, self.float32.scales.of[comparison.key]), 0.0, int(count))

    def _within(self, comparison: Comparison, distance: float, other: float, count: int) -> Comparison:
        flipped = (
            f"{count} activation{'' if count == 1 else 's'} flipped" if count else "one that no layer shows flipped"
        )
        why = Reason(f"{flipped} at zero: judged again from a state moved aside", "flip")
        return self.float32.again(comparison, distance, other, why)


def gradients_apart(seen: Observation, judged: Observation) -> dict[str, float]:
    """How far every gradient that both have is from the judge's, in absolute values, by its name."""
    expected = _gradients(judged)
    both = {name: array for name, array in _gradients(seen).items() if name in expected}
    return {name: apart(array, expected[name]) for name, array in both.items() if array.shape == expected[name].shape}


def _gradients(seen: Observation) -> Arrays:
    return seen.gradients.parameters | seen.cotangents


def gradient_name(key: Key) -> str:
    """The gradient that a key of the backward stage, or of the trajectory, names."""
    return key.tensor.removeprefix(GRADIENT)
