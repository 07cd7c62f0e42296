"""A layer that normalises: with which epsilon, which variance, over what, read from what went in and came out.

Each way to normalise has one unknown, its epsilon. What was expected has to fit one of them first; then it is asked
whether what was found fits the same with another epsilon, or another one with the same epsilon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity.judging.hints.evidence import Case, Hint, with_digits
from parity.recording import PLACE, Array, Arrays

ENOUGH_GROUPS = 3
"""An epsilon is told by so many variances, at least: one alone is explained by any."""
PART = 8
"""So many examples or channels show whether a layer normalises in a way at all."""
NEGLIGIBLE = 1e-13
"""An epsilon below this share of the smallest variance is none."""


@dataclass(frozen=True)
class Way:
    """One way to normalise.

    Attributes:
        kind: the layer that does so.
        groups: how many groups of channels are normalised together; 0: the trailing axes, as many as the weight has;
            -1: each channel over the batch; -2: each channel by the running statistics.
        centred: whether the mean is taken off.
        unbiased: whether the variance is divided by one less.
        outside: whether the epsilon is added to the deviation, not to the variance.
    """

    kind: str
    groups: int
    centred: bool = True
    unbiased: bool = False
    outside: bool = False

    def words(self, beside: Way, epsilon: float) -> str:
        """What this way does otherwise than another one."""
        found = []
        if (self.kind, self.groups) != (beside.kind, beside.groups):
            groups = f" of {self.groups} groups" if self.groups > 0 else ""
            found.append(f"{self.kind}{groups}")
        if self.centred != beside.centred and self.kind == beside.kind:
            found.append("the mean left in" if beside.centred else "the mean taken off")
        if self.unbiased != beside.unbiased:
            found.append("the unbiased variance" if self.unbiased else "the biased variance")
        if self.outside != beside.outside:
            found.append(f"epsilon {epsilon:g} {'outside' if self.outside else 'inside'} the root")
        return " and ".join(found)


@dataclass(frozen=True)
class Layer:
    """What a layer was given, with its own arrays; all float64."""

    given: Array
    parameters: Arrays

    def statistics(self, way: Way) -> tuple[Array, Array]:
        """What is taken off, and the variance, both broadcast over what was given."""
        x, weight = self.given, self.parameters["weight"]
        if way.groups == -2:
            shape = (1, -1, *[1] * (x.ndim - 2))
            return self.parameters["running_mean"].reshape(shape), self.parameters["running_var"].reshape(shape)
        if way.groups > 0:
            x = x.reshape(x.shape[0], way.groups, -1)
        axes = tuple(range(x.ndim - weight.ndim, x.ndim)) if way.groups == 0 else (2,)
        if way.groups == -1:
            axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        mean = x.mean(axes, keepdims=True) if way.centred else np.zeros([1] * x.ndim)
        variance = np.mean((x - mean) ** 2, axes, keepdims=True)
        count = int(np.prod([x.shape[axis] for axis in axes]))
        variance = variance * (count / (count - 1) if way.unbiased and count > 1 else 1.0)
        if way.groups > 0:
            full = (*x.shape[:2], x.shape[2])
            return tuple(np.broadcast_to(a, full).reshape(self.given.shape) for a in (mean, variance))  # type: ignore[return-value]
        return mean, variance

    def part(self, way: Way, output: Array) -> tuple[Layer, Array]:
        """The layer and its output for a few examples, or a few channels where these are normalised over the batch."""
        if way.groups >= 0:
            return replace(self, given=self.given[:PART]), output[:PART]
        few = {name: array[:PART] for name, array in self.parameters.items()}
        return Layer(self.given[:, :PART], few), output[:, :PART]

    def output(self, way: Way, epsilon: float) -> Array:
        """What comes out."""
        mean, variance = self.statistics(way)
        with np.errstate(divide="ignore", invalid="ignore"):
            divisor = np.sqrt(variance) + epsilon if way.outside else np.sqrt(variance + epsilon)
            normal = (self.given - mean) / divisor
        return np.asarray(normal * self._along(way, "weight", 1.0) + self._along(way, "bias", 0.0))

    def epsilon(self, way: Way, output: Array) -> float:
        """The epsilon that fits where the variance is smallest, where it tells most; NaN where none does."""
        mean, variance = self.statistics(way)
        weight, bias = self._along(way, "weight", 1.0), self._along(way, "bias", 0.0)
        centred, scaled = (self.given - mean) * weight, output - bias
        spread = np.broadcast_to(variance, centred.shape)
        smallest = spread == np.min(spread)
        if len(np.unique(variance)) < ENOUGH_GROUPS or not np.min(variance) > 0:
            return float("nan")
        c, n = centred[smallest], scaled[smallest]
        divisor = float(np.vdot(c, c) / np.vdot(c, n)) if np.vdot(c, n) > 0 else float("nan")
        least = float(np.min(variance))
        found = divisor - least**0.5 if way.outside else divisor**2 - least
        if not found > -NEGLIGIBLE * least:
            return float("nan")
        return found if found > NEGLIGIBLE * least else 0.0

    def _along(self, way: Way, name: str, absent: float) -> Array:
        array = self.parameters.get(name)
        if array is None:
            return np.asarray(absent)
        return array if way.groups == 0 else array.reshape(1, -1, *[1] * (self.given.ndim - 2))

    def ways(self) -> Iterator[Way]:
        """Every way that the shapes allow, the usual ones first."""
        x, weight = self.given, self.parameters["weight"]
        if x.ndim > weight.ndim and x.shape[x.ndim - weight.ndim :] == weight.shape:
            yield Way("LayerNorm", 0)
            yield Way("RMSNorm", 0, centred=False)
        if x.ndim >= 2 and weight.shape == x.shape[1:2]:
            yield Way("batch statistics", -1)
            if {"running_mean", "running_var"} <= self.parameters.keys():
                yield Way("running statistics, as in evaluation", -2)
            # Of rows with one number in each group nothing is left.
            most = x.shape[1] if x.ndim > 2 else x.shape[1] - 1
            yield from (Way("GroupNorm", g) for g in range(1, most + 1) if x.shape[1] % g == 0)


def of_a_norm(case: Case) -> Iterator[Hint]:
    """What a normalising layer did otherwise, where one epsilon and one way explain all that came out of it."""
    expected, found = _layer(case, "expected"), _layer(case, "found")
    if expected is None or found is None:
        return
    for way in expected.ways():
        fits = _fit(case, expected, way, case.apart.here)
        if fits is None:
            continue
        epsilon, left = fits
        for other in (*(w for w in found.ways() if w != way), *_variants(way)):
            # A difference that has the same epsilon leaves nothing to choose.
            more = case.apart.left(found.output(other, epsilon))
            if more is not None:
                words = other.words(way, epsilon)
                back = way.words(other, epsilon)
                yield Hint(f"as with {words} where {case.other} it fits {back}", max(left, more))
                return
        for other in (way, *_variants(way)):
            if (also := _fit(case, found, other, case.apart.there)) is not None and also[0] != epsilon:
                more_words = "" if other == way else f" and {other.words(way, also[0])}"
                words = f"as with epsilon {also[0]:g}{more_words} where {case.other} it fits {epsilon:g}"
                yield Hint(words, max(left, also[1]))
                return


def _variants(way: Way) -> list[Way]:
    return [replace(way, unbiased=not way.unbiased), replace(way, outside=not way.outside)]


def _fit(case: Case, layer: Layer, way: Way, target: Array) -> tuple[float, float] | None:
    some, known = layer.part(way, target)
    epsilon = some.epsilon(way, known)
    if not np.isfinite(epsilon) or case.apart.unlike(some.output(way, epsilon), known):
        return None
    for digits in with_digits(layer.epsilon(way, target)):
        if (left := case.apart.left(layer.output(way, digits), unknowns=1, target=target)) is not None:
            return digits, left
    return None


def _layer(case: Case, which: str) -> Layer | None:
    """The layer whose output differs, as one of the sides called it; None where it does not normalise."""
    place = PLACE.match(case.key.tensor)
    recording = case.expected if which == "expected" else case.found
    if case.key.stage != "forward" or place is None or place["what"] != "output":
        return None
    given = recording.of("forward", case.key.step).get(case.key.tensor.replace(".output", ".input"))
    known = case.before.parameters
    prefix = f"{place['layer']}."
    weight = known.get(f"{prefix}weight")
    shapes = case.apart.here.shape, case.apart.there.shape
    if given is None or weight is None or shapes != (given.shape, given.shape):
        return None
    own = {n.removeprefix(prefix): a.astype(np.float64) for n, a in known.items() if n.startswith(prefix)}
    return Layer(given.astype(np.float64), {name: array for name, array in own.items() if array.shape == weight.shape})
