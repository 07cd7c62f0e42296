"""Taps: places inside plain functions, and inside modules, that a check looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import linen, nnx
from torch import Tensor

from parity import Pair, check, tap
from parity.errors import NotCheckable
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity import plain_jax, plain_torch, small_jax, small_linen, small_torch
from parity_tests.parity.judging.test_check_linen import pair as linen_pair
from parity_tests.parity.judging.test_check_modules import first_of, pair
from parity_tests.parity.judging.test_check_trees import pair as tree_pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Tapped(plain_torch.Plain):
    """The plain model with taps behind its first layer and its activation."""

    names = ("hidden", "active")

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, active = self.names
        x = tap(self.inner(inputs), hidden)
        found: Tensor = self.outer(tap(torch.tanh(x), active))
        return found


def predict(
    parameters: Any, batch: Any, *, activation: Any = jnp.tanh, names: tuple[str, str] = ("hidden", "active")
) -> Any:
    """The same as a function of its parameters."""
    inner, outer = parameters.values()
    x = tap(batch["inputs"] @ inner["w"] + inner["b"], names[0])
    return tap(activation(x), names[1]) @ outer["w"] + outer["b"]


def tapped(
    torch: type[plain_torch.Plain] = Tapped, function: Callable[..., Any] = predict, kind: str = "haiku"
) -> Pair:
    """The plain pair with taps, beside a tree."""

    def loss(parameters: Any, batch: Any) -> jax.Array:
        return plain_jax.cross_entropy(function(parameters, batch), batch)

    made = tree_pair(kind, predict=lambda parameters, batch: function(parameters, batch), loss=loss)
    return replace(made, torch=replace(made.torch, model=torch))


@cache
def right() -> Verdict:
    return check(tapped())


def expect_agreement(verdict: Verdict) -> None:
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_inside_functions_of_a_tree_taps_are_compared_forward_and_backward(dtype: str) -> None:
    expect_agreement(right())
    compared = {(c.key.stage, c.key.tensor) for c in right().comparisons if c.dtype == dtype}
    places = {(stage, f"{name}.tap") for stage in ("forward", "backward") for name in ("hidden", "active")}
    assert places | {("forward", "output")} == {c for c in compared if c[0] == "forward" or c[1].endswith(".tap")}
    expected = "layers were not seen on the jax side: of inner, outer, only parameters and gradients are compared"
    assert [line for line in right().listed if "layer" in line or "tap" in line] == [expected]


def soft(x: jax.Array) -> jax.Array:
    """Not the tanh, but near it."""
    return jnp.tanh(x) + 1e-6 * x


def backward_only(x: jax.Array) -> jax.Array:
    """The tanh, with half of its gradient."""
    return jnp.tanh(x) / 2 + jax.lax.stop_gradient(jnp.tanh(x) / 2)


def test_a_mistake_between_two_taps_is_found_at_the_second() -> None:
    verdict = check(tapped(function=partial(predict, activation=soft)))
    assert first_of(verdict) == Key("forward", 0, "active.tap")
    assert [start.where for start in verdict.starts] == ["between hidden.tap and active.tap"]


def test_a_mistake_in_the_gradient_between_two_taps_is_found_at_the_first() -> None:
    # Told from the loss backwards, the gradient has passed the second by then.
    verdict = check(tapped(function=partial(predict, activation=backward_only)))
    assert first_of(verdict) == Key("backward", 0, "hidden.tap")


def test_one_function_for_another_is_named_with_the_tap_before_it() -> None:
    verdict = check(tapped(function=partial(predict, activation=jax.nn.sigmoid)))
    assert verdict.first_difference is not None
    assert "as with sigmoid after hidden.tap where on the torch side it fits tanh" in str(verdict.first_difference)


class OtherNames(Tapped):
    names = ("hidden", "activated")


class Twice(Tapped):
    """Two taps of one name: two calls of one tap."""

    names = ("hidden", "hidden")


class Misnamed(Tapped):
    names = ("hidden", "inner")


class Whole(Tapped):
    """A tap at whole numbers."""

    def forward(self, inputs: Tensor) -> Tensor:
        tap(torch.argmax(inputs, 1), "hidden")
        return super().forward(inputs)


def test_a_tap_on_one_side_only_is_listed_as_a_layer_would_be() -> None:
    verdict = check(tapped(OtherNames), dtypes=("float64",))
    expect_agreement(verdict)
    assert {"taps on the torch side only: activated", "taps on the jax side only: active"} < set(verdict.listed)
    compared = {c.key.tensor for c in verdict.comparisons}
    assert ("hidden.tap" in compared, compared & {"active.tap", "activated.tap"}) == (True, set())


def test_calls_of_one_tap_are_counted_and_one_that_is_missing_is_a_difference() -> None:
    twice = partial(predict, names=("hidden", "hidden"))
    verdict = check(tapped(Twice, twice), dtypes=("float64",))
    expect_agreement(verdict)
    assert {"hidden.tap", "hidden#2.tap"} < {c.key.tensor for c in verdict.comparisons}
    once = check(tapped(Twice, lambda p, b: predict(p, b, names=("hidden", "other"))), dtypes=("float64",))
    assert first_of(once) == Key("forward", 0, "hidden#2.tap")


@pytest.mark.parametrize(
    ("torch", "function", "words"),
    [
        (Misnamed, predict, "the tap 'inner' has the name of a layer: call it otherwise, such as 'inner.inside'"),
        (Whole, predict, r"the tap 'hidden' was given a Tensor of torch\.int64: expected a tensor of floating numbers"),
        (Tapped, partial(predict, names=("hidden#2", "a")), "a tap is called 'hidden#2': expected a name without #"),
        (Tapped, lambda p, b: tap(predict(p, b), ""), "a tap is called ''"),
    ],
)
def test_what_cannot_be_a_tap_is_told_in_one_line(torch: Any, function: Any, words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        check(tapped(torch, function))
    assert "\n" not in str(told.value)


def flattened(parameters: Any, batch: Any) -> Any:
    """What stands at its first tap has another shape."""
    inner, outer = parameters.values()
    x = tap((batch["inputs"] @ inner["w"] + inner["b"]).ravel(), "hidden").reshape(batch["inputs"].shape)
    return tap(jnp.tanh(x), "active") @ outer["w"] + outer["b"]


def test_another_shape_at_a_tap_is_a_difference_and_hides_no_other() -> None:
    verdict = check(tapped(function=flattened))
    assert first_of(verdict) == Key("forward", 0, "hidden.tap")
    assert "torch has shape (8, 5), jax (40,)" in str(verdict.first_difference)


class InTurn(Tapped):
    """Goes through the examples one by one, and adds what came before to each."""

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.inner(inputs)
        total, found = torch.zeros_like(x[0]), []
        for row in x:
            total = tap(torch.tanh(total + row), "total")
            found.append(total)
        outer: Tensor = self.outer(torch.stack(found))
        return outer


def in_turn(parameters: Any, batch: Any, *, factor: float = 1) -> Any:
    inner, outer = parameters.values()
    x = batch["inputs"] @ inner["w"] + inner["b"]

    def turn(total: jax.Array, row: jax.Array) -> Any:
        total = tap(jnp.tanh(factor * total + row), "total")
        return total, total

    return jax.lax.scan(turn, jnp.zeros_like(x[0]), x)[1] @ outer["w"] + outer["b"]


def test_a_tap_in_a_loop_over_anything_is_compared_turn_by_turn() -> None:
    verdict = check(tapped(InTurn, in_turn), dtypes=("float64",))
    expect_agreement(verdict)
    assert {"total.tap", "total#2.tap", "total#8.tap"} <= {c.key.tensor for c in verdict.comparisons}
    found = check(tapped(InTurn, partial(in_turn, factor=0.5)), dtypes=("float64",))
    assert first_of(found) == Key("forward", 0, "total#2.tap")


def compiled(parameters: Any, batch: Any) -> Any:
    """Its first tap stands in a compiled part."""
    inner, outer = parameters.values()
    x = jax.jit(lambda x: tap(x @ inner["w"] + inner["b"], "hidden"))(batch["inputs"])
    return tap(jnp.tanh(x), "active") @ outer["w"] + outer["b"]


def test_a_tap_inside_a_transformation_is_told_and_not_compared() -> None:
    verdict = check(tapped(function=compiled), dtypes=("float64",))
    expect_agreement(verdict)
    assert "taps inside a transformation of the jax side, such as jit: hidden" in verdict.listed
    assert {c.key.tensor for c in verdict.comparisons if c.key.tensor.endswith(".tap")} == {"active.tap"}


def test_in_a_port_for_inference_taps_are_compared_too() -> None:
    def called(model: Any, batch: Any) -> Any:
        return model(batch["inputs"])

    def wrong(parameters: Any, batch: Any) -> Any:
        return predict(parameters, batch, activation=soft)

    made = tapped()
    made = replace(made, torch=replace(made.torch, predict=called), stages=("forward", "score"))
    expect_agreement(check(made, dtypes=("float64",)))
    assert first_of(check(replace(made, jax=replace(made.jax, predict=wrong)))) == Key("forward", 0, "active.tap")


def mapped(model: Any, batch: Any, *, activation: Any = jnp.tanh) -> Any:
    """As users of Equinox write it: for one example, and mapped over all of them."""
    inner, outer = model.layers
    return jax.vmap(lambda x: outer(tap(activation(tap(inner(x), "hidden")), "active")))(batch["inputs"])


def test_a_tap_in_a_model_of_one_example_is_compared_for_all_of_them() -> None:
    verdict = check(tapped(function=mapped, kind="equinox"), dtypes=("float64",))
    expect_agreement(verdict)
    assert {"hidden.tap", "active.tap"} < {c.key.tensor for c in verdict.comparisons if c.key.stage == "backward"}
    wrong = check(tapped(function=partial(mapped, activation=soft), kind="equinox"))
    assert first_of(wrong) == Key("forward", 0, "active.tap")
    assert [start.where for start in wrong.starts] == ["between hidden.tap and active.tap"]


# Inside modules


class SmallTorch(small_torch.Small):
    def forward(self, inputs: Tensor) -> Tensor:
        x = tap(torch.relu(self.norm(self.inner(inputs))), "active")
        found: Tensor = self.outer(self.dropout(x))
        return found


class SmallNnx(small_jax.Small):
    slope = 0.0

    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = tap(nnx.leaky_relu(self.norm(self.inner(inputs)), self.slope), "active")
        return self.outer(self.dropout(x))


class LeakyNnx(SmallNnx):
    slope = 0.01


class SmallLinen(small_linen.Small):
    slope: float = 0.0

    def __call__(self, inputs: jax.Array, train: bool) -> jax.Array:
        x = tap(linen.leaky_relu(self.norm(self.inner(inputs), train=train), self.slope), "active")
        logits: jax.Array = self.outer(self.dropout(x, deterministic=not train))
        return logits


class LeakyLinen(SmallLinen):
    slope: float = 0.01


def inside(model: Any) -> Pair:
    made = linen_pair(model=model) if issubclass(model, linen.Module) else pair(jax={"model": model})
    return replace(made, torch=replace(made.torch, model=SmallTorch))


@pytest.mark.parametrize(("model", "leaky"), [(SmallNnx, LeakyNnx), (SmallLinen, LeakyLinen)])
def test_inside_a_module_a_tap_stands_between_its_layers(model: Any, leaky: Any) -> None:
    verdict = check(inside(model), dtypes=("float64",))
    expect_agreement(verdict)
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons}
    assert {("forward", "active.tap"), ("backward", "active.tap"), ("forward", "outer.input")} < compared
    wrong = check(inside(leaky))
    assert first_of(wrong) == Key("forward", 0, "active.tap")
    assert [start.where for start in wrong.starts] == ["between norm.output and active.tap"]
