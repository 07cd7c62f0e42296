"""How far away the nearest wrong answers are: what a limit is worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.judging.distance.difference import Scales, difference, exact, largest
from parity.judging.distance.factors import FLOAT64_FLOOR, MINIMUM_POWER
from parity.judging.distance.sentinels import without_sentinels
from parity.recording import Key, Recording

KINDS: Mapping[str, tuple[str, ...]] = {
    "forward": ("sign", "zero", "transposed", "stale", "coarse"),
    "loss": ("sign", "zero", "stale"),
    "backward": ("sign", "zero", "transposed", "stale", "coarse"),
    "update": ("sign", "zero", "transposed", "not applied"),
    "trajectory": ("sign", "zero", "transposed", "stale"),
    "score": ("sign", "zero"),
}
"""Which kinds of wrong answer apply to which stage. Data and initial parameters are bit-exact: no power figure.

sign: multiplied by -1. zero: nothing at all. transposed: where the tensor is square, and not
symmetric. stale: the value one step before.
not applied: the state before the update. coarse: the value one precision lower."""


def wrong_answers(judge: Recording, scales: Scales, coarse: Mapping[Key, float]) -> dict[Key, dict[str, float]]:
    """For every tensor of the judge that has a limit: the difference that each kind of wrong answer would show.

    `coarse` has the coarse distances; a tensor that is not in it is not asked for that kind.
    """
    found: dict[Key, dict[str, float]] = {}
    for key in judge.flow():
        array = judge.get(key)
        if array is None or exact(key, array):
            continue
        array, scale = without_sentinels(key, array), scales.of[key]
        size = largest(array) / scale if scale else 0.0
        answers = {"sign": 2 * size, "zero": size}
        if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
            turned = difference(array, array.T, scale)
            # Similarities of each with each are their own transposed, and the right answer is no wrong one. A weight is
            # asked: it may be symmetric where training begins, and its layer may have it transposed all the same.
            if turned > FLOAT64_FLOOR or key.tensor in judge.of("init", 0):
                answers["transposed"] = turned
        before = _before(judge, key)
        if before is not None and before.shape == array.shape:
            moved = difference(array, without_sentinels(key, before), scale)
            # Moments move also where the parameters stay, and must not answer for them.
            if key.stage != "update":
                answers["stale"] = moved
            elif key.tensor in judge.of("init", 0):
                answers["not applied"] = moved
        if key in coarse:
            answers["coarse"] = coarse[key]
        null = key.is_gradient and (key.stage, key.tensor) in scales.null
        asked = KINDS[key.stage]
        found[key] = {kind: size for kind, size in answers.items() if kind in asked and not (null and kind == "zero")}
    return found


def multiplies_matrices(judge: Recording) -> bool:
    """Whether the model has a product with a matrix of its own, so that TF32 has to show: power against it is asked.

    Where it has none, the cap applies all the same: attention multiplies matrices that are no parameters.
    """
    return any(array.ndim >= 2 for array in judge.of("init", 0).values())


def powerless(kinds: Mapping[str, float]) -> bool:
    """Whether there are wrong answers, by how many limits away they are, and none is far enough."""
    return bool(kinds) and not any(power >= MINIMUM_POWER for power in kinds.values())


def without_power(answers: Mapping[Key, Mapping[str, float]], limits: Mapping[Key, float]) -> list[str]:
    """The tensors, each behind its stage, in which at no step any kind of wrong answer would be far enough."""
    found: dict[str, bool] = {}
    for key, limit in limits.items():
        none = powerless({kind: shown / limit for kind, shown in answers.get(key, {}).items()})
        name = f"{key.stage} {key.tensor}"
        found[name] = found.get(name, True) and none
    return [name for name, none in found.items() if none]


def _before(judge: Recording, key: Key) -> np.ndarray | None:
    if key.stage != "update":
        return judge.get(key._replace(step=key.step - 1))
    state = judge.state_before(key.step)
    array = state.parameters.get(key.tensor, state.optimizer.get(key.tensor))
    # Before the first step the optimizer is fresh: its moments are zero.
    return np.zeros_like(judge.of("update", key.step)[key.tensor]) if array is None else array


def by_kind(answers: Mapping[Key, Mapping[str, float]], limits: Mapping[Key, float]) -> dict[str, dict[str, float]]:
    """For every stage and kind: the largest, over tensors and steps, of the difference shown, divided by the limit."""
    found: dict[str, dict[str, float]] = {}
    for key, limit in limits.items():
        if limit <= 0:
            continue
        kinds = found.setdefault(key.stage, {})
        for kind, shown in answers.get(key, {}).items():
            kinds[kind] = max(kinds.get(kind, 0.0), shown / limit)
    return found
