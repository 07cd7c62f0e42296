"""Torch optimizers and their translations to Optax take the same steps, from fresh and carried over both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from parity import NotCheckable, from_optax, read_torch_optimizer, to_optax
from parity.jax_side.optimizer import clipping, rules, scalars, translated
from parity.jax_side.optimizer.translated import TorchState
from parity.jax_side.outline import outline as jax_outline
from parity.pair.optimizers import Clip, Group, Optimizer, Schedule, differing
from parity.recording import Arrays, Dtype
from parity.torch_side.outline import outline as torch_outline
from parity.weight_map.entry import Entry, Part
from parity.weight_map.find import find
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.optimizers.beside import SHAPES, Beside, all_ways, apart, drawn, gradients, together
from parity_tests.parity.optimizers.cases import CASES, RATES, Case, clip_norm
from parity_tests.parity.optimizers.changes import CHANGES, Change, altered
from parity_tests.parity.optimizers.stock import STOCK, Stock, measured

BOUND: dict[Dtype, float] = {"float64": 1e-12, "float32": 1e-5}
"""Of the difference of any parameter or entry after any of 50 steps, by its scale. Measured (docs/optimizers.md):
float64 at most 8e-15; float32 3e-6, where torch rounds a parameter twice a step and a fused multiply-add once."""
QUICK = (
    "SGD, all, maximize",
    "SGD, two groups",
    "Adamax",
    "AdamW, AMSGrad, maximize",
    "RMSprop, all, maximize",
    "Adagrad, all, maximize",
    "NAdam, two groups",
    "RAdam",
    "Adadelta",
    "Rprop",
    "OneCycleLR, Adam",
    "clipped, scheduled, two groups",
)
NAMED = {case.name: case for case in CASES}
every_rate = pytest.mark.parametrize("rate", RATES.values(), ids=RATES)


@every_rate
@pytest.mark.parametrize("name", QUICK)
def test_the_steps_are_the_same_however_they_are_shared(name: str, rate: float) -> None:
    for way, difference in all_ways(NAMED[name], rate).items():
        assert difference <= BOUND["float64"], way


@pytest.mark.proof
@every_rate
@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_steps_of_every_row_are_the_same(case: Case, dtype: Dtype, rate: float) -> None:
    for way, difference in all_ways(case, rate, dtype).items():
        assert difference <= BOUND[dtype], way


@pytest.mark.parametrize("name", ["AdamW", "clipped, scheduled, two groups"])
def test_the_steps_are_the_same_in_float32(name: str) -> None:
    for way, difference in all_ways(NAMED[name], 1e-3, "float32").items():
        assert difference <= BOUND["float32"], way


@cache
def alone(name: str) -> list[Arrays]:
    return Beside(NAMED[name], RATES["very large"]).in_torch(drawn(), gradients()).parameters


def rows(changes: Iterable[Change]) -> Iterator[Any]:
    for change in changes:
        mark = () if change.case in ("Adam", "SGD, Nesterov", "clipped by norm") else pytest.mark.proof
        yield pytest.param(change, id=f"{change.case}: {change.option}", marks=mark)


@pytest.mark.parametrize("change", list(rows(CHANGES)))
def test_an_option_that_is_a_little_different_is_seen_and_named(change: Change) -> None:
    case, rate = NAMED[change.case], RATES["very large"]
    found = Beside(case, rate, changed=lambda read: altered(read, change)).in_jax(drawn(), gradients())
    assert not apart(alone(change.case), found.parameters) <= 100 * BOUND["float64"]
    read = Beside(case, rate).read
    assert change.option.partition(".")[0] in differing(read, altered(read, change))


@pytest.mark.parametrize(
    ("case", "module", "name", "wrong"),
    [
        ("clipped by norm", clipping, "ADDED", 0.0),
        ("RAdam", scalars, "TRUSTED", 4.0),
        ("AdamW", rules, "one_minus_power", lambda base, count: 1.0),
        ("RMSprop", translated, "fresh", lambda entry, options: 1.0),
        ("NAdam", rules, "halved", lambda decay, count: jnp.asarray(0.5)),
        ("NAdam", rules, "OF_PRODUCT", jnp.float64),
    ],
    ids=[
        "no 1e-6",
        "trusted too early",
        "no bias correction",
        "moments begin at 1",
        "momentum stays at half",
        "the product in float64",
    ],
)
def test_a_mistake_in_the_translation_is_seen(
    case: str, module: Any, name: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    beside = Beside(NAMED[case], RATES["very large"])
    found = beside.in_jax(drawn(), gradients())
    assert apart(alone(case), found.parameters) > 100 * BOUND["float64"]


NUMBER = st.sampled_from([0.0, 1e-3, 0.1, 0.5, 0.9])
TRUE = st.booleans()
DRAWN: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": NUMBER, "dampening": NUMBER, "weight_decay": NUMBER, "nesterov": TRUE},
    "Adam": {"betas": st.tuples(NUMBER, NUMBER), "eps": st.sampled_from([1e-8, 1e-3]), "weight_decay": NUMBER,
             "amsgrad": TRUE, "decoupled_weight_decay": TRUE},
    "RMSprop": {"alpha": NUMBER, "eps": st.sampled_from([1e-8, 1e-3]), "weight_decay": NUMBER, "momentum": NUMBER,
                "centered": TRUE},
    "Adagrad": {"lr_decay": NUMBER, "weight_decay": NUMBER, "initial_accumulator_value": NUMBER},
    "Adamax": {"betas": st.tuples(NUMBER, NUMBER), "weight_decay": NUMBER},
    "NAdam": {"betas": st.tuples(NUMBER, NUMBER), "weight_decay": NUMBER, "momentum_decay": NUMBER,
              "decoupled_weight_decay": TRUE},
    "RAdam": {"betas": st.tuples(NUMBER, NUMBER), "weight_decay": NUMBER, "decoupled_weight_decay": TRUE},
    "Adadelta": {"rho": NUMBER, "eps": st.sampled_from([1e-6, 1e-3]), "weight_decay": NUMBER},
    "Rprop": {"etas": st.tuples(st.sampled_from([0.3, 0.5]), st.sampled_from([1.1, 2.0]))},
}  # fmt: skip


@st.composite
def any_case(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(sorted(DRAWN)))
    one, other = (
        {name: draw(values) for name, values in DRAWN[kind].items()} | {"maximize": draw(TRUE)} for _ in range(2)
    )
    for options in (one, other):
        if options.get("nesterov"):
            options |= {"dampening": 0.0, "nesterov": options["momentum"] > 0}
        # With a short memory of a slope that hardly changes, nothing is left under the root but rounding.
        if options.get("centered"):
            options |= {"alpha": 0.9}
    return Case(
        "drawn", kind, one, draw(st.sampled_from([None, other])), clip=draw(st.sampled_from([None, clip_norm(1.0)]))
    )


COMBINED = given(any_case(), st.sampled_from([1e-3, 1.0]), st.integers(0, 1000))


def expect_the_same_steps(case: Case, rate: float, seed: int) -> None:
    """Three steps in JAX and three in torch, not compiled, are six in torch."""
    beside, start, steps = Beside(case, rate), drawn(seed), gradients(seed)[:6]
    with jax.disable_jit():
        found = beside.in_jax(start, steps[:3])
    onward = beside.in_torch(found.parameters[-1], steps[3:], found.optimizer)
    expected = beside.in_torch(start, steps)
    assert apart(expected.parameters, found.parameters + onward.parameters) <= BOUND["float64"]
    assert together(expected.optimizer, onward.optimizer) <= BOUND["float64"]


@settings(max_examples=20)
@COMBINED
def test_no_combination_of_options_makes_a_difference(case: Case, rate: float, seed: int) -> None:
    expect_the_same_steps(case, rate, seed)


@pytest.mark.proof
@settings(max_examples=1000)
@COMBINED
def test_no_combination_of_options_makes_a_difference_at_length(case: Case, rate: float, seed: int) -> None:
    expect_the_same_steps(case, rate, seed)


@pytest.mark.proof
@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.case.name)
def test_what_the_page_says_of_optaxs_own_optimizers_holds(stock: Stock) -> None:
    assert (measured(stock, "float64") > BOUND["float64"]) == bool(stock.why)


def sgd(**changed: Any) -> Optimizer:
    return replace(Beside(NAMED["SGD, momentum"], 0.1).read, **changed)


def test_it_is_an_ordinary_transformation_that_scans_and_chains() -> None:
    read = Beside(NAMED["clipped, scheduled, two groups"], 0.1, "float32").read
    transformation = optax.chain(to_optax(read), optax.scale(1.0))
    leaves = {name: jnp.ones(shape, jnp.float32) for name, shape in SHAPES.items()}

    def step(carry: Any, _: None) -> tuple[Any, None]:
        leaves, state = carry
        updates, state = transformation.update(leaves, state, leaves)
        return (optax.apply_updates(leaves, updates), state), None

    run = jax.jit(lambda leaves: jax.lax.scan(step, (leaves, transformation.init(leaves)), length=3)[0])
    leaves, state = run(leaves)
    assert from_optax(read, state, leaves).state["step"] == 3
    dtypes = {leaf.dtype.name for leaf in jax.tree.leaves(state)}
    assert dtypes == {"int32", "float32"}


@pytest.mark.parametrize("name", ["SGD, momentum", "AdamW, two groups", "clipped, scheduled, two groups"])
def test_gradients_of_several_passes_are_summed_as_torch_does_where_optax_is_told_to(name: str) -> None:
    beside, passes = Beside(NAMED[name], 0.1), 3
    slopes = gradients()[: 5 * passes]
    sums = [
        {leaf: np.sum([slope[leaf] for slope in slopes[at : at + passes]], 0) for leaf in SHAPES}
        for at in range(0, len(slopes), passes)
    ]
    expected = beside.in_torch(drawn(), sums).parameters[-1:]
    for mean, dtype in ((False, np.float64), (False, np.float32), (True, np.float64)):
        with jax.enable_x64(True):
            transformation = optax.MultiSteps(
                to_optax(beside.read), passes, use_grad_mean=mean, accumulator_dtype=dtype
            )
            # Not compiled, each call would trace both branches anew: that of the last pass and that of the others.
            update = jax.jit(transformation.update)
            leaves = jax.device_put(drawn())
            state = transformation.init(leaves)
            for slope in slopes:
                updates, state = update(jax.device_put(slope), state, leaves)
                leaves = optax.apply_updates(leaves, updates)
            found = apart(expected, [{leaf: np.asarray(array) for leaf, array in leaves.items()}])
        assert (found < BOUND["float64"]) == (not mean and dtype is np.float64)


def test_the_leaves_may_be_nested_where_torch_has_dots() -> None:
    read = sgd()
    leaves = {"inner": {"weight": jnp.ones((3, 2)), "bias": jnp.ones(3)}, "scale": jnp.ones(())}
    transformation = to_optax(read)
    updates, state = transformation.update(leaves, transformation.init(leaves), leaves)
    assert from_optax(read, state, leaves).state.keys() == {f"momentum_buffer.{name}" for name in SHAPES}
    np.testing.assert_allclose(updates["inner"]["bias"], -0.1, rtol=1e-6)


def layers() -> tuple[dict[str, torch.Tensor], nnx.Linear, WeightMap]:
    """The parameters of a torch layer, the Flax layer that is the same, and the map between them."""
    layer, twin = torch.nn.Linear(3, 2), nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    return dict(layer.named_parameters()), twin, find(torch_outline(layer), jax_outline(twin), {})


def test_a_weight_map_stands_between_the_names_and_the_layouts() -> None:
    parameters, twin, weight_map = layers()
    optimizer = torch.optim.Adam([parameters["weight"]], lr=0.1)
    parameters["weight"].grad = torch.arange(6.0).reshape(2, 3)
    optimizer.step()
    read = read_torch_optimizer(optimizer, parameters)
    leaves = nnx.state(twin, nnx.Param)
    transformation = to_optax(read, weight_map)
    state = transformation.init(leaves)
    np.testing.assert_array_equal(state.exp_avg["kernel"].get_value(), read.state["exp_avg.weight"].T)
    again = from_optax(read, state, leaves, weight_map)
    assert again.state.keys() == read.state.keys()
    assert all(np.array_equal(again.state[name], array) for name, array in read.state.items())
    updates, _ = transformation.update(leaves, state, leaves)
    assert updates["kernel"].get_value().any()
    assert not updates["bias"].get_value().any()


def test_a_norm_over_parameters_of_torch_alone_is_refused() -> None:
    parameters, _, weight_map = layers()
    parameters |= {"alone": torch.ones(2, requires_grad=True)}
    read = read_torch_optimizer(torch.optim.SGD(parameters.values()), parameters, clip=clip_norm(1.0))
    with pytest.raises(NotCheckable, match="clipped by norm: alone has no counterpart, and torch counts its"):
        to_optax(read, weight_map)


def test_a_leaf_of_two_groups_is_refused() -> None:
    both = Part("both", (4,))
    halves = [Entry(Part(name, (2,)), (), both.slice(0, n, 2), buffer=False) for n, name in enumerate(("one", "two"))]
    parameters = {"one": torch.ones(2, requires_grad=True), "two": torch.ones(2, requires_grad=True)}
    groups: list[dict[str, Any]] = [{"params": [parameter]} for parameter in parameters.values()]
    read = read_torch_optimizer(torch.optim.SGD(groups), parameters)
    words = "both holds torch parameters of two groups: put two and what .* into one, or name the optimizer on the JAX"
    with pytest.raises(NotCheckable, match=words):
        to_optax(read, WeightMap(tuple(halves), [], {}))


def test_a_parameter_that_the_optimizer_was_not_given_does_not_move_and_is_not_remembered() -> None:
    tensors = {name: torch.ones(shape, requires_grad=True) for name, shape in SHAPES.items()}
    read = read_torch_optimizer(torch.optim.AdamW([tensors["scale"]]), tensors)
    leaves = {name: jnp.ones(shape) for name, shape in SHAPES.items()}
    transformation = to_optax(read)
    updates, state = transformation.update(leaves, transformation.init(leaves), leaves)
    assert not updates["inner.weight"].any()
    assert updates["scale"] != 0
    assert from_optax(read, state, leaves).state.keys() == {"step", "exp_avg.scale", "exp_avg_sq.scale"}


def test_wrong_leaves_are_told() -> None:
    transformation = to_optax(sgd())
    with pytest.raises(
        NotCheckable, match=r"missing: inner\.bias, inner\.weight; unknown: inner\.kernel: give the wei"
    ):
        transformation.init({"inner.kernel": jnp.ones((2, 3)), "scale": jnp.ones(())})
    carried = to_optax(sgd(state={f"momentum_buffer.{name}": np.ones(shape) for name, shape in SHAPES.items()}))
    with pytest.raises(
        NotCheckable, match=r"momentum_buffer of inner\.weight has shape \[3, 2\] in torch and the leaf \[2"
    ):
        carried.init({name: jnp.ones(shape[::-1]) for name, shape in SHAPES.items()})
    with pytest.raises(ValueError, match="the steps of torch need the parameters"):
        transformation.update({}, TorchState(), None)


def test_another_state_than_that_of_a_translation_is_told() -> None:
    with pytest.raises(NotCheckable, match="0 states of a translated optimizer: expected the one that its `init` gave"):
        from_optax(sgd(), optax.sgd(0.1).init({}), {})


def test_parameters_at_different_steps_are_refused() -> None:
    state = {"step.scale": np.asarray(1), "step.inner.bias": np.asarray(2)}
    with pytest.raises(NotCheckable, match=r"SGD: inner\.bias has not taken as many steps as other parameters"):
        to_optax(sgd(state=state))


def test_what_differs_is_named_with_both_values() -> None:
    one = Optimizer("AdamW", (Group(("a",), {"weight_decay": 0.01}), Group(("b",), {"weight_decay": 0.0})), {})
    other = replace(one, groups=(one.groups[0], Group(("b",), {"weight_decay": 1e-4})))
    assert differing(one, one) == ""
    assert differing(one, other) == "AdamW: weight_decay 0.0 and 0.0001 in group 1"
    assert differing(one, replace(one, kind="Adam")) == "AdamW and Adam"
    assert differing(one, replace(one, groups=one.groups[::-1])) == "AdamW: other parameters, or in other groups"
    assert differing(one, replace(one, clip=Clip("value", 1.0))).startswith("AdamW: clip None and Clip(by='value'")
    assert "schedule" in differing(one, replace(one, schedule=Schedule("StepLR", {"gamma": 0.1})))
