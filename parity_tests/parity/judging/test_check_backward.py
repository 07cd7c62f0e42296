"""What torch does behind a loss is what is compared: no gradient at all, hooks, losses that differentiate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import NotCheckable, Pair, Verdict, check, random_batches
from parity.recording import FRAMEWORKS, STAGES

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Net(nn.Module):
    """Two layers, and one that nobody calls."""

    def __init__(self, change: Callable[[nn.Module], object] = bool) -> None:
        super().__init__()
        self.a, self.b, self.old = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(4, 2)
        change(self)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.b(torch.tanh(self.a(x)))
        return found


class NetTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.a, self.b = nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
        self.old = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.b(jnp.tanh(self.a(x)))


def torch_loss(model: Any, batch: Any) -> Any:
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


jax_loss = torch_loss


def halved_gradient_loss(model: Any, batch: Any) -> Any:
    """The loss of a port that halves the gradient of `a.weight`, as a hook of torch's does."""
    kernel = model.a.kernel[...]
    model.a.kernel[...] = kernel / 2 + jax.lax.stop_gradient(kernel / 2)
    return jax_loss(model, batch)


def checked(
    torch_optimizer: Any, jax_optimizer: Any = None, change: Callable[[nn.Module], object] = bool, **others: Any
) -> Verdict:
    losses = {name: others.pop(name, loss) for name, loss in (("torch", torch_loss), ("jax", jax_loss))}
    return check(
        Pair(
            name="backward", torch=dict(model=lambda: Net(change), loss=losses["torch"], optimizer=torch_optimizer),
            jax=dict(model=NetTwin, loss=losses["jax"]) | ({"optimizer": jax_optimizer} if jax_optimizer else {}),
            batches=random_batches(x=(6, 4), y=(6, 3), steps=3), **others,
        )
    )  # fmt: skip


def differing(verdict: Verdict) -> list[str]:
    return [str(found.key) for found in verdict.comparisons if found.outcome == "differ"]


adam, adamw = partial(torch.optim.Adam, lr=1e-2), partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)


def test_torch_leaves_a_parameter_without_a_gradient_and_a_port_that_decays_it_differs() -> None:
    verdict = checked(adamw, partial(optax.adamw, 1e-2, weight_decay=0.1))
    first = verdict.first_difference
    assert first is not None
    key = first.comparison.key
    assert (verdict.outcome, key.stage, key.step, key.tensor) == ("differ", "update", 0, "old.weight")
    assert "torch's optimizer leaves a parameter without a gradient as it is" in str(first)


def decayed(params: Any) -> Any:
    """All but what nobody calls."""
    return jax.tree_util.tree_map_with_path(lambda path, _: "old" not in str(path), params)


def test_a_port_that_leaves_it_too_has_nothing_that_differs() -> None:
    assert not differing(checked(adamw, lambda: optax.adamw(1e-2, weight_decay=0.1, mask=decayed)))
    # Without decay, what Optax does with a gradient of 0 is nothing.
    assert not differing(checked(adam))


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.NAdam, lr=1e-2),
        partial(torch.optim.Adamax, lr=1e-2),
        partial(torch.optim.Adagrad, lr=1e-2, initial_accumulator_value=0.1),
    ],
    ids=["a product", "a largest one", "a start of its own"],
)
def test_what_the_two_optimizers_remember_of_a_parameter_without_a_gradient_is_alike(optimizer: Any) -> None:
    assert not differing(checked(optimizer))


def test_a_gradient_that_is_zero_is_one() -> None:
    """Torch's optimizer decays its parameter, also where a step is taken from another state."""

    def of_nothing(model: Any, batch: Any) -> Any:
        return torch_loss(model, batch) + 0 * model.old(batch["x"]).sum()

    port = partial(optax.adamw, 1e-2, weight_decay=0.1)
    assert not differing(checked(adamw, port, torch=of_nothing, jax=of_nothing))


def test_such_a_parameter_may_be_declared_frozen() -> None:
    assert checked(adam, frozen=("old.*",)).outcome == "agree"


@pytest.mark.parametrize(("masked", "first"), [(True, ""), (False, "update, step 0, old.weight")])
def test_decay_that_is_a_part_of_the_gradient_is_none_of_such_a_parameter(masked: bool, first: str) -> None:
    def port() -> Any:
        decay = optax.add_decayed_weights(0.1, mask=decayed if masked else None)
        return optax.chain(decay, optax.adam(1e-2))

    verdict = checked(partial(torch.optim.Adam, lr=1e-2, weight_decay=0.1), port)
    assert str(verdict.first_difference.comparison.key if verdict.first_difference else "") == first


class Averaging(torch.optim.Adam):
    """Adam, which moves the last two parameters by itself: they come to be as the first two are."""

    def __init__(self, parameters: Sequence[Tensor], given: bool = False) -> None:
        *moved, self.weight, self.bias = self.all = list(parameters)
        super().__init__(self.all if given else moved, lr=1e-2)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        self.weight.lerp_(self.all[0][:2], 0.1)
        self.bias.lerp_(self.all[1][:2], 0.1)


def averaging(share: float) -> optax.GradientTransformation:
    """Its port."""
    adam = optax.masked(optax.adam(1e-2), decayed)

    def update(gradients: Any, state: Any, parameters: Any) -> Any:
        updates, state = adam.update(gradients, state, parameters)
        a, old = optax.apply_updates(parameters, updates)["a"], parameters["old"]
        updates["old"] = jax.tree.map(lambda mean, own: share * (own[..., :2] - mean), old, a)
        return updates, state

    return optax.GradientTransformation(adam.init, update)


def test_an_optimizer_may_move_what_has_no_gradient_and_is_not_given_to_torchs_own() -> None:
    """As one that keeps a running average of the model."""
    assert not differing(checked(Averaging, partial(averaging, 0.1)))
    verdict = checked(Averaging, partial(averaging, 0.2))
    assert differing(verdict)[0] == "update, step 0, old.weight"
    first = str(verdict.first_difference)
    assert "torch's optimizer leaves" not in first
    with pytest.raises(
        NotCheckable, match=r"the torch side's optimizer moves old\.weight, .* by itself: do not hand it"
    ):
        checked(partial(Averaging, given=True), partial(averaging, 0.1))


def longer_from_the_second_on(_: int, steps: int) -> Sequence[dict[str, Any]]:
    """Batches of which the first is short."""
    numbers, sizes = np.random.default_rng(0), [3] + [6] * (steps - 1)
    return [{"x": numbers.standard_normal((size, 4)), "y": numbers.standard_normal((size, 3))} for size in sizes]


def with_the_third(loss: Any, model: Any, batch: Any) -> Any:
    """Only of long batches there is a loss by `old`, too."""
    return loss(model, batch) + ((model.old(batch["x"]) ** 2).mean() if len(batch["x"]) > 3 else 0.0)


@pytest.mark.parametrize(("momentum", "outcome"), [(0.9, "agree"), (0.8, "differ")])
def test_a_gradient_that_comes_later_is_remembered_from_then_on(momentum: float, outcome: str) -> None:
    losses = {framework: partial(with_the_third, torch_loss) for framework in FRAMEWORKS}
    verdict = check(
        Pair(
            name="late",
            torch=dict(model=Net, loss=losses["torch"], optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9)),
            jax=dict(model=NetTwin, loss=losses["jax"], optimizer=lambda: optax.sgd(0.1, momentum=momentum)),
            batches=longer_from_the_second_on, steps=3, stages=STAGES[:-1],
        ),
        dtypes=("float64",),
    )  # fmt: skip
    assert verdict.outcome == outcome, verdict.first_difference or [stage.reason for stage in verdict.stages]
    seen = {(c.key.step, c.key.tensor) for c in verdict.comparisons if c.key.stage == "update"}
    assert {(step, "momentum_buffer.old.weight") for step in (0, 1)} <= seen


def hook(model: Any) -> None:
    model.a.weight.register_hook(lambda gradient: gradient / 2)


def test_a_hook_of_a_gradient_is_part_of_the_model() -> None:
    lost = checked(adam, change=hook)
    assert lost.first_difference is not None
    assert (lost.outcome, lost.first_difference.comparison.key.tensor) == ("differ", "a.weight")
    assert not [
        str(c.key) for c in checked(adam, change=hook, jax=halved_gradient_loss).comparisons if c.outcome == "differ"
    ]


def computed(model: Any) -> None:
    """The layer holds a tensor that was computed, which `copy.deepcopy` refuses."""
    model.a.seen = model.a.weight * 2


def locked(model: Any) -> None:
    """It holds what nothing in Python copies."""
    model.a.lock = threading.Lock()


@pytest.mark.parametrize("change", [computed, locked])
def test_what_cannot_be_copied_is_made_anew(change: Callable[[nn.Module], object]) -> None:
    assert not differing(checked(adam, change=change))


def late(model: Any) -> None:
    model.a.weight.register_post_accumulate_grad_hook(print)


def lazy(model: Any) -> None:
    model.a = nn.LazyLinear(5)


@pytest.mark.parametrize(
    ("change", "told"), [(late, r"a\.weight has a hook behind the accumulation"), (lazy, r"a\.weight has no shape yet")]
)
def test_what_a_check_cannot_do_is_refused(change: Any, told: str) -> None:
    with pytest.raises(NotCheckable, match=told):
        checked(adam, change=change)


def torch_slope(model: Any, batch: Any) -> Any:
    x = batch["x"].clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    return torch_loss(model, batch) + (slope**2).mean()


def jax_slope(model: Any, batch: Any, share: float = 1.0) -> Any:
    slope = jax.grad(lambda x: model(x).sum())(batch["x"])
    return jax_loss(model, batch) + share * (slope**2).mean()


def test_a_loss_may_differentiate_by_its_input() -> None:
    right = checked(adam, torch=torch_slope, jax=jax_slope)
    assert not differing(right)
    wrong = checked(adam, torch=torch_slope, jax=partial(jax_slope, share=1.001))
    assert wrong.first_difference is not None
    assert wrong.first_difference.comparison.key.stage == "loss"


def test_so_may_predict() -> None:
    def torch_predict(model: Any, batch: Any) -> Any:
        x = batch["x"].clone().requires_grad_()
        return torch.autograd.grad(model(x).sum(), x)[0]

    def jax_predict(model: Any, batch: Any) -> Any:
        return jax.grad(lambda x: model(x).sum())(batch["x"])

    verdict = check(
        Pair(
            name="forces", torch=dict(model=Net, predict=torch_predict), jax=dict(model=NetTwin, predict=jax_predict),
            batches=random_batches(x=(6, 4), steps=2), stages=("forward", "score"),
        )
    )  # fmt: skip
    assert not differing(verdict)


@pytest.mark.parametrize("stages", [("forward", "score"), STAGES], ids=["inference", "training"])
def test_predict_may_leave_torch(stages: tuple[str, ...]) -> None:
    """`numpy` refuses a tensor that asks for a gradient, which nobody takes of what `predict` gives."""

    def by_numpy(model: Any, batch: Any) -> Any:
        return torch.from_numpy(2 * model(batch["x"]).numpy())

    verdict = check(
        Pair(
            name="numpy",
            torch=dict(model=Net, loss=torch_loss, predict=by_numpy, optimizer=adam),
            jax=dict(model=NetTwin, loss=jax_loss, predict=lambda model, batch: 2 * model(batch["x"])),
            batches=random_batches(x=(6, 4), y=(6, 3), steps=2), stages=stages,
        ),
        dtypes=("float64",),
    )  # fmt: skip
    assert not differing(verdict)
