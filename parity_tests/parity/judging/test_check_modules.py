"""Any `nn.Module` beside any Flax module: what the engine builds, fills, reads and hands to both."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import Tensor

from parity import Pair, check, random_batches
from parity.errors import NotCheckable
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.small_jax import Small

MODULES = {"torch": "parity_tests.parity.small_torch", "jax": "parity_tests.parity.small_jax"}
pytestmark = pytest.mark.usefixtures("compiled_quickly")


def pair(torch: dict[str, Any] | None = None, jax: dict[str, Any] | None = None, **others: Any) -> Pair:
    """The small pair, some parts of its sides replaced."""
    sides = {
        name: {"model": f"{path}:Small", "loss": f"{path}:loss", "optimizer": f"{path}:optimizer"}
        for name, path in MODULES.items()
    }
    batches = random_batches(inputs=(8, 5), labels=(8,), classes=3, steps=2)
    given = {"name": "small", "batches": batches} | others
    return Pair(torch=sides["torch"] | (torch or {}), jax=sides["jax"] | (jax or {}), **given)


@cache
def right() -> Verdict:
    return check(pair())


def first_of(verdict: Verdict) -> Key:
    assert verdict.first_difference is not None, [stage.reason for stage in verdict.stages]
    return verdict.first_difference.comparison.key


def test_they_agree_in_every_stage_and_dtype() -> None:
    assert right().outcome == "agree", right().first_difference or [stage.reason for stage in right().stages]


def expect_names_of_torch(verdict: Verdict) -> None:
    """Layers, outputs, gradients, moments and buffers of the small pair were compared, each as torch calls it."""
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons if c.dtype == "float64"}
    for layer in ("inner", "norm", "outer"):
        assert {
            ("forward", f"{layer}.input"),
            ("forward", f"{layer}.output"),
            ("backward", f"{layer}.input"),
        } < compared
        assert {("init", f"{layer}.weight"), ("backward", f"{layer}.bias")} < compared
    for buffer in ("norm.running_mean", "norm.running_var"):
        assert {("init", buffer), ("update", buffer), ("trajectory", buffer)} < compared
    assert {("forward", "output"), ("score", "held out.output"), ("update", "momentum_buffer.inner.weight")} < compared


def test_layers_outputs_gradients_and_buffers_are_compared_under_the_names_of_torch() -> None:
    expect_names_of_torch(right())


def test_what_one_side_alone_holds_is_listed_and_not_compared() -> None:
    assert "held on the torch side only: norm.num_batches_tracked" in right().listed
    assert not [c for c in right().comparisons if "num_batches_tracked" in c.key.tensor]


class WithTable(small_torch.Small):
    """A model with a buffer that nothing moves."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(3.0))


def test_a_buffer_may_stay_as_it_is() -> None:
    verdict = check(pair(torch={"model": WithTable}), dtypes=("float64",))
    assert verdict.outcome == "agree", [stage.reason for stage in verdict.stages]


def test_a_flax_class_may_be_given_with_some_of_its_arguments() -> None:
    assert check(pair(jax={"model": partial(Small)}), dtypes=("float64",)).outcome == "agree"


def test_the_name_of_a_pair_and_its_steps_need_not_be_told() -> None:
    assert (pair().steps, pair(name="").name) == (2, "")


class Stock(Small):
    """Flax's own batch norm, whose running variance is the biased one."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.norm = nnx.BatchNorm(6, momentum=0.9, use_fast_variance=False, rngs=rngs)  # type: ignore[assignment]


class Rate(Small):
    """Another rate of dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)


class NoScore(Small):
    """Its running mean is not what it scores with: training mode where evaluation was meant."""

    def eval(self, **attributes: Any) -> None:
        self.train()  # type: ignore[no-untyped-call]


def not_square(rngs: nnx.Rngs) -> Small:
    model = Small(rngs)
    model.outer = nnx.Linear(6, 4, rngs=rngs)
    return model


PLANTED: dict[str, tuple[dict[str, Any], Key]] = {
    "stock batch norm": ({"model": Stock}, Key("update", 0, "norm.running_var")),
    "another rate of dropout": ({"model": Rate}, Key("forward", 0, "outer.input")),
    "scored in training mode": ({"model": NoScore}, Key("score", 0, "held out.output")),
    "sum for mean": ({"loss": lambda m, b: 8 * small_jax.loss(m, b)}, Key("loss", 0, "loss")),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_found_where_it_was_planted(mistake: str) -> None:
    parts, expected = PLANTED[mistake]
    assert first_of(check(pair(jax=parts))) == expected


def test_scores_in_training_mode_are_told() -> None:
    def without_dropout(rngs: nnx.Rngs) -> NoScore:
        model = NoScore(rngs)
        model.dropout.rate = 0.0
        return model

    def torch_without_dropout() -> small_torch.Small:
        model = small_torch.Small()
        model.dropout.p = 0.0
        return model

    verdict = check(pair({"model": torch_without_dropout}, {"model": without_dropout}), dtypes=("float64",))
    assert first_of(verdict) == Key("score", 0, "held out.output")
    assert "; on the jax side it is as in training mode on the torch side (explains it " in str(
        verdict.first_difference
    )


def test_dropout_masks_are_those_of_the_step_and_the_seed() -> None:
    """Masks that never change would hide a mask that is one step late."""

    def same_masks(model: Any, batch: dict[str, Tensor]) -> Tensor:
        torch.nn.functional.dropout = lambda x, *_, **__: x
        return small_torch.loss(model, batch)

    assert first_of(check(pair(torch={"loss": same_masks}))).tensor == "outer.input"


class Drawing(Small):
    """A model that draws noise for itself, in training."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.noise = nnx.Rngs(0)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return super().__call__(inputs + 0 * jax.random.normal(self.noise.params(), inputs.shape, inputs.dtype))


def drawing(model: Any, batch: dict[str, Tensor]) -> Tensor:
    return small_torch.loss(model, batch) + 0 * torch.rand(())


@pytest.mark.parametrize(("side", "part"), [("jax", {"model": Drawing}), ("torch", {"loss": drawing})])
def test_what_draws_numbers_of_its_own_is_not_comparable(side: str, part: dict[str, Any]) -> None:
    with torch.random.fork_rng():
        verdict = check(pair(**{side: part}))
    assert verdict.outcome == "inconclusive"
    reasons = {stage.stage: stage.reason for stage in verdict.stages}
    assert reasons["forward"].startswith(f"not comparable: the {side} side draws random numbers of its own")
    assert not any(reasons[stage] for stage in ("data", "init"))


class WithComplex(small_torch.Small):
    """A model that holds an imaginary unit, as what it is told."""

    def __init__(self, what: str) -> None:
        super().__init__()
        unit = torch.tensor([1j])
        if what == "parameter":
            self.turn = torch.nn.Parameter(unit)
        else:
            self.register_buffer("turn", unit, persistent=what == "buffer")


class Turned(Small):
    """Its scale is a complex number."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.norm.scale = nnx.Param(jnp.ones(small_jax.HIDDEN, complex))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        *(
            ({"torch": {"model": partial(WithComplex, what)}}, "the torch side's turn is complex: models are compared")
            for what in ("parameter", "buffer", "buffer not in checkpoints")
        ),
        ({"jax": {"model": Turned}}, "the jax side's norm.scale is complex: models are compared in real numbers"),
        (
            {"parameters": lambda seed: {"inner.weight": np.array([1j])}},
            "the torch side's parameters gave inner.weight, which is complex",
        ),
        ({"torch": {"model": lambda: 3}}, "the torch side's model gave a int: expected an nn.Module"),
        ({"jax": {"model": lambda: 3}}, "the jax side's model gave a int"),
        ({"jax": {"model": not_square}}, r"outer\.(weight|bias)"),
        ({"jax": {"modle": Small}}, "a side has no part 'modle': it has model, loss"),
        ({"batches": None}, "the torch side needs `batches` for the stage data"),
        ({"weight_map": {"no.weight": "inner.kernel"}}, "no.weight"),
        ({"stages": ("forward",)}, "the torch side needs `predict` for the stage forward"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        check(pair(**parts))
    assert "\n" not in str(told.value)


def test_a_port_for_inference_is_checked_in_evaluation_mode() -> None:
    def predict(model: Any, batch: Any) -> Any:
        return model(batch["inputs"])

    parts = {"predict": predict, "loss": None, "optimizer": None}
    stages = ("forward", "score")
    assert check(pair(torch=parts, jax=parts, stages=stages)).outcome == "agree"
    # Its dropout is on, where there is no mask to hand it.
    assert check(pair(torch=parts, jax=parts | {"model": NoScore}, stages=stages)).outcome == "inconclusive"


def test_float64_is_float64_throughout() -> None:
    class Lower(Small):
        def __call__(self, inputs: jax.Array) -> jax.Array:
            return super().__call__(inputs.astype(jnp.float32).astype(inputs.dtype))

    assert first_of(check(pair(jax={"model": Lower}))) == Key("forward", 0, "inner.input")
