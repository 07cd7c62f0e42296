"""Each layer, pooling, activation and loss agrees with its counterpart in every stage; a wrong one is found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from parity import check
from parity.recording import STAGES
from parity.verdict import Comparison, Verdict
from parity_tests.ports import counterparts, losses
from parity_tests.ports.functions import FUNCTIONS
from parity_tests.ports.layer_case import LayerCase, function
from parity_tests.ports.layers import LAYERS, LastAndAllCounterpart, SelfAttentionCounterpart
from parity_tests.ports.pools import POOLS
from parity_tests.ports.proof import hand_in_layers
from parity_tests.ports.together import SIZES, case_of, outputs_of, pair_of, slug

TABLES = {"layers": LAYERS, "pools": POOLS, "functions": FUNCTIONS}
CASES = {case.name: case for cases in TABLES.values() for case in cases}
CEILING = 1e-12
"""No float64 limit of a layer is above this. Measured: differences of at most 3e-14."""
BASIC = (
    "Conv2d, all", "ConvTranspose2d, output padding and dilation", "BatchNorm2d", "LayerNorm", "GroupNorm",
    "Embedding with padding index", "MultiheadAttention, padded", "LSTM", "MaxPool2d, 3 by 2 with padding, ceil mode",
    "GELU", "CrossEntropyLoss, all, mean",
)  # fmt: skip


def expect_agreement(verdict: Verdict, cases: Sequence[LayerCase]) -> None:
    """All stages agree, in float64 within the ceiling, and nothing of any case went uncompared."""
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert [stage.stage for stage in verdict.stages] == list(STAGES)
    assert max(c.limit for c in verdict.comparisons if c.dtype == "float64") <= CEILING
    outputs = outputs_of(cases)
    for dtype in ("float64", "float32"):
        compared = {(case_of(cases, c.key, outputs), c.key.stage) for c in verdict.comparisons if c.dtype == dtype}
        assert {(case.name, stage) for case in cases for stage in STAGES if stage != "loss"} <= compared


def test_the_layers_that_matter_most_agree_with_their_counterparts() -> None:
    cases = [CASES[name] for name in BASIC]
    expect_agreement(check(pair_of(cases, SIZES[:2])), cases)


@pytest.mark.proof
@pytest.mark.parametrize("table", TABLES)
def test_every_layer_agrees_with_its_counterpart(table: str) -> None:
    cases = [case for case in TABLES[table] if not case.float32_inside]
    verdict = check(pair_of(cases))
    hand_in_layers(table, cases, verdict)
    expect_agreement(verdict, cases)


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.float32_inside])
def test_what_computes_in_float32_whatever_its_dtype_is_red_in_float64(name: str) -> None:
    case, bystander = CASES[name], CASES["Linear"]
    verdict = check(pair_of([bystander, case], SIZES[:1]), dtypes=("float64",))
    assert verdict.outcome == "differ"
    assert differing(verdict, [bystander, case]).keys() - {""} == {case.name}


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.float32_inside])
def test_where_that_is_declared_it_is_green_and_what_stands_before_it_is_judged_in_float64(name: str) -> None:
    case, bystander = CASES[name], CASES["Linear"]
    verdict = check(replace(pair_of([bystander, case], SIZES[:1]), float32_inside=(f"{slug(case)}*",)))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    before = [c for c in verdict.comparisons if c.dtype == "float64" and c.key.tensor.startswith(f"{slug(bystander)}.")]
    assert max(c.limit for c in before if c.key.stage in ("forward", "update")) <= CEILING


def test_no_two_cases_have_one_name() -> None:
    assert len({slug(case) for case in CASES.values()}) == sum(map(len, TABLES.values()))


# Wrong counterparts


class OtherGroups(nnx.Conv):
    """The channels of the input dealt to the groups one by one, and not in blocks."""

    def __call__(self, inputs: jax.Array, **others: Any) -> jax.Array:  # type: ignore[override]
        return super().__call__(inputs[..., jnp.array([0, 2, 1, 3])], **others)


class OtherGates(nnx.Linear):
    """What the input gives to the gates, in another order of these."""

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        return jnp.roll(super().__call__(inputs, out_sharding), 4, axis=-1)


class NoMask(SelfAttentionCounterpart):
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        return super().__call__(x)


def other_gates(rngs: nnx.Rngs) -> nnx.Module:
    rnn = counterparts.LSTM(3, 4, rngs=rngs)
    rnn.dense_i = OtherGates(3, 16, rngs=rngs)
    return LastAndAllCounterpart(rnn)


def stock_batch_norm(rngs: nnx.Rngs) -> nnx.Module:
    return nnx.BatchNorm(5, momentum=0.9, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


WRONG: dict[str, tuple[str, Callable[[nnx.Rngs], nnx.Module], str, str]] = {
    "epsilon": ("LayerNorm", lambda rngs: nnx.LayerNorm(6, epsilon=1e-6, rngs=rngs), "forward", ".layer.output"),
    "padding": (
        "Conv2d, stride and padding",
        lambda rngs: nnx.Conv(4, 6, (3, 3), strides=2, padding="SAME", rngs=rngs), "forward", ".layer.output",
    ),
    "dilation": (
        "Conv1d, dilation", lambda rngs: nnx.Conv(4, 6, (3,), padding=1, rngs=rngs), "forward", ".layer.output",
    ),
    "groups": (
        "Conv2d, groups",
        lambda rngs: OtherGroups(4, 6, (3, 3), padding=0, feature_group_count=2, use_bias=False, rngs=rngs),
        "forward", ".layer.output",
    ),
    "gate order": ("LSTM", other_gates, "forward", ".output"),
    "momentum": (
        "BatchNorm2d", lambda rngs: counterparts.BatchNorm(5, momentum=0.9, rngs=rngs), "update", ".layer.running_mean",
    ),
    "biased variance": ("BatchNorm1d", stock_batch_norm, "update", ".layer.running_var"),
    "padding index": (
        "Embedding with padding index", lambda rngs: counterparts.Embed(7, 5, rngs=rngs), "backward", ".layer.weight",
    ),
    "mask": ("MultiheadAttention, causal", NoMask, "forward", ".layer.attention.output"),
    "ceil mode": (
        "MaxPool2d, 3 by 2 with padding, ceil mode", lambda rngs: counterparts.MaxPool((3, 3), 2, 1),
        "forward", ".output",
    ),
    "padding counted": (
        "AvgPool2d, 3 by 2 with padding, padding not counted", lambda rngs: counterparts.AvgPool((3, 3), 2, 1),
        "forward", ".output",
    ),
    "tanh form": ("GELU", function(nnx.gelu), "forward", ".output"),
    "no smoothing": ("CrossEntropyLoss, smoothed, mean", function(losses.cross_entropy), "forward", ".output"),
}  # fmt: skip


def differing(verdict: Verdict, cases: Sequence[LayerCase]) -> dict[str, Comparison]:
    """The first difference of every case that has one."""
    outputs = outputs_of(cases)
    wrong = [c for c in verdict.comparisons if c.outcome == "differ"]
    found: dict[str, Comparison] = {}
    for comparison in sorted(wrong, key=lambda c: c.key.flow()):
        found.setdefault(case_of(cases, comparison.key, outputs), comparison)
    return found


@cache
def planted() -> dict[str, Comparison]:
    """All mistakes at once, each in a case of its own, among cases that are right."""
    right = [CASES[name] for name in ("Linear", "RMSNorm", "PReLU")]
    cases = [*right, *(CASES[name]._replace(jax=counterpart) for name, counterpart, _, _ in WRONG.values())]
    return differing(check(pair_of(cases, SIZES[:1]), dtypes=("float64",)), cases)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_counterpart_is_found_at_its_name_and_stage(mistake: str) -> None:
    name, _, stage, tensor = WRONG[mistake]
    key = planted()[name].key
    assert (key.stage, key.step, key.tensor) == (stage, 0, slug(CASES[name]) + tensor)


def test_nothing_else_differs_beside_wrong_counterparts() -> None:
    assert planted().keys() - {""} == {name for name, *_ in WRONG.values()}
