"""What a difference in the data looks like, of which recordings keep a digest only: the batches are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

import numpy as np

from parity.judging.hints.constants import Run
from parity.judging.hints.evidence import Apart, Hint
from parity.judging.hints.order import reordered, transposed
from parity.judging.hints.same_shape import scaled
from parity.recording import Array, Framework, Key, Recording
from parity.sides.live import LiveSide
from parity.sides.runs import SCORED


def looks_like_data(key: Key, live: Mapping[Framework, LiveSide], seed: int, steps: int) -> str:
    """One line for how an entry of a batch on the jax side looks beside torch's; empty where it has no known shape."""
    batches = {framework: side.batches(seed, steps) for framework, side in live.items()}

    def entry(framework: Framework, step: int) -> Array | None:
        if key.tensor.startswith(SCORED):
            entries = (
                (f"{SCORED}{n}.{e}", array) for n, b in live[framework].scored(seed).items() for e, array in b.items()
            )
            return dict(entries).get(key.tensor) if step == key.step else None
        return batches[framework][step].get(key.tensor) if 0 <= step < steps else None

    here, there = entry("torch", key.step), entry("jax", key.step)
    if here is None or there is None:
        return ""
    hint = _of_steps(key.step, entry) or _of_numbers(here, there)
    return f"on the jax side it is {hint}" if hint else ""


def _of_steps(step: int, entry: Callable[[Framework, int], Array | None]) -> str:
    here, there = entry("torch", step), entry("jax", step)
    before, after = "the batch of one step before", "the batch of one step later"
    for words, by in ((before, -1), (after, 1)):
        if _same(entry("torch", step + by), there) or _same(here, entry("jax", step - by)):
            return words
    return ""


def _of_numbers(here: Array, there: Array) -> str:
    if here.shape == there.shape:
        # The first and the last example have nobody to be held against, and one alone may be alike by chance.
        if here.ndim and len(here) > 3 and any(_same(np.roll(here, by, axis=0)[1:-1], there[1:-1]) for by in (1, -1)):
            return "shifted by one example"
        if _same(here + 1, there) or _same(here - 1, there):
            return "off by one"
    apart = Apart.of(here, there)
    if not apart.finite:
        return ""
    found: Hint | None = next(chain(scaled(apart, Run()), transposed(apart), reordered(apart)), None)
    return str(found or "")


def looks_like_another_batch(key: Key, expected: Recording, found: Recording, side: Framework) -> str:
    """The same from the digests alone, where a side was recorded: whether `side` found the batch of another step."""
    for by, words in ((-1, "before"), (1, "later")):
        if _same(found.get(key), expected.get(key._replace(step=key.step + by))):
            return f"on the {side} side it is the batch of one step {words}"
    return ""


def _same(a: Array | None, b: Array | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and bool(np.array_equal(a, b))
