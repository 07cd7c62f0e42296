"""How far two arrays of one name are apart, told in the scale of the tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parity.arrays.rounding import holds_bfloat16
from parity.judging.distance.factors import NULL
from parity.judging.distance.sentinels import apart_beside_sentinels, may_hold_sentinels, without_sentinels
from parity.recording import Array, Key, Recording
from parity.verdict import Reason

BIT_EXACT = ("data", "init")


def exact(key: Key, array: Array) -> bool:
    """Whether this tensor is compared bit by bit: data, initial parameters and whole numbers are."""
    return key.stage in BIT_EXACT or array.dtype.kind != "f"


def largest(array: Array) -> float:
    """The largest absolute value of an array, 0 of an empty one; NaN where it holds one."""
    return float(np.max(np.abs(array))) if array.size else 0.0


@dataclass(frozen=True)
class Scales:
    """The scale of every tensor at every step, and which gradients are null.

    A scale is the largest absolute value of the tensor so far in the run; that of a null gradient, which is nothing but
    rounding, is the largest of all gradients of its stage so far. So is that of a gradient as long as it is null: which
    examples a batch holds may decide whether there is one.
    """

    of: dict[Key, float]
    null: frozenset[tuple[str, str]]
    """Stage and tensor of each null gradient."""
    begins_null: frozenset[tuple[str, str]] = frozenset()
    """Stage and tensor of each gradient that is null in the first steps, and not in all."""

    @property
    def ever_null(self) -> frozenset[tuple[str, str]]:
        """Stage and tensor of each gradient that is null in the first steps or in all."""
        return self.null | self.begins_null


def scales(recordings: Sequence[Recording]) -> Scales:
    """Scales over the tensors of all `recordings` together."""
    return scales_of([sizes(recording) for recording in recordings])


def sizes(recording: Recording) -> dict[Key, float]:
    """The largest absolute value of every tensor that has a scale, sentinels left out."""
    arrays = ((key, recording.of(key.stage, key.step)[key.tensor]) for key in recording.flow())
    return {key: largest(without_sentinels(key, array)) for key, array in arrays if not exact(key, array)}


def scales_of(found: Sequence[Mapping[Key, float]]) -> Scales:
    """Scales over the `sizes` of all recordings together."""
    running: dict[tuple[str, str], float] = {}
    stage_running: dict[str, float] = {}
    stage_until: dict[tuple[str, int], float] = {}
    own: dict[Key, float] = {}
    for key in sorted(dict.fromkeys(key for here in found for key in here), key=Key.flow):
        here = max(of_side[key] for of_side in found if key in of_side)
        name = (key.stage, key.tensor)
        own[key] = running[name] = max(running.get(name, 0.0), here)
        if key.is_gradient:
            # A step's own gradients count all together, whichever comes first.
            stage_running[key.stage] = max(stage_running.get(key.stage, 0.0), here)
            stage_until[key.stage, key.step] = stage_running[key.stage]
    null = frozenset(
        name for name, value in running.items()
        if Key(name[0], 0, name[1]).is_gradient and value < NULL * stage_running[name[0]]
    )  # fmt: skip
    # One that is zero so far has nothing that a scale is needed for.
    so_far = {
        key for key, value in own.items()
        if key.is_gradient and 0 < value < NULL * stage_until[key.stage, key.step]
    }  # fmt: skip
    wide = {key: stage_until[key.stage, key.step] for key in own if key in so_far or (key.stage, key.tensor) in null}
    return Scales(own | wide, null, frozenset((key.stage, key.tensor) for key in so_far) - null)


def difference(a: Array, b: Array, scale: float, key: Key | None = None) -> float:
    """The largest absolute value of a - b over the scale; 0 for equal arrays, infinite where they differ and it is 0.

    Both are taken to float64 first. Shapes are equal. Of a tensor whose `key` is given, sentinels count by their share.
    """
    return scaled(apart(a, b, key), scale)


def apart(a: Array, b: Array, key: Key | None = None) -> float:
    """The largest absolute value of a - b, both taken to float64 first. Shapes are equal.

    Of a tensor whose `key` is given, sentinels count as `apart_beside_sentinels` has it.
    """
    beside = apart_beside_sentinels(a, b, _apart) if key and may_hold_sentinels(key) else None
    return _apart(a, b) if beside is None else beside


def _apart(a: Array, b: Array) -> float:
    return largest(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def scaled(apart: float, scale: float) -> float:
    """So far apart, told in the scale; 0 where it is 0, infinite where only the scale is."""
    return 0.0 if apart == 0 else apart / scale if scale > 0 else float("inf")


def _dtype_of(array: Array, asked: str) -> str:
    """The dtype of a floating array. What bfloat16 has is float32 here, too, as long as nothing else is in it."""
    if asked == "bfloat16" and array.dtype == np.float32:
        return "bfloat16" if holds_bfloat16(array) else "more than bfloat16"
    return array.dtype.name


def shapes_apart(torch: Array, jax: Array) -> Reason | None:
    """What is said of two arrays of different shapes; None where they are of one."""
    return None if torch.shape == jax.shape else Reason(f"torch has shape {torch.shape}, jax {jax.shape}", "shape")


def fault(array: Array | None, framework: str, dtype: str, key: Key | None = None) -> Reason | None:
    """Why an array cannot be compared at all; None where it can.

    Minus infinity can be, in a tensor whose `key` is given and which may hold it as a mask. Any other was computed.
    """
    if array is None:
        return Reason(f"missing on the {framework} side", "missing")
    if array.dtype.kind == "f":
        if (found := _dtype_of(array, dtype)) != dtype:
            return Reason(f"{found} on the {framework} side of a {dtype} run", "dtype")
        if np.isnan(array).any():
            return Reason(f"NaN on the {framework} side", "NaN")
        infinite = np.isposinf if key and may_hold_sentinels(key) else np.isinf
        if infinite(array).any():
            return Reason(f"infinity on the {framework} side", "infinity")
    return None
