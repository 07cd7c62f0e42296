"""What a difference looks like, where it has a known shape. A hint, never a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from parity.live import LiveSide
from parity.recording import Array, Framework, Key, Recording
from parity.runs import SCORED

CLOSE = 1e-5
"""A shape counts as found where it explains the difference to this share of the array's size."""
COMMON_FACTORS = {2.0: "twice as large", 0.5: "half as large", -1.0: "of the opposite sign"}


def _close(a: Array, b: Array) -> bool:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    size = float(np.max(np.abs(a))) if a.size else 0.0
    return a.shape == b.shape and size > 0 and float(np.max(np.abs(a - b))) <= CLOSE * size


def _ratio(expected: Array, found: Array) -> float:
    """The constant that brings the expected array nearest to the found one, by least squares."""
    square = float(np.vdot(expected, expected).real)
    return float(np.vdot(expected, found).real) / square if square else float("nan")


def _scaled(expected: Array, found: Array) -> str:
    factor = _ratio(expected, found)
    if not np.isfinite(factor) or abs(factor - 1) < CLOSE or not _close(factor * expected, found):
        return ""
    for common, words in COMMON_FACTORS.items():
        if abs(factor / common - 1) < CLOSE:
            return words
    return f"{factor:.6g} times as large" if abs(factor) > 0.5 else f"{1 / factor:.6g} times smaller"


def _shapes(expected: Array, found: Array) -> Iterator[str]:
    if not found.any() and expected.any():
        yield "zero"
    if not expected.any() and found.any():
        yield "not zero, as it is on the other"
    if scaled := _scaled(expected, found):
        yield scaled
    if expected.ndim == 2 and _close(expected.T, found):
        yield "transposed"
    apart = found - expected
    if expected.size > 1 and apart.any() and _close(np.broadcast_to(apart.flat[0], apart.shape), apart):
        yield f"{apart.flat[0]:+.3g} everywhere"
    reordered = _close(np.sort(expected, axis=None), np.sort(found, axis=None))
    if reordered and not _close(expected, found):
        yield "the same values in another order"


def _against_neighbours(key: Key, expected: Recording, found: Recording) -> Iterator[str]:
    here, there = expected.get(key), found.get(key)
    before, after = expected.get(key._replace(step=key.step - 1)), expected.get(key._replace(step=key.step + 1))
    own_before = found.get(key._replace(step=key.step - 1))
    if here is None or there is None:
        return
    if before is not None and _close(before, there):
        yield "one step late"
    if after is not None and _close(after, there):
        yield "one step early"
    for earlier in (before, own_before):
        if earlier is not None and earlier.shape == here.shape and _close(here + earlier, there):
            yield "added to the value of the step before, as where a gradient is not zeroed"


def _of_change(key: Key, expected: Recording, found: Recording) -> Iterator[str]:
    if key.stage not in ("update", "trajectory"):
        return
    start, start_found = (_parameter_before(key, side) for side in (expected, found))
    here, there = expected.get(key), found.get(key)
    if start is None or start_found is None or here is None or there is None or here.shape != there.shape:
        return
    change, change_found = here - start, there - start_found
    if not change_found.any():
        yield "not moved"
    elif not change.any():
        yield "moved, where the other did not"
    elif scaled := _scaled(change, change_found):
        yield f"{scaled} in its change"


def _parameter_before(key: Key, recording: Recording) -> Array | None:
    """A parameter as it stood before a step; None where there is none of that name, or it was not kept."""
    if key.tensor not in recording.of("init", 0):
        return None
    before = ("init", 0) if key.step == 0 else ("trajectory", key.step - 1)
    return recording.of(*before).get(key.tensor)


def looks_like(key: Key, expected: Recording, found: Recording, side: Framework) -> str:
    """A phrase for how what `side` found looks beside what was expected; empty where it has no known shape."""
    here, there = expected.get(key), found.get(key)
    if here is None or there is None or not (here.dtype.kind == there.dtype.kind == "f"):
        return ""
    hints = list(_of_change(key, expected, found)) + list(_against_neighbours(key, expected, found))
    if here.shape == there.shape:
        hints += list(_shapes(here.astype(np.float64), there.astype(np.float64)))
    elif here.ndim == 2 and here.shape == there.shape[::-1] and _close(here.T, there):
        hints.append("transposed")
    return f"on the {side} side it is {hints[0]}" if hints else ""


def looks_like_data(key: Key, live: Mapping[Framework, LiveSide], seed: int, steps: int) -> str:
    """The same for an entry of a batch, of which recordings keep a digest only."""
    batches = {framework: side.batches(seed, steps) for framework, side in live.items()}

    def entry(framework: Framework, step: int) -> Array | None:
        if key.tensor.startswith(SCORED):
            entries = (
                (f"{SCORED}{n}.{e}", array) for n, b in live[framework].scored(seed).items() for e, array in b.items()
            )
            return dict(entries).get(key.tensor) if step == key.step else None
        return batches[framework][step].get(key.tensor) if 0 <= step < steps else None

    here, there = entry("torch", key.step), entry("jax", key.step)
    if here is None or there is None or here.shape != there.shape:
        return ""
    tests: list[tuple[Callable[[], bool], str]] = [
        (
            lambda: _same(entry("torch", key.step - 1), there) or _same(here, entry("jax", key.step + 1)),
            "the batch of one step before",
        ),
        (
            lambda: _same(entry("torch", key.step + 1), there) or _same(here, entry("jax", key.step - 1)),
            "the batch of one step later",
        ),
        (lambda: any(_same(np.roll(here, by, axis=0)[1:-1], there[1:-1]) for by in (1, -1)), "shifted by one example"),
        (lambda: _same(here + 1, there) or _same(here - 1, there), "off by one"),
    ]
    for test, words in tests:
        if test():
            return f"on the jax side it is {words}"
    scaled = _scaled(here.astype(np.float64), there.astype(np.float64))
    return f"on the jax side it is {scaled}" if scaled else ""


def looks_like_another_batch(key: Key, expected: Recording, found: Recording, side: Framework) -> str:
    """The same from the digests alone, where a side was recorded: whether `side` found the batch of another step."""
    for by, words in ((-1, "before"), (1, "later")):
        if _same(found.get(key), expected.get(key._replace(step=key.step + by))):
            return f"on the {side} side it is the batch of one step {words}"
    return ""


def _same(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and bool(np.array_equal(a, b))
