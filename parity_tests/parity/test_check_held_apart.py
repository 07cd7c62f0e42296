"""What one side holds alone: it is told, and hides nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from torch import nn

from parity import check, random_batches
from parity.errors import NotCheckable
from parity.recording import Key
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.test_check_modules import first_of, pair

pytestmark = pytest.mark.usefixtures("compiled_once")


class Weighted(small_torch.Small):
    """Holds the weights of the classes, by a name that those of its layers end in."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(3))


def twice() -> optax.GradientTransformation:
    """Kernels move at twice the rate, in the one step that there is."""
    kernels = optax.masked(optax.scale(2.0), lambda model: jax.tree.map(lambda array: array.ndim > 1, model))
    return optax.chain(small_jax.optimizer(), kernels)


ONE: dict[str, Any] = {"batches": random_batches(inputs=(8, 5), labels=(8,), classes=3, steps=1)}


def test_a_buffer_of_torchs_alone_takes_no_parameter_along_whose_name_ends_alike() -> None:
    right = check(pair(torch={"model": Weighted}, **ONE), dtypes=("float64",))
    assert right.outcome == "agree", right.first_difference
    assert any(line.startswith("held on the torch side only:") and "weight" in line for line in right.listed)
    compared = {(c.key.stage, c.key.tensor) for c in right.comparisons}
    assert {("init", "inner.weight"), ("trajectory", "gradient.outer.weight")} < compared
    wrong = check(pair(torch={"model": Weighted}, jax={"optimizer": twice}, **ONE), dtypes=("float64",))
    assert first_of(wrong) == Key("update", 0, "inner.weight")


class Shifted(nn.Module):
    """A parameter that is called as what comes to its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc: Any = small_torch.Small().inner
        self.fc.register_parameter("input", nn.Parameter(torch.zeros(5)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.fc(inputs + self.fc.input)  # type: ignore[no-any-return]


def kernels(rngs: Any) -> dict[str, Any]:
    return {"fc": {"input": jnp.zeros(5), "kernel": jnp.zeros((5, 6)), "bias": jnp.zeros(6)}}


def test_a_parameter_that_is_called_as_what_comes_to_its_layer_is_refused() -> None:
    with pytest.raises(NotCheckable, match=r"fc\.input is a parameter, and what comes to a layer"):
        check(pair(torch={"model": Shifted}, jax={"model": kernels, "predict": lambda model, batch: batch["inputs"]}))
