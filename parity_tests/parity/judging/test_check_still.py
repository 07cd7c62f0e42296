"""Parameters of torch's with `requires_grad` off that the model moves itself, as a target network, beside buffers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import jax
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import NotCheckable, Pair, check, random_batches
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity.judging.test_check_modules import first_of

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Net(nn.Module):
    """A layer, and a running average of it that it is to come near to."""

    def __init__(self) -> None:
        super().__init__()
        self.online, self.predictor = nn.Linear(5, 4), nn.Linear(4, 4)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            for mean, own in zip(self.target.parameters(), self.online.parameters(), strict=True):
                mean.mul_(0.9).add_(own.detach(), alpha=0.1)
        return self.predictor(self.online(x)), self.target(x)


class NetTwin(nnx.Module):
    """The same; what is averaged is no `nnx.Param`."""

    decay, trained = 0.9, False

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.online, self.predictor = nnx.Linear(5, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)
        self.target = nnx.Linear(5, 4, rngs=rngs)
        self.use_running_average = False
        for name in ("kernel", "bias"):
            variable = nnx.Param if self.trained else nnx.BatchStat
            setattr(self.target, name, variable(getattr(self.target, name)[...]))

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        if not self.use_running_average:
            for name in ("kernel", "bias"):
                mean, own = getattr(self.target, name), getattr(self.online, name)
                mean[...] = self.decay * mean[...] + (1 - self.decay) * jax.lax.stop_gradient(own[...])
        return self.predictor(self.online(x)), self.target(x)


class Forgotten(NetTwin):
    decay = 1.0


class TooSlow(NetTwin):
    decay = 0.99


class Trained(NetTwin):
    trained = True


def loss(model: Any, batch: Any) -> Any:
    online, target = model(batch["x"])
    return ((online - target) ** 2).mean()


def pair(model: Any = NetTwin, **others: Any) -> Pair:
    return Pair(
        torch={"model": Net, "loss": loss, "optimizer": lambda parameters: torch.optim.Adam(parameters, lr=0.01)},
        jax={"model": model, "loss": loss, "optimizer": lambda: optax.adam(0.01)},
        batches=random_batches(x=(8, 5), steps=3), name="target", **others,
    )  # fmt: skip


def test_a_target_network_is_compared_as_what_no_gradient_moves() -> None:
    verdict = check(pair())
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons if c.dtype == "float64"}
    assert {("init", "target.weight"), ("trajectory", "target.weight"), ("forward", "target.output")} < compared
    assert not {("backward", "target.weight"), ("update", "exp_avg.target.weight")} & compared


@pytest.mark.parametrize("wrong", [Forgotten, TooSlow])
def test_one_that_is_moved_otherwise_is_found(wrong: type[NetTwin]) -> None:
    # In the first step it is what it averages.
    assert first_of(check(pair(wrong), dtypes=("float64",))) == Key("forward", 1, "target.output")


def test_one_that_the_jax_side_trains_is_told_with_what_to_do() -> None:
    with pytest.raises(NotCheckable) as told:
        check(pair(Trained))
    assert str(told.value).endswith(
        "torch has requires_grad off of target.bias, target.weight: they go with what the jax side holds as buffers, "
        "such as nnx.Variables that are no nnx.Params; if no step is to move them, declare that in the pair: "
        'frozen=("target.*",)'
    )


def test_where_nothing_is_trained_it_is_a_parameter_like_any_other() -> None:
    def predict(model: Any, batch: Any) -> Any:
        return model(batch["x"])[1]

    made = pair(Trained)
    torch, jax = replace(made.torch, predict=predict), replace(made.jax, predict=predict)
    verdict = check(replace(made, torch=torch, jax=jax, stages=("forward", "score")))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


def of_the_target(model: Any, batch: Any) -> Any:
    return model(batch["x"])[1]


def moved_before(model: Any, batch: Any) -> Any:
    model(batch["x"])
    return model(batch["x"])[1]


def predicting(predict: Any) -> Verdict:
    made = pair()
    torch, jax = replace(made.torch, predict=of_the_target), replace(made.jax, predict=predict)
    return check(replace(made, torch=torch, jax=jax), dtypes=("float64",))


def test_a_prediction_is_made_from_what_stood_before_the_loss_had_moved_it() -> None:
    verdict = predicting(of_the_target)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert first_of(predicting(moved_before)) == Key("forward", 1, "output")
