"""Mistakes that people make when they port a network, planted one at a time into one side of a port's pair.

Each port's own stand beside its models, in `planted.py`; those of losses, optimizers and data, which any port can have,
in `anywhere.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity.pair.importing import resolve
from parity.pair.pair import Pair, Part
from parity.recording import FRAMEWORKS, Array, Arrays, Batch, Framework
from parity.sides.parts import Parts
from parity_tests.planted import ChangedBatches

Plant = Callable[[Pair, Framework], Pair]
"""(the right pair, the side to plant in) -> the wrong pair."""


@dataclass(frozen=True)
class Mistake:
    """One mistake and where it must be caught, in float64.

    Attributes:
        what: what is wrong, as a person would say it.
        side: where it is planted.
        plant: how.
        stage: where the first difference must be found; empty where the check must be inconclusive instead.
        tensor: the tensor there.
        step: the step there.
        says: a part of the hint or, where there is no difference, of the reason.
    """

    what: str
    side: Framework
    plant: Plant
    stage: str
    tensor: str = ""
    step: int = 0
    says: str = ""

    @property
    def name(self) -> str:
        """What is wrong, and on which side."""
        return f"{self.what}, {self.side}"

    def planted(self, pair: Pair) -> Pair:
        """The wrong pair."""
        return self.plant(pair, self.side)


def parts(**wrong: Part) -> Plant:
    """Other parts: a model, a loss, an optimizer."""

    def plant(pair: Pair, side: Framework) -> Pair:
        return _with(pair, side, **wrong)

    return plant


def _with(pair: Pair, framework: Framework, **parts: Any) -> Pair:
    side = replace(pair.side(framework), **parts)
    return replace(pair, torch=side) if framework == "torch" else replace(pair, jax=side)


def data(change: Callable[[Batch], Batch], shift: int = 0) -> Plant:
    """Other batches: each changed, or the one so many steps later."""

    def plant(pair: Pair, side: Framework) -> Pair:
        right = resolve(pair.side(side).batches or "", side)
        return _with(pair, side, batches=lambda seed, steps: ChangedBatches(right(seed, steps), change, shift))

    return plant


def entry(name: str, change: Callable[[Array], Array]) -> Plant:
    """Batches one entry of which is changed."""
    return data(lambda batch: batch | {name: np.ascontiguousarray(change(batch[name]))})


def mapped(lines: Mapping[str, str]) -> Plant:
    """Other words for the weight map."""

    def plant(pair: Pair, _: Framework) -> Pair:
        assert isinstance(pair.weight_map, Mapping)
        return replace(pair, weight_map={**pair.weight_map, **lines})

    return plant


def drawn(name: str, change: Callable[[Array], Array]) -> Plant:
    """Other initial parameters: one is changed."""

    def plant(pair: Pair, side: Framework) -> Pair:
        right = Parts(pair.torch, "torch").initial

        def wrong(seed: int) -> Arrays:
            found = right(seed)
            return found | {name: np.ascontiguousarray(change(found[name]))}

        for framework in FRAMEWORKS:
            pair = _with(pair, framework, parameters=wrong if framework == side else right)
        return pair

    return plant
