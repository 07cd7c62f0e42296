"""Two models on torch's and JAX's side, checked over a pass forward and back with the losses of the small pair."""

from __future__ import annotations

from typing import Any

from parity import Pair, check, random_batches
from parity.verdict import Verdict
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.small_torch import CLASSES, FEATURES


def of_a_pass(model: Any, port: Any) -> Verdict:
    """The verdict on two steps of passes, of models of `FEATURES` inputs and `CLASSES` logits, in float64."""
    return check(
        Pair(
            name="a pass", torch={"model": model, "loss": small_torch.loss},
            jax={"model": port, "loss": small_jax.loss},
            batches=random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2),
            stages=("data", "init", "forward", "loss", "backward"),
        ),
        dtypes=("float64",),
    )  # fmt: skip
