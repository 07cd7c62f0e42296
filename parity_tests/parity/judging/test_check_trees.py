"""Any `nn.Module` beside plain functions of a pytree of parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from parity import Pair, check, random_batches
from parity.errors import NotCheckable
from parity.recording import Key
from parity_tests.parity import plain_jax
from parity_tests.parity.judging.test_check_modules import first_of
from parity_tests.parity.plain_torch import CLASSES, FEATURES

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TRANSPOSE = {"inner.weight": "plain/~/inner.w: transpose"}


def pair(kind: str = "haiku", weight_map: dict[str, str] | None = None, **jax: Any) -> Pair:
    """The plain pair with parameters as that library has them, some parts of the JAX side replaced."""
    torch, plain = "parity_tests.parity.plain_torch", "parity_tests.parity.plain_jax"
    of_torch = {"model": f"{torch}:Plain", "loss": f"{torch}:loss", "optimizer": f"{torch}:optimizer"}
    of_jax = {"model": f"{plain}:{kind}", "loss": f"{plain}:{kind}_loss", "predict": f"{plain}:{kind}_predict"}
    batches = random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2)
    return Pair(
        torch=of_torch, jax=of_jax | {"optimizer": f"{plain}:optimizer"} | jax, batches=batches, name="plain",
        weight_map=(TRANSPOSE if kind == "haiku" else {}) if weight_map is None else weight_map,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["haiku", "equinox"])
def test_they_agree_and_the_verdict_says_that_layers_were_not_seen(kind: str) -> None:
    verdict = check(pair(kind))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons if c.dtype == "float64"}
    assert {key for key in compared if key[0] == "forward"} == {("forward", "output")}
    assert {("backward", "inner.weight"), ("update", "exp_avg.outer.bias"), ("score", "held out.output")} < compared
    expected = (
        "layers were not seen on the jax side: of inner, outer, only parameters and gradients are compared; "
        "`parity.tap` may show more"
    )
    assert expected in verdict.listed


def test_nothing_is_said_of_a_declared_layer_that_one_side_does_not_show() -> None:
    verdict = check(replace(pair(), float32_inside=("outer",)), dtypes=("float64",))
    assert verdict.outcome == "agree"
    assert not [line for line in verdict.listed if "need not be declared" in line]


def test_a_square_weight_that_is_taken_the_wrong_way_round_is_found() -> None:
    assert first_of(check(pair(weight_map={"inner.weight": "plain/~/inner.w: as is"}))) == Key("forward", 0, "output")


def test_functions_that_compute_in_float32_are_named_with_their_side() -> None:
    def predict(parameters: dict[str, dict[str, jax.Array]], batch: plain_jax.Batch) -> jax.Array:
        # As the softmax of `jax.nn.dot_product_attention` is, whatever the dtype.
        inner, outer = parameters.values()
        hidden = jnp.tanh((batch["inputs"] @ inner["w"] + inner["b"]).astype(jnp.float32))
        return hidden.astype(inner["w"].dtype) @ outer["w"] + outer["b"]

    def loss(parameters: dict[str, dict[str, jax.Array]], batch: plain_jax.Batch) -> jax.Array:
        return plain_jax.cross_entropy(predict(parameters, batch), batch)

    verdict = check(pair(loss=loss, predict=predict))
    assert first_of(verdict) == Key("forward", 0, "output")
    assert "between the batch and output there are numbers in float32 on the jax side" in str(verdict.first_difference)


def test_a_loss_of_its_own_scale_is_found() -> None:
    def loss(parameters: Any, batch: Any) -> jax.Array:
        return 8 * plain_jax.haiku_loss(parameters, batch)

    assert first_of(check(pair(loss=loss))) == Key("loss", 0, "loss")


def test_a_parameter_that_is_held_still_is_found() -> None:
    def loss(parameters: Any, batch: Any) -> jax.Array:
        still = {name: layer | {"b": jax.lax.stop_gradient(layer["b"])} for name, layer in parameters.items()}
        return plain_jax.haiku_loss(still, batch)

    # Both biases are, and gradients are told from the loss backwards.
    assert first_of(check(pair(loss=loss))) == Key("backward", 0, "outer.bias")


def test_plain_functions_are_told_the_mode() -> None:
    def predict(parameters: Any, batch: Any, train: bool) -> Any:
        return plain_jax.haiku_predict(parameters, batch) * (1 if train else 2)

    assert first_of(check(pair(predict=predict))).stage == "score"


def test_what_draws_numbers_of_its_own_is_not_comparable() -> None:
    def loss(parameters: Any, batch: Any) -> jax.Array:
        kept = jax.random.uniform(jax.random.key(0), batch["inputs"].shape) < 2
        return plain_jax.haiku_loss(parameters, batch | {"inputs": jnp.where(kept, batch["inputs"], 0)})

    verdict = check(pair(loss=loss))
    assert verdict.outcome == "inconclusive"
    reasons = {stage.stage: stage.reason for stage in verdict.stages}
    assert reasons["backward"].startswith("not comparable: the jax side draws random numbers of its own")


def without_bias() -> dict[str, dict[str, jax.Array]]:
    inner, outer = plain_jax.haiku().items()
    return dict([inner, (outer[0], {"w": outer[1]["w"]})])


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"weight_map": {}}, r'override "inner\.weight": "plain/~/inner\.w: as is" or .*transpose"$'),
        ({"model": without_bias}, r"no JAX leaf for .*outer\.bias"),
        ({"predict": None}, "the jax side's model is a pytree of parameters, .*: name the part `predict`"),
        ({"model": lambda: "none"}, "a str: expected a Flax NNX module, a Flax Linen module or a pytree of parameter"),
        ({"model": lambda: jnp.ones(3)}, "expected a Flax NNX module, a Flax Linen module or a pytree of parameter"),
        ({"model": lambda: {"steps": jnp.arange(3)}}, "the jax side's model has no parameters"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        check(pair(**parts))
    assert "\n" not in str(told.value)
