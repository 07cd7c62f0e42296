"""The float64 pass: two recordings against each other, within a limit that comes from their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from parity.arrays.bits import same_bits
from parity.judging.distance.difference import Scales, difference, exact, fault, shapes_apart
from parity.judging.distance.factors import FLOAT64_CEILING, FLOAT64_FLOOR
from parity.judging.distance.limits import float64_limit
from parity.judging.distance.noise import Noise
from parity.judging.distance.sentinels import has_more, infinities_apart
from parity.recording import WHOLE, Array, Dtype, Framework, Key, Recording
from parity.verdict import Comparison, Outcome, Reason

NoiseOf = Callable[[Framework, int | None], Noise]
"""A side's noise over so many steps; None: over all."""


def compare_exact(key: Key, torch: Array | None, jax: Array | None, dtype: Dtype, loop: str | None) -> Comparison:
    """A bit-exact comparison of both sides: data, initial parameters, whole numbers; these in however many bits."""
    why = fault(torch, "torch", dtype) or fault(jax, "jax", dtype)
    apart = float("inf")
    if torch is not None and jax is not None and not why:
        why, apart = _unequal(key, torch, jax)
    return Comparison(key, dtype, None, loop, apart, 0.0, None, "differ" if why else "agree", *(why or Reason()))


def _unequal(key: Key, torch: Array, jax: Array) -> tuple[Reason | None, float]:
    if why := shapes_apart(torch, jax):
        return why, float("inf")
    whole = torch.dtype.kind in WHOLE and jax.dtype.kind in WHOLE
    if torch.dtype != jax.dtype and not whole:
        return Reason(f"torch has dtype {torch.dtype}, jax {jax.dtype}", "dtype"), float("inf")
    if np.array_equal(torch, jax) if whole else same_bits(torch, jax):
        return None, 0.0
    if key.stage == "data":
        return Reason("the bytes are not the same", "bytes"), float("inf")
    scale = max(float(abs(torch).max()), float(abs(jax).max()))
    return Reason("not bit for bit the same"), difference(torch, jax, scale)


def compare_float64(
    torch: Recording, jax: Recording, scales: Scales, noise_of: NoiseOf, *, keys: Iterable[Key],
    loop: str | None = None,
) -> list[Comparison]:  # fmt: skip
    """Those tensors of the two recordings. Noise is drawn only where the floor does not suffice."""
    found = [compare_one(key, torch.get(key), jax.get(key), scales, loop) for key in keys]
    doubtful = [c for c in found if c.limit == FLOAT64_FLOOR and FLOAT64_FLOOR < c.difference <= FLOAT64_CEILING]
    if not doubtful:
        return found
    # No longer than to the last tensor in doubt; scores are taken after the last step.
    until = None if any(c.key.stage == "score" for c in doubtful) else max(c.key.step for c in doubtful) + 1
    noises = noise_of("torch", until), noise_of("jax", until)
    return [_explained(c, *noises) if c in doubtful else c for c in found]


def compare_one(
    key: Key, torch: Array | None, jax: Array | None, scales: Scales, loop: str | None = None
) -> Comparison:
    """One tensor of both sides, within the narrowest limit that there is."""
    why = fault(torch, "torch", "float64", key) or fault(jax, "jax", "float64", key)
    if why or torch is None or jax is None:
        return Comparison(key, "float64", None, loop, float("inf"), FLOAT64_FLOOR, None, "differ", *(why or Reason()))
    if exact(key, torch) or exact(key, jax):
        return compare_exact(key, torch, jax, "float64", loop)
    if why := shapes_apart(torch, jax):
        return Comparison(key, "float64", None, loop, float("inf"), FLOAT64_FLOOR, None, "differ", *why)
    apart = difference(torch, jax, scales.of[key], key)
    why = Reason("null gradient", "null gradient") if (key.stage, key.tensor) in scales.null else Reason()
    if infinities_apart(torch, jax):
        why = Reason(f"infinity on the {'torch' if has_more(torch, jax) else 'jax'} side alone", "infinity")
    outcome: Outcome = "agree" if apart <= FLOAT64_FLOOR else "differ"
    return Comparison(key, "float64", None, loop, apart, FLOAT64_FLOOR, None, outcome, *why)


def _explained(comparison: Comparison, torch: Noise, jax: Noise) -> Comparison:
    """The comparison within the limit that comes from the noise of both sides, drawn as far as it asks for it."""
    key, apart = comparison.key, comparison.difference
    limit = float64_limit(torch.of(key), jax.of(key))
    while apart > limit and torch.draw() and jax.draw():
        limit = float64_limit(torch.of(key), jax.of(key))
    return replace(comparison, limit=limit, outcome="agree" if apart <= limit else "differ")
