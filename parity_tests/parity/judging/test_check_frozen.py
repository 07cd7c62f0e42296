"""Parameters that a pair declares frozen: neither side may move them, and all others must move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check
from parity.errors import NotCheckable
from parity.recording import FRAMEWORKS, Framework, Key
from parity.verdict import Verdict
from parity_tests.parity import plain_jax, plain_torch, small_jax, small_linen, small_torch, tiny_jax, tiny_torch
from parity_tests.parity.judging.test_check_linen import pair as linen_pair
from parity_tests.parity.judging.test_check_modules import first_of, pair
from parity_tests.parity.judging.test_check_trees import pair as tree_pair
from parity_tests.parity.tiny import loops, tiny

pytestmark = pytest.mark.usefixtures("compiled_quickly")

FROZEN = ("inner.*",)


def without_gradients() -> nn.Module:
    """As most people freeze a layer."""
    model = small_torch.Small()
    model.inner.requires_grad_(False)
    return model


def not_handed_over(parameters: list[Tensor]) -> torch.optim.Optimizer:
    """The other way: all but the parameters of the first layer."""
    return small_torch.optimizer(list(parameters)[2:])


def labels(parameters: Any) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "still" if "inner" in jax.tree_util.keystr(path) else "moving", parameters
    )


def partitioned(inner: Callable[[], optax.GradientTransformation] = small_jax.optimizer) -> Any:
    """Only what is no part of the first layer is handed to the optimizer."""
    return lambda: optax.partition({"moving": inner(), "still": optax.set_to_zero()}, labels)


def zeroed(inner: Callable[[], optax.GradientTransformation] = small_jax.optimizer) -> Any:
    """The optimizer remembers something of all parameters, and some of its updates are thrown away."""
    return lambda: optax.chain(
        inner(), optax.masked(optax.set_to_zero(), lambda p: jax.tree.map("still".__eq__, labels(p)))
    )


def only_masked() -> optax.GradientTransformation:
    """A usual mistake: what the mask leaves out passes as it is, and is added to the parameter."""
    return optax.masked(small_jax.optimizer(), lambda p: jax.tree.map("moving".__eq__, labels(p)))


def stopped(model: Any, batch: Any) -> jax.Array:
    """No gradient comes to the first layer."""
    nnx.update(model.inner, jax.lax.stop_gradient(nnx.state(model.inner, nnx.Param)))
    return small_jax.loss(model, batch)


def frozen(torch: dict[str, Any] | None = None, jax: dict[str, Any] | None = None, **others: Any) -> Pair:
    """The small pair with its first layer frozen on both sides; `torch` and `jax` are laid over that."""
    return pair(
        torch={"model": without_gradients} | (torch or {}),
        jax={"optimizer": partitioned()} | (jax or {}),
        **{"frozen": FROZEN, **others},
    )


@cache
def right() -> Verdict:
    return check(frozen())


def expect_agreement(verdict: Verdict) -> None:
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    line = "frozen: inner.bias, inner.weight: neither their gradients nor their moments are compared"
    assert [found for found in verdict.listed if "inner." in found] == [line]


def test_what_is_frozen_on_both_sides_agrees_in_both_dtypes() -> None:
    expect_agreement(right())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_of_a_frozen_parameter_is_compared_where_it_stands_and_nothing_else(dtype: str) -> None:
    compared = {(c.key.stage, c.key.tensor) for c in right().comparisons if c.dtype == dtype}
    about = {found for found in compared if found[1].endswith("inner.weight")}
    assert about == {("init", "inner.weight"), ("update", "inner.weight"), ("trajectory", "inner.weight")}
    assert {("backward", "outer.weight"), ("update", "momentum_buffer.outer.weight")} < compared
    assert ("backward", "inner.input") in compared
    exact = {c.key.step for c in right().comparisons if c.dtype == dtype and c.limit == 0 and c.key.stage == "update"}
    assert exact == {0, 1}


WAYS: dict[str, dict[str, Any]] = {
    "not handed to torch's optimizer": {"torch": {"model": small_torch.Small, "optimizer": not_handed_over}},
    "updates set to zero": {"jax": {"optimizer": zeroed()}},
    "no gradient in JAX": {"jax": {"optimizer": small_jax.optimizer, "loss": stopped}},
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_left_to_the_sides_how_they_freeze(way: str) -> None:
    expect_agreement(check(frozen(**WAYS[way])))


def still_plain() -> nn.Module:
    model = plain_torch.Plain()
    model.inner.requires_grad_(False)
    return model


def groups_of_a_tree() -> optax.GradientTransformation:
    """A whole branch is of one group."""
    groups = {"plain/~/inner": "still", "plain/~/outer": "moving"}
    return optax.partition({"moving": plain_jax.optimizer(), "still": optax.set_to_zero()}, groups)


def still_by_hand(*given: Any) -> nn.Module:
    model = tiny_torch.from_arrays(*given)
    model.get_submodule("inner").requires_grad_(False)
    return model


def by_hand(torch: dict[str, Any] | None = None, jax: dict[str, Any] | None = None) -> Pair:
    """The tiny pair, whose parts build and read its models themselves."""
    of_torch = {"model": still_by_hand} | (torch or {})
    return replace(tiny(torch=of_torch, jax={"optimizer": zeroed(tiny_jax.optimizer)} | (jax or {})), frozen=FROZEN)


def selected() -> optax.GradientTransformation:
    """The same by Optax's own word for it."""
    mask = {"plain/~/inner": True, "plain/~/outer": False}
    return optax.selective_transform(plain_jax.optimizer(), freeze_mask=mask)


def with_frozen(made: Pair, model: Callable[[], nn.Module]) -> Pair:
    return replace(made, torch=replace(made.torch, model=model), frozen=FROZEN)


OTHER_KINDS: dict[str, Callable[[], Pair]] = {
    "linen": lambda: with_frozen(linen_pair(optimizer=partitioned(small_linen.optimizer)), without_gradients),
    "by hand": by_hand,
    "a tree, selected": lambda: with_frozen(tree_pair(optimizer=selected), still_plain),
    "a tree": lambda: with_frozen(tree_pair(optimizer=groups_of_a_tree), still_plain),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_kinds_of_models_may_be_frozen_too(kind: str) -> None:
    expect_agreement(check(OTHER_KINDS[kind]()))


def zero_bias() -> nn.Module:
    """A bias that is zero and stays so, which the other side does not have."""
    model = plain_torch.Plain()
    nn.init.zeros_(model.inner.bias).requires_grad_(False)
    return model


def without_bias() -> Any:
    inner, outer = plain_jax.haiku().values()
    return {"plain/~/inner": {"w": inner["w"]}, "plain/~/outer": outer}


def predict_without_bias(parameters: Any, batch: Any) -> Any:
    inner, outer = parameters.values()
    return plain_jax.haiku_predict({"inner": inner | {"b": 0.0}, "outer": outer}, batch)


def loss_without_bias(parameters: Any, batch: Any) -> Any:
    return plain_jax.cross_entropy(predict_without_bias(parameters, batch), batch)


def test_a_frozen_parameter_may_be_left_out_of_the_other_side() -> None:
    parts: dict[str, Any] = {"model": without_bias, "predict": predict_without_bias, "loss": loss_without_bias}
    made = tree_pair(weight_map={"inner.weight": "plain/~/inner.w: transpose", "inner.bias": "left out"}, **parts)
    made = replace(made, torch=replace(made.torch, model=zero_bias), frozen=("inner.bias",))
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "held on the torch side only: inner.bias" in verdict.listed


# What is planted


def decayed() -> optax.GradientTransformation:
    """Weight decay moves what has no gradient, where the optimizer is handed it."""
    return optax.chain(optax.add_decayed_weights(0.01), small_jax.optimizer())


def decayed_in_torch(parameters: Any) -> torch.optim.Optimizer:
    """What requires no gradient is left out of it."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01)


MOVED: dict[str, tuple[dict[str, Any], str]] = {
    "frozen in JAX only": ({"torch": {"model": small_torch.Small}}, "the torch side"),
    "frozen in torch only": ({"jax": {"optimizer": small_jax.optimizer}}, "the jax side"),
    "frozen on neither side": (
        {"torch": {"model": small_torch.Small}, "jax": {"optimizer": small_jax.optimizer}},
        "both sides",
    ),
    "masked, so that the gradient is added": ({"jax": {"optimizer": only_masked}}, "the jax side"),
    "decayed all the same": (
        {"torch": {"optimizer": decayed_in_torch}, "jax": {"optimizer": decayed, "loss": stopped}},
        "the jax side",
    ),
}


@pytest.mark.parametrize("mistake", MOVED)
def test_a_frozen_parameter_that_moves_is_told_with_the_side_that_moves_it(mistake: str) -> None:
    parts, where = MOVED[mistake]
    verdict = check(frozen(**parts))
    assert first_of(verdict) == Key("update", 0, "inner.weight")
    assert verdict.outcome == "differ"
    assert str(verdict.first_difference) == (
        f"update, step 0, tensor inner.weight, float64: declared frozen, and moved on {where}"
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_loop_that_moves_a_frozen_parameter_is_found(framework: Framework) -> None:
    expect_agreement(check(by_hand(**{framework: loops(framework, pair=by_hand)})))
    verdict = check(by_hand(**{framework: loops(framework)}))
    wrong = {(c.loop, c.key.step, c.key.tensor) for c in verdict.comparisons if c.outcome == "differ"}
    assert (f"{framework} stepped", 1, "inner.weight") in wrong
    assert {loop for loop, _, _ in wrong} == {f"{framework} stepped"}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"frozen": ("inner.*", "iner.*")}, r"frozen: 'iner\.\*' is no parameter of the torch side's model"),
        ({"frozen": ("norm.running_mean",)}, r"frozen: 'norm\.running_mean' is no parameter"),
        ({"frozen": ("*",)}, "frozen: every parameter is, so that nothing would be trained"),
        ({"frozen": "inner.*"}, r"pair small: frozen is 'inner\.\*': expected a tuple of names or patterns"),
        (
            {"frozen": ("inner.bias",)},
            r'torch has requires_grad off of inner\.weight: .*: frozen=\("inner\.weight",\)$',
        ),
    ],
)
def test_what_cannot_be_frozen_is_told_in_one_line(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        check(frozen(**parts))
    assert "\n" not in str(told.value)


def test_what_is_not_declared_must_move() -> None:
    one = frozen(torch={"model": small_torch.Small}, frozen=())
    assert first_of(check(one)) == Key("update", 0, "inner.weight")
    both = frozen(torch={"model": small_torch.Small, "optimizer": not_handed_over}, frozen=())
    verdict = check(both, dtypes=("float64",))
    reasons = {stage.stage: stage.reason for stage in verdict.stages}
    # The bias before a batch norm has no gradient to move it in any case.
    expected = (
        "inconclusive",
        (
            "parameters that did not move: inner.weight; if no step is to move them, declare that in the pair: "
            'frozen=("inner.weight",)'
        ),
    )
    assert (verdict.outcome, reasons["trajectory"]) == expected
