"""The float32 pass, or bfloat16's: each side's distance from the float64 judge, within what the other side shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from parity.judging.distance.difference import Scales, difference, exact, fault, scaled
from parity.judging.distance.limits import Float32Limit, capped, float32_limit, underflow
from parity.judging.distance.measured import distance_told
from parity.judging.distance.noise import Noise
from parity.judging.distance.sentinels import has_more, infinities_apart, may_hold_sentinels
from parity.judging.passes.float64 import compare_exact
from parity.recording import OTHER, Array, Dtype, Framework, Key, Recording, keys_of
from parity.verdict import Comparison, Outcome, Reason


def without_cap(dtype: Dtype) -> Reason:
    """What is said of a tensor whose yardstick exceeds the cap."""
    return Reason(f"no power in {dtype}: judged without the cap", "no power")


@dataclass
class Float32:
    """What the float32 pass judges by, or that in another `dtype`.

    Attributes:
        judge: the float64 recording.
        scales: of the judge's tensors.
        coarse: the coarse distance of each tensor that the cap applies to.
        noise_of: a side's float32 noise, drawn when first asked for.
        rejudge: judges a difference again where there is a reason for it that is not the side's: a flipped activation.
        unshown: names of tensors of layers that only one side can show, which are not compared.
        without_power: tensors whose yardstick exceeds the cap: judged without it, and listed.
    """

    judge: Recording
    scales: Scales
    coarse: Mapping[Key, float]
    noise_of: Callable[[Framework], Noise]
    rejudge: Callable[[Comparison], Comparison] = lambda comparison: comparison
    unshown: frozenset[str] = frozenset()
    without_power: set[Key] = field(default_factory=set)
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        self.noise_of = cache(self.noise_of)

    def listed(self, dtype: Dtype) -> list[str]:
        """A line for each tensor that had no power at any step of a run in `dtype`, in the order of the flow."""
        tensors = dict.fromkeys(f"{key.stage} {key.tensor}" for key in sorted(self.without_power, key=Key.flow))
        return [f"{dtype}: no power in {tensor}: judged without the cap" for tensor in tensors]

    def compare(self, sides: Mapping[Framework, Recording], loop: str | None = None) -> list[Comparison]:
        """Every tensor of both sides' recordings against the judge; data, init and whole numbers against each other."""
        keys = [key for key in keys_of(*sides.values()) if key.tensor not in self.unshown and not self._empty(key)]
        found: list[Comparison] = []
        for key in keys:
            found.extend(self._compare(key, sides, loop))
        return found

    def _empty(self, key: Key) -> bool:
        """Whether a gradient is null, and has no size in bfloat16: the rounding of a long sum is all that it is.

        Measured for a bias before batch norm, a sum of 6272: 17 eps of its stage's scale in JAX, 0.1 in torch.
        """
        return self.dtype == "bfloat16" and (key.stage, key.tensor) in self.scales.ever_null

    def _compare(self, key: Key, sides: Mapping[Framework, Recording], loop: str | None) -> list[Comparison]:
        told = {framework: distance_told(recording, key) for framework, recording in sides.items()}
        arrays = {framework: recording.get(key) for framework, recording in sides.items()}
        faults = {
            framework: self._fault(key, array, framework)
            for framework, array in arrays.items() if told[framework] is None
        }  # fmt: skip
        if any(faults.values()):
            return [
                Comparison(key, self.dtype, framework, loop, float("inf"), 0.0, None, "differ", *why)
                for framework, why in faults.items() if why
            ]  # fmt: skip
        if any(array is not None and exact(key, array) for array in arrays.values()):
            return [compare_exact(key, arrays["torch"], arrays["jax"], self.dtype, loop)]
        distances = {
            framework: self._distance(key, arrays[framework]) if apart is None else scaled(apart, self.scales.of[key])
            for framework, apart in told.items()
        }
        return [self._judged(key, framework, distances, loop) for framework in distances]

    def _fault(self, key: Key, array: Array | None, framework: Framework) -> Reason | None:
        expected = self.judge.get(key)
        why = fault(array, framework, self.dtype, key)
        if why or array is None or key.stage in ("data", "init"):
            return why
        if expected is None:
            return Reason(f"only on the {framework} side, not in the judge", "missing")
        if array.shape != expected.shape:
            return Reason(f"{framework} has shape {array.shape}, the judge {expected.shape}", "shape")
        if may_hold_sentinels(key) and infinities_apart(array, expected):
            where = f"on the {framework} side" if has_more(array, expected) else "in the judge"
            return Reason(f"infinity {where} alone", "infinity")
        return None

    def _distance(self, key: Key, array: Array | None) -> float:
        expected = self.judge.get(key)
        assert array is not None
        assert expected is not None
        return difference(array, expected, self.scales.of[key], key)

    def _judged(
        self, key: Key, framework: Framework, distances: Mapping[Framework, float], loop: str | None
    ) -> Comparison:
        distance, other = distances[framework], OTHER[framework]
        noise = self.noise_of(other)
        limit = self.limit(key, distances[other], noise.of(key))
        if distance > limit.limit:
            differing = Comparison(key, self.dtype, framework, loop, distance, limit.limit, None, "differ")
            again = self.rejudge(differing)
            if again.outcome == "agree":
                return again
        while distance > limit.limit and noise.draw():
            limit = self.limit(key, distances[other], noise.of(key))
        if not limit.has_power:
            self.without_power.add(key)
        outcome: Outcome = "agree" if distance <= limit.limit else "differ"
        why = Reason() if limit.has_power else without_cap(self.dtype)
        return Comparison(key, self.dtype, framework, loop, distance, limit.limit, None, outcome, *why)

    def again(self, comparison: Comparison, distance: float, other_distance: float, why: Reason) -> Comparison:
        """The comparison as it comes out with other distances, without noise, and why they were taken."""
        limit = self.limit(comparison.key, other_distance, 0.0).limit
        outcome: Outcome = "agree" if distance <= limit else "differ"
        return replace(comparison, difference=distance, limit=limit, outcome=outcome, note=why.note, cause=why.cause)

    def limit(self, key: Key, other_distance: float, other_noise: float) -> Float32Limit:
        """The limit of one tensor, given what the other side shows."""
        coarse = self.coarse.get(key) if capped(key) else None
        return float32_limit(other_distance, other_noise, coarse, underflow(self.scales.of[key]), self.dtype)


def coarse_distances(apart: Mapping[Key, float], scales: Scales) -> dict[Key, float]:
    """How far each activation and gradient moved in a run one precision lower, told in the scale of the tensor."""
    return {key: scaled(here, scales.of[key]) for key, here in apart.items() if capped(key)}
