"""Scores over seeds that are drawn from known distributions, for the tests of their comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from parity.pair.pair import Pair
from parity.recording import Array, Device
from parity_tests.parity import made_verdicts

Scores = Callable[..., dict[str, Array]]


def normal(mean: float, deviation: float = 0.0045) -> Scores:
    """Accuracies on 1000 images of which each run has its own, by its seed alone."""

    def scores(seeds: Sequence[int], *, device: Device) -> dict[str, Array]:
        assert device == "cpu"
        drawn = [np.random.default_rng(seed).normal(mean, deviation) for seed in seeds]
        return {"seen": np.round(np.array(drawn), 3)}

    return scores


def with_nan(seeds: Sequence[int], *, device: Device) -> dict[str, Array]:
    found = normal(0.971)(seeds, device=device)
    found["seen"][3] = np.nan
    return found


EQUAL = normal(0.971), normal(0.971)
WITH_NAN = normal(0.971), with_nan


def pair(torch: Scores | None, jax: Scores | None, **others: Any) -> Pair:
    """A pair of which nothing but the scores is used."""
    made = made_verdicts.pair(**({"published": {}} | others))
    return replace(made, torch=replace(made.torch, scores=torch), jax=replace(made.jax, scores=jax))
