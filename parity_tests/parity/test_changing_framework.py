"""Training that begins in one framework and goes on in the other ends where training in one of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from parity import Pair
from parity.live import LiveSide, live_side
from parity.pair import load_pair
from parity.recording import FRAMEWORKS, Batch, Framework, State
from parity_tests.parity import small_torch
from parity_tests.parity.test_check_optimizers import halving, translated
from parity_tests.proof import ROOT

BOUND = 1e-10
"""Of any parameter after the last step, by its largest absolute value."""
CHANGED = 0.4
"""Which share of the steps is taken before the change."""


def known(state: State) -> State:
    """Without what the torch side alone holds."""
    return state._replace(parameters={n: a for n, a in state.parameters.items() if "num_batches" not in n})


def onward(side: LiveSide, state: State, batches: Sequence[Batch]) -> State:
    """Some steps from a state, which may be the other side's."""
    for batch in batches:
        found = side.gradients(state.parameters, batch)
        state = side.update(state, found.parameters)
        state = state._replace(parameters=state.parameters | found.buffers)
    return state


def expect_no_seam(pair: Pair, steps: int) -> None:
    sides: dict[Framework, LiveSide] = {name: live_side(pair.side(name), name, "float64", "cpu") for name in FRAMEWORKS}
    batches = sides["torch"].batches(0, steps)
    alone = {name: [known(step.state) for step in side.run(side.initial(0), batches)] for name, side in sides.items()}
    at = int(CHANGED * steps)
    ways: list[tuple[Framework, Framework]] = [("torch", "jax"), ("jax", "torch")]
    for first, second in ways:
        begun = alone[first][at - 1]
        if second == "torch":
            held = {name: array for name, array in sides["torch"].initial(0).items() if "num_batches" in name}
            begun = begun._replace(parameters=begun.parameters | held)
        ended = known(onward(sides[second], begun, batches[at:]))
        for name, array in alone["torch"][-1].parameters.items():
            apart = np.max(np.abs(ended.parameters[name] - array))
            assert apart <= BOUND * np.max(np.abs(array)), f"{first} then {second}: {name}"


def test_the_small_pair_has_no_seam() -> None:
    expect_no_seam(translated(small_torch.optimizer, scheduler=halving), 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "mnist"])
def test_training_has_no_seam(name: str) -> None:
    pair = load_pair(ROOT / "parity_tests" / "pairs" / f"{name}.py")
    expect_no_seam(replace(pair, jax=replace(pair.jax, optimizer=None)), 100)
