"""Training that begins in one framework and goes on in the other ends where training in one of them ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from parity import Pair, random_batches
from parity.judging.distance.factors import NULL
from parity.pair.importing import load_pair
from parity.recording import FRAMEWORKS, Arrays, Batch, Framework, State
from parity.sides.live import LiveSide, live_side
from parity_tests.parity import small_torch
from parity_tests.parity.judging.test_check_optimizers import halving, translated
from parity_tests.proof import ROOT

BOUND = 1e-10
"""Of any parameter after the last step, by its largest absolute value."""
NOISE = 1e-14
"""A gradient of the convolutional net that is nothing but rounding is at most this (measured: 1.3e-15)."""
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


class Ends(NamedTuple):
    """What a run in torch alone ends with, and the largest gradient of each parameter in it."""

    alone: Arrays
    gradients: dict[str, float]
    changed: dict[str, Arrays]
    """What the run ends with that began in one framework and went on in the other, by both names."""


def ends(pair: Pair, steps: int) -> Ends:
    sides: dict[Framework, LiveSide] = {name: live_side(pair.side(name), name, "float64", "cpu") for name in FRAMEWORKS}
    batches = sides["torch"].batches(0, steps)
    alone = {name: list(side.run(side.initial(0), batches)) for name, side in sides.items()}
    at, changed = int(CHANGED * steps), {}
    ways: list[tuple[Framework, Framework]] = [("torch", "jax"), ("jax", "torch")]
    for first, second in ways:
        begun = known(alone[first][at - 1].state)
        if second == "torch":
            held = {name: array for name, array in sides["torch"].initial(0).items() if "num_batches" in name}
            begun = begun._replace(parameters=begun.parameters | held)
        changed[f"{first} then {second}"] = known(onward(sides[second], begun, batches[at:])).parameters
    slopes = [step.gradients.parameters for steps in alone.values() for step in steps]
    largest = {name: max(float(np.max(np.abs(found[name]))) for found in slopes) for name in slopes[0]}
    return Ends(known(alone["torch"][-1].state).parameters, largest, changed)


def expect_no_seam(found: Ends, moved_by_noise: Mapping[str, float] | None = None) -> None:
    """All but what noise moves ends within the bound; that by no more than it is said to be moved."""
    for way, ended in found.changed.items():
        assert ended.keys() == found.alone.keys()
        for name, array in found.alone.items():
            bound = (moved_by_noise or {}).get(name, BOUND * np.max(np.abs(array)))
            assert np.max(np.abs(ended[name] - array)) <= bound, f"{way}: {name}"


def test_the_small_pair_has_no_seam() -> None:
    expect_no_seam(ends(translated(small_torch.optimizer, scheduler=halving), 10))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "mnist"])
def test_training_has_no_seam(name: str) -> None:
    pair = load_pair(ROOT / "parity_tests" / "pairs" / f"{name}.py")
    expect_no_seam(ends(replace(pair, jax=replace(pair.jax, optimizer=None)), 100))


def convnet(optimizer: Callable[[Any], torch.optim.Optimizer]) -> Pair:
    """The small convolutional net on small batches, each of its own."""
    sides = {side: f"parity_tests.ports.convnet.in_{side}" for side in FRAMEWORKS}
    return Pair(
        torch={"model": f"{sides['torch']}:Net", "loss": f"{sides['torch']}:loss", "optimizer": optimizer},
        jax={"model": f"{sides['jax']}:Net", "loss": f"{sides['jax']}:loss"},
        batches=random_batches(images=(8, 1, 28, 28), labels=(8,), classes=10, steps=100),
        weight_map={"fc1.weight": "fc1.kernel: flatten 16 7 7"},
    )


@pytest.mark.slow
def test_training_of_the_convolutional_net_has_no_seam() -> None:
    expect_no_seam(ends(convnet(lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9)), 100))


@pytest.mark.slow
def test_what_adam_makes_of_noise_is_all_that_a_seam_moves() -> None:
    """A bias before a batch norm has no effect, and a gradient that is nothing but rounding: it is null.

    Adam's step along a gradient of at most `g` is at most `lr g / eps`, since the mean is at most `g` and the root at
    least 0: two runs whose noise is another are no more than `2 steps lr g / eps` apart. The running mean of the
    batch norm behind it holds the bias, and moves with it.
    """
    steps, rate, epsilon = 100, 1e-3, 1e-8
    found = ends(convnet(lambda parameters: torch.optim.Adam(parameters, lr=rate, eps=epsilon)), steps)
    null = {name for name, gradient in found.gradients.items() if gradient < NULL * max(found.gradients.values())}
    assert null == {"conv1.bias", "conv2.bias"}
    assert max(found.gradients[name] for name in null) < NOISE
    bound = 2 * steps * rate * NOISE / epsilon
    expect_no_seam(found, dict.fromkeys([*null, "bn1.running_mean", "bn2.running_mean"], bound))


def test_a_memory_that_is_not_carried_over_is_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    right = onward
    forgetting = lambda side, state, batches: right(side, state._replace(optimizer={}), batches)  # noqa: E731
    monkeypatch.setitem(globals(), "onward", forgetting)
    with pytest.raises(AssertionError, match=r"torch then jax: "):
        expect_no_seam(ends(translated(small_torch.optimizer, scheduler=halving), 10))
