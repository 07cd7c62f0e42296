"""What one side holds alone: it is told, and hides nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import nn

from parity import check, random_batches
from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.recording import Key
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.judging.test_check_modules import first_of, pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")


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


# What JAX alone keeps


class Counting(small_jax.Small):
    """Counts its calls, which nothing depends on, and holds a table, which nothing moves."""

    drift = 0.0

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))
        self.table = nnx.Variable(jnp.arange(3))

    def __call__(self, inputs: jax.Array) -> jax.Array:
        inputs = inputs * (1 + self.drift * self.calls[...]).astype(inputs.dtype)
        self.calls[...] += 1
        return super().__call__(inputs)


class Drifting(Counting):
    """Its input grows by one percent with every call."""

    drift = 0.01


ALONE = [
    "held on the jax side only: table",
    "held on the jax side only, and changed during the run: calls",
]


def test_what_jax_alone_keeps_is_listed_by_name_and_told_where_it_changes(tmp_path: Path) -> None:
    verdict = check(pair(jax={"model": Counting}), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference
    assert [line for line in verdict.listed if "jax side only" in line] == ALONE
    assert not any(" is kept on " in line for line in verdict.listed), "told twice"
    still = check(pair(), dtypes=("float64",))
    assert not any("jax side only" in line for line in still.listed)
    write_golden(pair(jax={"model": Counting}), "jax", tmp_path / "counting.parity")
    found = check_against(pair(jax={"model": Counting}), tmp_path / "counting.parity")
    assert [line for line in found.listed if "jax side only" in line] == ALONE


def test_what_jax_alone_keeps_and_depends_on_differs_in_the_free_run() -> None:
    assert first_of(check(pair(jax={"model": Drifting}), dtypes=("float64",))).stage == "update"


def chaotic(**jax_side: Any) -> Any:
    """A pair that carries a unit in the last place to the front at once, so that only lockstep is judged."""

    def torch_update(model: Any, gradients: Any) -> Any:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                shifted = 2.0**27 * parameter
                kernel = 0.1 + 0.7 * (shifted - torch.floor(shifted))
                parameter.copy_(kernel if parameter.ndim == 2 else parameter - 0.1 * gradients[name])
        return model

    def jax_update(model: Any, gradients: Any) -> Any:
        def moved(w: jax.Array, slope: jax.Array) -> jax.Array:
            shifted = 2.0**27 * w
            # The same but for a unit in the last place.
            kernel = (1 + 2.0**-52) * (0.1 + 0.7 * (shifted - jnp.floor(shifted)))
            return kernel if w.ndim == 2 else w - 0.1 * slope

        return jax.tree.map(moved, model, gradients)

    by_hand = {"optimizer": None}
    return pair(
        torch=by_hand | {"update": torch_update},
        jax=by_hand | {"update": jax_update} | jax_side,
        batches=random_batches(inputs=(8, 5), labels=(8,), classes=3, steps=4),
    )


@pytest.mark.parametrize(("model", "told"), [(small_jax.Small, False), (Counting, False), (Drifting, True)])
def test_where_only_lockstep_is_judged_what_it_sets_back_is_not_green(model: type, told: bool) -> None:
    verdict = check(chaotic(model=model), dtypes=("float64",))
    assert any("judged in lockstep from there on" in line for line in verdict.listed)
    (reason,) = (stage.reason for stage in verdict.stages if stage.stage == "trajectory")
    words = "not comparable: from the state before step 1 the jax side gives another loss than in its run"
    assert reason.startswith(words) == told
    assert not (told and verdict.outcome == "agree")
