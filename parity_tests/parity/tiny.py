"""The tiny pair, and ways to get at one of its sides: what the engine's own tests are run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from parity.pair.pair import Pair, Side
from parity.recording import FRAMEWORKS, Array, Arrays, Dtype, Framework, State
from parity.sides.live import LiveSide, live_side

Run = tuple[Array, State]
"""The losses of a loop and the state at its end."""
Mistake = Callable[[Callable[..., Run]], Callable[..., Any]]
"""From the right loop to a wrong one."""
_MODULES = {framework: f"parity_tests.parity.tiny_{framework}" for framework in FRAMEWORKS}
_SIDES = {name: Side.from_module(module, optimizer=f"{module}:optimizer") for name, module in _MODULES.items()}


def tiny(steps: int = 2, torch: dict[str, Any] | None = None, jax: dict[str, Any] | None = None) -> Pair:
    """The tiny pair, some parts of its sides replaced."""
    sides = replace(_SIDES["torch"], **(torch or {})), replace(_SIDES["jax"], **(jax or {}))
    return Pair(name="tiny", torch=sides[0], jax=sides[1], steps=steps, labels="labels")


def planted(framework: Framework, steps: int = 2, **parts: Any) -> Pair:
    """The tiny pair, some parts of one side replaced."""
    return tiny(steps, **{framework: parts})


def live(framework: Framework, dtype: Dtype = "float64", **parts: Any) -> LiveSide:
    """One side of the tiny pair, ready to run on the CPU, some of its parts replaced."""
    return live_side(planted(framework, **parts).side(framework), framework, dtype, "cpu")


def same(first: Arrays, second: Arrays) -> bool:
    """Whether two dictionaries have the same names and, bit for bit, the same arrays."""
    return first.keys() == second.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in ((first[name], second[name]) for name in first)
    )


def loops(
    framework: Framework, wrong: Mapping[str, Mistake] | None = None, pair: Callable[[], Pair] = tiny
) -> dict[str, Any]:
    """Parts of a side with loops of its own: the right one, `stepped`, and those that `wrong` makes of it by name.

    The right one takes the steps of that side of the `pair`.
    """
    right = partial(_train, pair, framework)
    driven = {"stepped": right} | {name: mistake(right) for name, mistake in (wrong or {}).items()}
    return {"train": lambda name, **asked: driven[name](**asked), "loops": tuple(driven)}


def _train(
    pair: Callable[[], Pair], framework: Framework, *, seed: int, dtype: Dtype, state: State | None, start: int,
    count: int, **_: Any,
) -> Run:  # fmt: skip
    side, losses = _right(pair, framework, dtype), []
    reached = state or State(side.initial(seed), {})
    for batch in side.batches(seed, start + count)[start:]:
        loss, gradients, _ = side.gradients(reached.parameters, batch)
        reached = side.update(reached, gradients)
        losses.append(loss)
    return np.array(losses), reached


@cache
def _right(pair: Callable[[], Pair], framework: Framework, dtype: Dtype) -> LiveSide:
    return live_side(pair().side(framework), framework, dtype, "cpu")
