"""In bfloat16 a gradient may be judged at the side's own activations.

Of a few hundred ReLUs some input lies within rounding of zero at nearly every step, and what is largest in a pool may
be two numbers that are one in bfloat16. So there is no state at which nothing flips, which float32 is moved aside to.
Instead the judge goes back from where the side stood: it is handed what the side's layers took and gave, in float64,
and differentiates from there. What is left is what the way back itself does: where up to 110 eps were between, 2.5 are.
The limit stays. A side whose activations are not within their own limit is not judged again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parity.arrays.rounding import cast
from parity.judging.distance.difference import difference, largest, scaled
from parity.judging.distance.limits import narrowest
from parity.judging.passes.flips import gradient_name, gradients_apart
from parity.judging.passes.float32 import Float32
from parity.recording import OTHER, Array, Batch, Framework
from parity.sides.live import LiveSide, Observation
from parity.verdict import Comparison, Reason

AGAIN = "judged again at the side's own activations"
"""What is told of a gradient that was."""


Back = Mapping[str, float]
"""How far each gradient of a side is from the judge's way back from the same activations, in absolute values."""


@dataclass(frozen=True)
class AtOwnActivations:
    """Judges failed gradients again, each side's at its own activations.

    Attributes:
        rule: what the pass judges by.
        judge: the judge's side, live in float64.
        sides: both sides, live in the dtype that is judged.
        batches: of the judge, float64.
    """

    rule: Float32
    judge: LiveSide
    sides: Mapping[Framework, LiveSide]
    batches: Sequence[Batch]
    _last: dict[tuple[Framework, int], Back | None] = field(default_factory=dict, init=False, repr=False)
    """Of the step that was asked last: its gradients come one after the other."""

    def __call__(self, comparison: Comparison) -> Comparison:
        """The comparison as it is, or as it comes out at the side's own activations."""
        key, side = comparison.key, comparison.side
        if side is None or not key.is_gradient or (back := self.back(side, key.step)) is None:
            return comparison
        name, scale = gradient_name(key), self.rule.scales.of[key]
        distance, other = scaled(back[name], scale), self.back(OTHER[side], key.step) or {}
        return self.rule.again(
            comparison, distance, scaled(other.get(name, 0.0), scale), Reason(AGAIN, "own activations")
        )

    def back(self, side: Framework, step: int) -> Back | None:
        """The way back of a side and the judge's beside it; None where its activations are further than their limit."""
        if any(kept != step for _, kept in self._last):
            self._last.clear()
        if (side, step) not in self._last:
            self._last[side, step] = self._back(side, step)
        return self._last[side, step]

    def _back(self, side: Framework, step: int) -> Back | None:
        parameters, batch, live = self.rule.judge.state_before(step).parameters, self.batches[step], self.sides[side]
        seen = live.observe(cast(parameters, live.dtype), batch)
        expected = self.judge.observe(parameters, batch).forward
        near = all(self._near(name, seen, expected) for name in expected if name not in self.rule.unshown)
        if not near:
            return None
        judged = self.judge.observe(parameters, batch, taught=cast(seen.forward, "float64"))
        return gradients_apart(seen, judged)

    def _near(self, name: str, seen: Observation, expected: Mapping[str, Array]) -> bool:
        found, right = seen.forward.get(name), expected[name]
        if found is None or found.shape != right.shape:
            return False
        return difference(found, right, largest(right)) <= narrowest(self.rule.dtype)
