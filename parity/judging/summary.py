"""From findings to the verdict: one row a stage, the first difference, and what has no power."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parity.errors import listing
from parity.judging.distance.difference import BIT_EXACT
from parity.judging.distance.factors import MINIMUM_POWER
from parity.judging.distance.power import by_kind, multiplies_matrices, powerless, without_power, wrong_answers
from parity.judging.hints.calls import how_many, how_often
from parity.judging.hints.data import looks_like_another_batch, looks_like_data
from parity.judging.hints.looks_like import looks_like
from parity.judging.hints.mode import looks_like_training
from parity.judging.hints.optimizer.options import option_in_words
from parity.judging.score import score
from parity.judging.unseen.frozen import stands_still
from parity.judging.unseen.layers import IN_PARTS
from parity.judging.where.excerpt import kept
from parity.judging.where.parting import in_float32
from parity.pair.frozen import declaration_of
from parity.recording import DTYPES, FRAMEWORKS, OBSERVED_STEPS, PLACE, USUAL_DTYPES, Dtype, Framework, Key
from parity.verdict import Comparison, Curves, FirstDifference, Outcome, Score, StageVerdict, Verdict, worst

if TYPE_CHECKING:
    from parity.judging.findings import Findings

BY_ORDER = 6
"""So many pairs of layers that only their order tells are named."""
KEPT_DTYPE = "it was cast, or the layer was made with a dtype of its own"
Kinds = dict[Dtype, dict[str, dict[str, float]]]
LOWER_PRECISION = ("forward", "backward")
"""The stages that are asked for power against lower precision, where there is a product of matrices."""


def summarised(findings: Findings, loops: dict[Framework, dict[str, str]], curves: Curves, seconds: float) -> Verdict:
    """The verdict on everything that was found."""
    kinds, comparisons = _powers(findings)
    stages = [_stage(stage, comparisons, kinds, findings) for stage in findings.pair.stages]
    outcome = worst(stage.outcome for stage in stages)
    first = _first_difference(findings, comparisons)
    return Verdict(
        pair=findings.pair.name, outcome=outcome, stages=stages,
        first_difference=first, excerpt=kept(findings, first.comparison) if first else None,
        unseen=findings.unseen, listed=[*_doubts(findings), *findings.listed],
        scores=_scores(findings), curves=curves,
        comparisons=comparisons,
        provenances=[recording.provenance for sides in findings.recordings.values() for recording in sides.values()],
        loops=loops, seed=findings.seed, steps=findings.pair.steps, device=findings.device, dtypes=findings.dtypes,
        seconds=seconds, against=findings.against, starts=findings.starts,
    )  # fmt: skip


def _doubts(findings: Findings) -> list[str]:
    """Where something differs: the pairs of layers that may be the wrong ones, and dropouts that may."""
    jax = findings.running.get("jax")
    if jax is None or not findings.differs:
        return []
    found = jax.float64.weight_map
    by_order = [f"paired by order only: {listing(found.by_order, BY_ORDER)}"] if found and found.by_order else []
    return [*by_order, *jax.float64.doubts]


def _powers(findings: Findings) -> tuple[Kinds, list[Comparison]]:
    """For each dtype and stage the power by kind, and the comparisons with their own power filled in."""
    kinds: Kinds = {}
    comparisons = list(findings.comparisons)
    for dtype in findings.recordings:
        coarse = findings.coarse.get(dtype, {}) if dtype == "float64" or multiplies_matrices(findings.judge) else {}
        if dtype == "float64":
            coarse = findings.inside.coarse(coarse, findings.coarse.get("float32", {}))
        answers = wrong_answers(findings.judge, findings.scales, coarse)
        limits: dict[Key, float] = {}
        for index, comparison in enumerate(comparisons):
            shown = answers.get(comparison.key)
            if comparison.dtype != dtype or not comparison.limit or not shown:
                continue
            comparisons[index] = replace(comparison, power=min(shown.values()) / comparison.limit)
            if comparison.loop is None and not stands_still(comparison.key, findings.frozen):
                limits[comparison.key] = max(limits.get(comparison.key, 0.0), comparison.limit)
        kinds[dtype] = by_kind(answers, findings.inside.remaining(limits) if dtype == "float64" else limits)
        if dtype == "bfloat16":
            findings.listed += _nothing_in_bfloat16(kinds[dtype])
            findings.listed += [f"bfloat16: no power in {tensor}" for tensor in without_power(answers, limits)]
    return kinds, comparisons


def _nothing_in_bfloat16(kinds: dict[str, dict[str, float]]) -> list[str]:
    """One line where no stage has any power in bfloat16."""
    return ["bfloat16: nothing had power at any stage"] if kinds and all(map(powerless, kinds.values())) else []


def _stage(stage: str, comparisons: Iterable[Comparison], kinds: Kinds, findings: Findings) -> StageVerdict:
    here = [comparison for comparison in comparisons if comparison.key.stage == stage]
    dtypes = tuple(dict.fromkeys((*USUAL_DTYPES, *findings.dtypes)))
    shown = {dtype: kinds.get(dtype, {}).get(stage, {}) for dtype in dtypes}
    power = {dtype: min(shown[dtype].values(), default=None) for dtype in dtypes}
    outcome: Outcome
    if findings.drew and stage not in BIT_EXACT:
        outcome, reason = "inconclusive", _drawing(findings)
    else:
        outcome = worst(comparison.outcome for comparison in here)
        reason = _differing(here) or _unproven(stage, here, shown, findings)
        outcome = "inconclusive" if outcome == "agree" and reason else outcome
    return StageVerdict(
        stage=stage, outcome=outcome,
        float64=_nearest(c for c in here if c.dtype == "float64"),
        float32=_of_sides(here, "float32"), bfloat16=_of_sides(here, "bfloat16"),
        power=power, kinds=shown, compared=len(here), reason=reason,
    )  # fmt: skip


def _of_sides(here: list[Comparison], dtype: Dtype) -> dict[Framework, Comparison]:
    found = {side: _nearest(c for c in here if c.dtype == dtype and c.side in (side, None)) for side in FRAMEWORKS}
    return {side: nearest for side, nearest in found.items() if nearest}


def _nearest(comparisons: Iterable[Comparison]) -> Comparison | None:
    """The comparison that came nearest to its limit or exceeded it most."""
    return max(
        comparisons, default=None, key=lambda c: (c.outcome == "differ", c.difference / c.limit if c.limit else 0.0)
    )


def _differing(here: list[Comparison]) -> str:
    wrong = [comparison for comparison in here if comparison.outcome == "differ"]
    return f"{len(wrong)} of {len(here)} comparisons differ" if wrong else ""


def _drawing(findings: Findings) -> str:
    """Why a stage says nothing in which a side draws numbers that the other cannot have."""
    names = " and ".join(findings.drew)
    return (
        f"not comparable: the {names} side draws random numbers of its own; let it take them from the batch "
        "(dropout modules are handed theirs in training mode; in JAX a `loss` or `predict` with an argument "
        "`train` is told whether it is on)"
    )


def _unproven(stage: str, here: list[Comparison], shown: dict[Dtype, dict[str, float]], findings: Findings) -> str:
    """Why a stage in which nothing differs is not green; empty where it is."""
    for dtype in findings.dtypes:
        if not any(comparison.dtype == dtype for comparison in here):
            wrong = [c.dtype for c in findings.comparisons if c.outcome == "differ"]
            first = min(wrong, key=DTYPES.index, default="")
            return f"not judged: {first} differs" if first else f"nothing was compared in {dtype}"
    if reason := _unequal_conditions(findings):
        return reason
    if stage == "trajectory" and (reason := findings.hidden or _unmoved(findings)):
        return reason
    if stage == "score" and (
        alone := next((s.float64.alone for s in findings.running.values() if s.float64.alone), "")
    ):
        return (
            f"not comparable: it rests on {alone}, which training changes on one side and the other does not hold: "
            "hold it on both sides, on torch's as a buffer"
        )
    if stage in BIT_EXACT:
        return ""
    for dtype in findings.dtypes:
        kinds = shown[dtype]
        if dtype == "bfloat16" and powerless(kinds):
            return f"bfloat16: nothing had power at {stage}: no wrong answer is {MINIMUM_POWER:g} limits away"
        for kind, power in kinds.items():
            if kind == "coarse" and not _asks_lower_precision(stage, dtype, findings):
                continue
            if not power >= MINIMUM_POWER:
                return f"no power in {dtype}: the wrong answer '{kind}' is only {power:.2g} limits away"
        if not kinds:
            return f"no power in {dtype}: no kind of wrong answer could be tried{_of_whole_numbers(findings, stage)}"
    return ""


def _of_whole_numbers(findings: Findings, stage: str) -> str:
    """What to do where scores have nothing but whole numbers, such as the classes that were answered."""
    scored = findings.judge.of("score", 0).values() if stage == "score" else ()
    if not scored or any(array.dtype.kind == "f" for array in scored):
        return ""
    return ": `predict` gives whole numbers alone: have it give what they are made of, such as logits"


def _asks_lower_precision(stage: str, dtype: Dtype, findings: Findings) -> bool:
    """Whether power against lower precision is asked of a stage."""
    in_float64 = dtype == "float64" and not findings.inside.layers
    return stage in LOWER_PRECISION and (in_float64 or multiplies_matrices(findings.judge))


def _unequal_conditions(findings: Findings) -> str:
    for framework, side in findings.running.items():
        if changed := side.changed:
            return (
                f"not comparable: the {framework} side changed how it computes while it ran: {changed} after it; leave "
                "such settings to the code that calls it"
            )
    for dtype, sides in findings.recordings.items():
        torch, jax = (sides[side].provenance.conditions() for side in ("torch", "jax"))
        for name, value in torch.items():
            if value != jax[name] or (name == "dtype" and value != dtype):
                return (
                    f"unequal conditions in {dtype}: {name} is {value} on the torch side, {jax[name]} on the jax side"
                )
    return ""


def _unmoved(findings: Findings) -> str:
    judge = findings.judge
    end = judge.state_before(findings.pair.steps).parameters
    # Rounding may be too small to move a parameter. Nothing at all, at every step, is a parameter that is not used.
    null = {
        tensor for stage, tensor in findings.scales.null
        if stage == "backward"
        and any(judge.of(stage, step).get(tensor, np.zeros(1)).any() for step in range(OBSERVED_STEPS))
    }  # fmt: skip
    # A buffer has no gradient and may stay as it is: a table, the weights of classes.
    trained = {name: start for name, start in judge.of("init", 0).items() if name in judge.of("backward", 0)}
    still = [name for name, start in trained.items() if name not in null and np.array_equal(start, end[name])]
    return f"parameters that did not move: {', '.join(still)}{declaration_of(still, trained)}" if still else ""


def _first_difference(findings: Findings, comparisons: Iterable[Comparison]) -> FirstDifference | None:
    wrong = [comparison for comparison in comparisons if comparison.outcome == "differ"]
    if not wrong:
        return None
    first = min(wrong, key=lambda c: (DTYPES.index(c.dtype), c.loop is not None, c.key.flow()))
    hints = [_hint(findings, first)]
    if first.cause == "shape" and (shaped := findings.unshown.shaped) and first.key.tensor in shaped:
        # One side may pool or cut off inside the layer and the other behind it, and the mistake be elsewhere.
        behind = _first_difference(findings, (c for c in wrong if c.key.tensor not in shaped))
        hints.append(f"where both shapes are meant, the first difference is {behind}" if behind else "")
    return FirstDifference(first, "; ".join(filter(None, hints)))


def _hint(findings: Findings, first: Comparison) -> str:
    if first.key.tensor in findings.frozen and first.key.stage != "init":
        return ""  # that it moved is all that there is to say
    if _is_float32_in_jax(findings, first):
        return KEPT_DTYPE
    lowered = in_float32(findings, first)
    # What is in float32 elsewhere need not be what differs.
    looks = "" if lowered.here else _as_far_as_computable(findings, first)
    sides = findings.recordings[first.dtype]
    calls = how_often(first.key, sides) if first.cause == "missing" else how_many(first.key, sides)
    return "; ".join(filter(None, (looks, calls, _laid_out_otherwise(findings, first, looks), lowered.words)))


def _is_float32_in_jax(findings: Findings, first: Comparison) -> bool:
    """Whether an activation of a float64 run is in float32 on the JAX side, and on that alone."""
    if (first.key.stage, first.dtype, first.cause) != ("forward", "float64", "dtype"):
        return False
    arrays = (findings.recordings["float64"][side].get(first.key) for side in FRAMEWORKS)
    return [None if array is None else array.dtype.name for array in arrays] == ["float64", "float32"]


def _laid_out_otherwise(findings: Findings, first: Comparison, looks: str) -> str:
    """What to do about a model's output that is right but for the order of its axes, as of a U-Net's images, or that is
    of another call, as where one side is given two views at once.
    """
    is_output = first.key.stage == "forward" and not PLACE.match(first.key.tensor)
    views = first.cause == "shape" and any(line.startswith(IN_PARTS) for line in findings.unshown.listed)
    if not (is_output and ("transposed" in looks or views) and findings.pair.jax.predict is None):
        return ""
    return "where that is meant, name the part `predict` of both sides, (model, batch) -> output in one layout"


def _as_far_as_computable(findings: Findings, first: Comparison) -> str:
    """What it looks like; nothing where the arithmetic of a hint fails, which must not cost the finding itself."""
    try:
        with np.errstate(all="ignore"):
            return _looks_like(findings, first)
    except (ArithmeticError, np.linalg.LinAlgError):
        return ""


def _looks_like(findings: Findings, first: Comparison) -> str:
    if first.key.stage == "data":
        return _hint_of_data(findings, first)
    if option := option_in_words(findings, first):
        return option
    if first.loop in findings.runs:
        side: Framework = "torch" if first.loop.startswith("torch") else "jax"
        return looks_like(first.key, findings.judge, findings.runs[first.loop], side)
    if first.dtype == "float64" and (run := findings.lockstep.run_of(first.key)) is not None:
        return looks_like(first.key, findings.judge, run, findings.other)
    if first.key.stage == "score" and first.dtype == "float64" and (found := _hint_of_a_score(findings, first.key)):
        return found
    side = first.side or findings.other
    return looks_like(first.key, findings.judge, findings.recordings[first.dtype][side], side)


def _hint_of_data(findings: Findings, first: Comparison) -> str:
    live = findings.live("float64")
    if len(live) == len(FRAMEWORKS):
        return looks_like_data(first.key, live, findings.seed, findings.pair.steps)
    other = findings.other
    return looks_like_another_batch(first.key, findings.judge, findings.recordings[first.dtype][other], other)


def _hint_of_a_score(findings: Findings, key: Key) -> str:
    live = findings.live("float64")
    return looks_like_training(key, findings.recordings["float64"], live, findings.seed, findings.pair.steps)


def _scores(findings: Findings) -> list[Score]:
    which = {
        (side, dtype): recording for dtype, sides in findings.recordings.items() for side, recording in sides.items()
    }
    return score(findings.labelled, which)
