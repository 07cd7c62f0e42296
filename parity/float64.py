"""The float64 pass: two recordings against each other, within a limit that comes from their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from parity.difference import Scales, difference, exact, fault
from parity.factors import FLOAT64_CEILING, FLOAT64_FLOOR
from parity.limits import float64_limit
from parity.noise import Noise
from parity.recording import Array, Dtype, Framework, Key, Recording, keys_of
from parity.verdict import Comparison

NoiseOf = Callable[[Framework], Noise]


def compare_exact(
    key: Key, torch: Array | None, jax: Array | None, dtype: Dtype, loop: str | None = None
) -> Comparison:
    """A bit-exact comparison of both sides: data, initial parameters, whole numbers."""
    note = fault(torch, "torch", dtype) or fault(jax, "jax", dtype)
    apart = float("inf")
    if torch is not None and jax is not None and not note:
        note, apart = _unequal(key, torch, jax)
    return Comparison(key, dtype, None, loop, apart, 0.0, None, "differ" if note else "agree", note)


def _unequal(key: Key, torch: Array, jax: Array) -> tuple[str, float]:
    if torch.shape != jax.shape or torch.dtype != jax.dtype:
        return f"torch has {torch.dtype} {torch.shape}, jax {jax.dtype} {jax.shape}", float("inf")
    if torch.tobytes() == jax.tobytes():
        return "", 0.0
    if key.stage == "data":
        return "the bytes are not the same", float("inf")
    scale = max(float(abs(torch).max()), float(abs(jax).max()))
    return "not bit for bit the same", difference(torch, jax, scale)


def compare_float64(
    torch: Recording, jax: Recording, scales: Scales, noise_of: NoiseOf, *,
    keys: Iterable[Key] | None = None, loop: str | None = None,
) -> list[Comparison]:  # fmt: skip
    """Every tensor of the two recordings, or those of `keys`. Noise is drawn only where the floor does not suffice."""
    wanted = keys_of(torch, jax) if keys is None else keys
    limit_of = _Limits(noise_of)
    return [_compare(key, torch.get(key), jax.get(key), scales, limit_of, loop) for key in wanted]


class _Limits:
    """The limit of each tensor from the noise of both sides, which is drawn only as far as a difference asks for it."""

    def __init__(self, noise_of: NoiseOf) -> None:
        self._noise_of = cache(noise_of)

    def of(self, key: Key, apart: float) -> float:
        if apart <= FLOAT64_FLOOR or apart > FLOAT64_CEILING:
            return FLOAT64_FLOOR
        torch, jax = self._noise_of("torch"), self._noise_of("jax")
        limit = float64_limit(torch.of(key), jax.of(key))
        while apart > limit and torch.draw() and jax.draw():
            limit = float64_limit(torch.of(key), jax.of(key))
        return limit


def _compare(
    key: Key, torch: Array | None, jax: Array | None, scales: Scales, limits: _Limits, loop: str | None
) -> Comparison:
    note = fault(torch, "torch", "float64") or fault(jax, "jax", "float64")
    if note or torch is None or jax is None:
        return Comparison(key, "float64", None, loop, float("inf"), FLOAT64_FLOOR, None, "differ", note)
    if exact(key, torch) or exact(key, jax):
        return compare_exact(key, torch, jax, "float64", loop)
    if torch.shape != jax.shape:
        note = f"torch has shape {torch.shape}, jax {jax.shape}"
        return Comparison(key, "float64", None, loop, float("inf"), FLOAT64_FLOOR, None, "differ", note)
    apart = difference(torch, jax, scales.of[key])
    limit = limits.of(key, apart)
    note = "null gradient" if (key.stage, key.tensor) in scales.null else ""
    return Comparison(key, "float64", None, loop, apart, limit, None, "agree" if apart <= limit else "differ", note)
