"""What a single step leaves an optimizer with shows in no step of it, and is told."""

from __future__ import annotations

from functools import partial
from typing import Any

import optax
import pytest
import torch

from parity import check
from parity_tests.parity.judging.test_check_modules import pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")
MOMENTUM = "what the jax side makes of momentum_buffer in a later step: two steps or more show it"


def told(steps: int, optimizer: Any, momentum: float = 0.9) -> tuple[str, list[str]]:
    sides = {
        "torch": {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=momentum)},
        "jax": {"optimizer": optimizer},
    }
    verdict = check(pair(**sides, steps=steps), dtypes=("float64",))
    return verdict.outcome, verdict.unseen


@pytest.mark.parametrize(("steps", "found"), [(1, ("agree", [MOMENTUM])), (2, ("differ", []))])
def test_another_momentum_shows_in_the_second_step_and_is_told_before(steps: int, found: tuple[str, list[str]]) -> None:
    assert told(steps, lambda: optax.sgd(0.1, 0.8)) == found


@pytest.mark.parametrize(
    ("optimizer", "momentum"), [(None, 0.9), (lambda: optax.sgd(0.1), 0.0)], ids=["torch's", "none"]
)
def test_what_is_torchs_own_or_remembers_nothing_is_not_told(optimizer: Any, momentum: float) -> None:
    assert told(1, optimizer, momentum) == ("agree", [])
