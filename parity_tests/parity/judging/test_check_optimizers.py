"""A JAX side that names no optimizer takes the steps of torch's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch.optim import lr_scheduler

from parity import NotCheckable, Pair, check
from parity.errors import MissingFramework
from parity.sides.live import live_side
from parity.sides.parts import Parts
from parity_tests.parity import small_jax, small_torch
from parity_tests.parity.judging.test_check_modules import first_of, pair
from parity_tests.parity.optimizers.cases import clip_norm

pytestmark = pytest.mark.usefixtures("compiled_quickly")
Optimizer = Callable[[Any], torch.optim.Optimizer]


def translated(optimizer: Optimizer, **others: Any) -> Pair:
    """The small pair without an optimizer on the JAX side."""
    return pair(torch={"optimizer": optimizer} | others, jax={"optimizer": None}, steps=3)


def grouped(parameters: Any) -> torch.optim.Optimizer:
    first, *others = parameters
    return torch.optim.AdamW([{"params": others}, {"params": [first], "weight_decay": 0.0}], lr=0.01, amsgrad=True)


def halving(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)


def dampened(parameters: Any) -> torch.optim.Optimizer:
    first, *others = parameters
    groups = [{"params": others}, {"params": [first], "momentum": 0.0}]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9, dampening=0.5)


def test_a_pair_that_names_only_torchs_optimizer_agrees() -> None:
    verdict = check(translated(dampened, scheduler=halving, clip=clip_norm(0.05)))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "update"}
    assert {"step", "momentum_buffer.outer.bias"} < compared
    assert "momentum_buffer.inner.weight" not in compared


def test_adamw_agrees_too() -> None:
    # Clipped, the square of a gradient that is nothing but rounding is too small for float32.
    verdict = check(translated(grouped, scheduler=halving, clip=clip_norm(0.05)))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "update"}
    assert {"step", "max_exp_avg_sq.inner.weight", "exp_avg.outer.bias"} < compared


def warmth(count: Any) -> Any:
    """The factor of a rate that warms up in three steps and goes down in a line."""
    return jnp.where(count < 3, count / 3, (9 - count) / 6)


def warmed_up(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.LambdaLR(optimizer, lambda count: count / 3 if count < 3 else (9 - count) / 6)


def decayed(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


def test_the_rate_of_a_function_is_taken_over() -> None:
    made = pair(
        torch={"optimizer": decayed, "scheduler": warmed_up, "clip": clip_norm(0.05)}, jax={"optimizer": None}, steps=6
    )
    verdict = check(made)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


@pytest.mark.parametrize("begun", [1, -1])
def test_a_rate_of_a_function_that_is_a_step_off_is_told(begun: int) -> None:
    def optimizer() -> optax.GradientTransformation:
        rate = lambda count: 0.01 * warmth(jnp.maximum(jnp.asarray(count, float) + begun, 0))  # noqa: E731
        return optax.adamw(rate, weight_decay=0.1)

    made = pair(torch={"optimizer": decayed, "scheduler": warmed_up}, jax={"optimizer": optimizer}, steps=6)
    verdict = check(made, dtypes=("float64",))
    assert first_of(verdict).stage == "update"
    assert verdict.first_difference is not None
    assert f"LambdaLR: begun at {begun} " in verdict.first_difference.looks_like


@pytest.mark.parametrize(
    "optimizer", [dampened, lambda ps: torch.optim.Adagrad(ps, lr_decay=0.1, initial_accumulator_value=0.1)]
)
def test_the_two_sides_go_on_from_each_others_state(optimizer: Optimizer) -> None:
    made = translated(optimizer)
    torchs, jaxs = (live_side(made.side(name), name, "float64", "cpu") for name in ("torch", "jax"))
    initial, batches = torchs.initial(0), torchs.batches(0, 3)
    state = None
    for step, other in zip(torchs.run(initial, batches), jaxs.run(initial, batches), strict=True):
        known = {name: array for name, array in step.state.parameters.items() if "num_batches" not in name}
        assert step.state.optimizer.keys() == other.state.optimizer.keys()
        if state is not None:
            again = jaxs.update(state, step.gradients.parameters)
            assert again.optimizer.keys() == other.state.optimizer.keys()
            for name, array in step.state.optimizer.items():
                np.testing.assert_allclose(again.optimizer[name], array, rtol=1e-12, atol=1e-15, err_msg=name)
        for name, array in known.items():
            np.testing.assert_allclose(other.state.parameters[name], array, rtol=1e-12, atol=1e-14, err_msg=name)
        state = other.state._replace(parameters=known)


def test_without_torch_the_jax_side_is_asked_for_an_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parity.torch_side.described", None)
    asked = "is not installed: install it, check against a recording, or name one on the jax side"
    with pytest.raises(MissingFramework, match=f"takes torch's, and .* {asked}"):
        _ = Parts(translated(grouped).jax, "jax").torch_optimizer


@pytest.mark.parametrize("in_jax", [optax.adam(0.05), optax.sgd(0.05, momentum=0.5)], ids=["Adam", "momentum"])
@pytest.mark.parametrize("in_torch", [torch.optim.SGD, torch.optim.RMSprop])
def test_an_optimizer_that_remembers_something_else_differs(
    in_torch: Any, in_jax: optax.GradientTransformation
) -> None:
    """The small pair has a null gradient: what rests on it is judged in steps from the other side's state."""
    made = pair(torch={"optimizer": partial(in_torch, lr=0.1)}, jax={"optimizer": lambda: in_jax}, steps=2)
    verdict = check(made)
    assert first_of(verdict).stage == "update"
    assert verdict.first_difference is not None
    memory = "nothing" if in_torch is torch.optim.SGD else "square_avg"
    assert "on the jax side, " + memory + " on the torch side" in verdict.first_difference.looks_like


class Cubes(NamedTuple):
    """What an optimizer that nobody knows remembers."""

    cube: Any
    seen: jax.Array


def cubed() -> optax.GradientTransformation:
    def update(gradients: Any, state: Any, _: Any = None) -> tuple[Any, Cubes]:
        cubes = jax.tree.map(lambda g: g**3, gradients)
        return cubes, Cubes(cubes, state.seen + 1)

    init = lambda parameters: Cubes(jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), int))  # noqa: E731
    return optax.GradientTransformation(init, update)


def test_counters_of_one_side_are_not_what_the_other_remembers() -> None:
    made = pair(torch={"optimizer": partial(torch.optim.Adam, lr=0.1)}, jax={"optimizer": cubed}, steps=1)
    verdict = check(made, dtypes=("float64",))
    assert verdict.first_difference is not None
    told = "another optimizer: it remembers cube on the jax side, exp_avg, exp_avg_sq on the torch side"
    assert verdict.first_difference.looks_like == told


def by_hand(_: list[torch.Tensor]) -> None:
    pass


def divided(parameters: Any) -> Any:
    """Matrices by Adam, the rest by SGD."""
    return [
        torch.optim.Adam([p for p in parameters if p.ndim == 2], lr=0.01),
        torch.optim.SGD([p for p in parameters if p.ndim < 2], lr=0.1, momentum=0.9),
    ]


def averaging(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05)


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"optimizer": torch.optim.ASGD}, "ASGD is not translated: nobody has written it yet"),
        ({"scheduler": averaging}, "SWALR is not a class of torch.optim.lr_scheduler: write it as an Optax schedule"),
        ({"optimizer": divided}, "several optimizers are not translated: put them together by optax.partition"),
        ({"clip": by_hand}, "clip calls clip_grad_norm_ or clip_grad_value_ 0 times"),
    ],
)
def test_what_is_not_translated_is_told(named: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotCheckable, match=f"the jax side names no optimizer, and torch's is not translated: {reason}"):
        check(translated(**({"optimizer": grouped} | named)))


def named(parameters: Any) -> Any:
    return {"sgd": torch.optim.SGD(parameters)}


def shared(parameters: Any) -> Any:
    return [torch.optim.SGD(parameters), torch.optim.Adam(parameters)]


def none(parameters: Any) -> Any:
    return []


def each_scheduled(optimizers: Any) -> Any:
    return [lr_scheduler.StepLR(optimizers[0], 1, 0.5), lr_scheduler.StepLR(optimizers[1], 2, 0.1)]


def partitioned(rates: tuple[Any, Any]) -> Callable[[], optax.GradientTransformation]:
    """The same in Optax, with these rates."""
    kinds = lambda tree: jax.tree.map(lambda leaf: "matrix" if leaf.ndim == 2 else "rest", tree)  # noqa: E731
    return lambda: optax.partition({"matrix": optax.adam(rates[0]), "rest": optax.sgd(rates[1], momentum=0.9)}, kinds)


def stepped(rate: float, every: int, by: float) -> Callable[[Any], Any]:
    return lambda count: rate * jnp.asarray(by, float) ** (count // every)


@pytest.mark.parametrize(
    ("rates", "scheduler", "outcome"),
    [
        ((0.01, 0.1), None, "agree"), ((0.01, 0.11), None, "differ"), ((0.011, 0.1), None, "differ"),
        ((stepped(0.01, 1, 0.5), stepped(0.1, 2, 0.1)), each_scheduled, "agree"),
        ((stepped(0.01, 1, 0.5), stepped(0.1, 1, 0.1)), each_scheduled, "differ"),
    ],
)  # fmt: skip
def test_several_optimizers_divide_the_parameters(rates: Any, scheduler: Any, outcome: str) -> None:
    made = pair(torch={"optimizer": divided, "scheduler": scheduler}, jax={"optimizer": partitioned(rates)}, steps=3)
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "update"}
    assert {"momentum_buffer.outer.bias", "exp_avg.inner.weight", "step"} < compared


def with_its_model() -> Any:
    return nnx.Optimizer(small_jax.Small(nnx.Rngs(0)), optax.sgd(0.1), wrt=nnx.Param)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"torch": {"optimizer": named}}, "the torch side's optimizer gave a dict: expected one of torch.optim"),
        ({"torch": {"optimizer": none}}, "the torch side's optimizer gave a list: expected one of torch.optim"),
        ({"torch": {"optimizer": shared}}, r"the torch side's optimizers share inner\.weight: give each parameter to"),
        (
            {"jax": {"optimizer": with_its_model}},
            "the jax side's optimizer gave a Optimizer: expected a transf",
        ),
    ],
)
def test_what_is_no_optimizer_is_told(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(NotCheckable, match=told):
        check(pair(**parts))


def asking_for_no_gradient() -> Any:
    model = small_torch.Small()
    model.inner.weight.requires_grad_(False)
    return model


def without_the_first(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(list(parameters)[1:], lr=0.1, momentum=0.9)


@pytest.mark.parametrize(
    "parts",
    [{"model": asking_for_no_gradient, "clip": clip_norm(0.05)}, {"optimizer": without_the_first}],
    ids=["asks for no gradient", "is not handed to the optimizer"],
)
def test_what_is_frozen_is_neither_moved_nor_counted_in_the_norm(parts: dict[str, Any]) -> None:
    verdict = check(pair(torch=parts, jax={"optimizer": None}, frozen=("inner.weight",)), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference


class Averaging(torch.optim.Optimizer):
    """A step for every two passes, along the mean of their gradients."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                held = self.state[parameter]
                if not held:
                    held |= {"step": torch.tensor(0.0), "acc_grads": torch.zeros_like(parameter)}
                passes = int(held["step"]) % 2
                held["step"] += 1
                mean = held["acc_grads"] + (parameter.grad - held["acc_grads"]) / (passes + 1)
                if passes:
                    parameter -= group["lr"] * mean
                held["acc_grads"] = torch.zeros_like(parameter) if passes else mean


def in_several(passes: int) -> optax.GradientTransformation:
    # Optax takes the dtype where the optimizer is made, and that of a float64 run has to be float64.
    found = optax.MultiSteps(optax.sgd(0.1), passes, accumulator_dtype=jnp.float64)
    return found.gradient_transformation()


@pytest.mark.parametrize(("passes", "outcome"), [(2, "agree"), (3, "differ")])
def test_counters_of_one_side_alone_are_told_and_steps_compared(passes: int, outcome: str) -> None:
    made = pair(torch={"optimizer": Averaging}, jax={"optimizer": lambda: in_several(passes)}, steps=4)
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "counted on the torch side only, and not compared: step" in verdict.listed
    assert "counted on the jax side only, and not compared: gradient_step, mini_step" in verdict.listed
    assert verdict.first_difference is None or verdict.first_difference.comparison.key.step == 1
