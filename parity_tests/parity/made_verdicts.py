"""Verdicts made by hand, in which every figure is known, for the tests of what prints and writes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parity.pair.pair import Pair, Side
from parity.recording import FRAMEWORKS, STAGES, USUAL_DTYPES, Dtype, Framework, Key, Provenance
from parity.verdict import Comparison, Curves, FirstDifference, Outcome, Score, StageVerdict, Verdict

EXACT = ("data", "init")


def never(*_: object, **__: object) -> None:
    raise AssertionError("a part was used that this test does not need")


def pair(name: str = "made", **others: object) -> Pair:
    """A pair of whose sides nothing is used."""
    parts = ("parameters", "model", "arrays", "batches", "predict", "loss", "scored", "update")
    named: dict[str, Any] = dict.fromkeys(parts, never)
    side = Side(**named)
    told = {"labels": "labels", "scored_on": {"seen": "the images that were seen"}, "published": {"seen": 0.9}}
    return Pair(name=name, torch=side, jax=side, **(told | others))


def float64(stage: str, tensor: str, step: int = 0, difference: float = 2e-16, loop: str | None = None) -> Comparison:
    exact = stage in EXACT
    limit, power = (0.0, None) if exact else (1e-12, 4e11)
    outcome: Outcome = "agree" if difference <= limit else "differ"
    return Comparison(Key(stage, step, tensor), "float64", None, loop, difference, limit, power, outcome)


def float32(
    side: Framework, stage: str, tensor: str, step: int = 0, difference: float = 3e-7, limit: float = 2.4e-5
) -> Comparison:
    outcome: Outcome = "agree" if difference <= limit else "differ"
    return Comparison(Key(stage, step, tensor), "float32", side, None, difference, limit, 2.1e3, outcome)


def stage_verdict(stage: str) -> StageVerdict:
    """A green stage: one tensor in float64, two in float32, whose limits differ in the backward stage."""
    if stage in EXACT:
        exact = float64(stage, "weight", difference=0.0)
        float32s = dict.fromkeys(FRAMEWORKS, replace(exact, dtype="float32"))
        return StageVerdict(stage, "agree", exact, float32s, {"float64": None, "float32": None}, {}, 3)
    limits = (2.4e-5, 7.5e-5) if stage == "backward" else (2.4e-5, 2.4e-5)
    found = {side: float32(side, stage, "weight", limit=limit) for side, limit in zip(FRAMEWORKS, limits, strict=True)}
    kinds: dict[Dtype, dict[str, float]] = {"float64": {"sign": 8e11, "zero": 4e11}, "float32": {"zero": 2.1e3}}
    return StageVerdict(stage, "agree", float64(stage, "weight"), found, {"float64": 4e11, "float32": 2.1e3}, kinds, 3)


def provenance(framework: Framework, dtype: Dtype) -> Provenance:
    versions = {framework: "1.2.3", "numpy": "2.0"}
    return Provenance(framework, versions, "cpu", "a machine", dtype, "float32", dtype == "float64")


def comparisons() -> list[Comparison]:
    """Three steps of one parameter's trajectory, one loop of each side, and its initial value."""
    found = [float64("init", "weight", difference=0.0)]
    for step, apart in enumerate((1e-16, 5e-16, 2e-16)):
        found.append(float64("trajectory", "loss", step, apart))
        found.append(float64("trajectory", "gradient.weight", step, 2 * apart))
        found.append(float64("trajectory", "weight", step, 3 * apart))
        found.append(float64("trajectory", "exp_avg.weight", step, 4 * apart))
        found += [float32(side, "trajectory", "weight", step, difference=1e-7 * (step + 1)) for side in FRAMEWORKS]
    found += [float64("trajectory", "loss", step, 7e-16, loop="torch stepped") for step in range(3)]
    found.append(float64("trajectory", "weight", 2, 9e-16, loop="torch stepped"))
    return found


def agreeing(name: str = "made") -> Verdict:
    return Verdict(
        pair=name, outcome="agree", stages=[stage_verdict(stage) for stage in STAGES], first_difference=None,
        unseen=[],
        listed=[f"null gradient: backward layer{index}.bias" for index in range(5)],
        scores=[Score("seen", 1000, {(s, d): 970 for s in FRAMEWORKS for d in ("float64", "float32")})],
        curves=Curves(
            {"torch": [2.0, 1.0, 0.5], "jax": [2.0, 1.0, 0.501]}, {"torch": [0.0, 1e-6, 1e-3], "jax": [0.0, 1e-6, 2e-3]}
        ),
        comparisons=comparisons(),
        provenances=[provenance(side, dtype) for dtype in ("float64", "float32") for side in FRAMEWORKS],
        loops={"torch": {"stepped": "", "whole_run": "needs CUDA"}, "jax": {"stepped": "", "whole_run": ""}},
        seed=7, steps=3, device="cpu", dtypes=USUAL_DTYPES, seconds=1.5, excerpt=None, against=None, starts=[],
    )  # fmt: skip


def differing(name: str = "made") -> Verdict:
    """The weight's gradient is twice as large on one side, so float32 was not judged from there on."""
    base = agreeing(name)
    wrong = float64("backward", "weight", difference=1.0)
    stages = list(base.stages)
    stages[4] = replace(stages[4], outcome="differ", float64=wrong, float32={}, reason="1 of 3 comparisons differ")
    stages[5] = replace(stages[5], outcome="differ", float64=float64("update", "weight", difference=float("inf")))
    first = FirstDifference(wrong, "jax is twice as large")
    return replace(
        base, outcome="differ", stages=stages, first_difference=first, curves=Curves({}, {}),
        comparisons=[*base.comparisons, wrong, float64("update", "weight", difference=float("inf"))],
    )  # fmt: skip


def inconclusive(name: str = "made") -> Verdict:
    base = agreeing(name)
    stages = list(base.stages)
    reason = "no power in float32: the wrong answer 'coarse' is only 1.1 limits away"
    stages[2] = replace(stages[2], outcome="inconclusive", power={"float64": 4e11, "float32": 1.1}, reason=reason)
    return replace(base, outcome="inconclusive", stages=stages)


def with_bfloat16() -> Verdict:
    """The green verdict, bfloat16 beside it."""
    base = agreeing()
    stages = [
        replace(
            stage, bfloat16={side: replace(found, dtype="bfloat16", difference=4e-3, limit=found.limit and 0.0625)
                             for side, found in stage.float32.items()},
            power=stage.power | {"bfloat16": None if stage.stage in EXACT else 16.0},
            kinds=stage.kinds | {"bfloat16": {} if stage.stage in EXACT else {"zero": 16.0}},
        )
        for stage in base.stages
    ]  # fmt: skip
    return replace(base, stages=stages, dtypes=("float64", "float32", "bfloat16"))
