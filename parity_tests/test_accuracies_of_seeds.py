"""`accuracies_of_seeds`, which `parity --seeds` calls: the accuracies of each seed's own training, in order."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_each_seed_is_trained_and_scored_in_its_place(wing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist = importlib.import_module(f"{wing}.mnist")

    def train_seeds(seeds: Sequence[int], *, device: str) -> list[Any]:
        assert device == "gpu"
        return [SimpleNamespace(state=SimpleNamespace(parameters={"seed": seed})) for seed in seeds]

    def accuracies(parameters: dict[str, int], *, device: str) -> dict[str, float]:
        assert device == "gpu"
        return {"notebook": parameters["seed"] / 10, "test": parameters["seed"] / 100}

    monkeypatch.setattr(mnist, "train_seeds", train_seeds)
    monkeypatch.setattr(mnist, "accuracies", accuracies)
    found = mnist.accuracies_of_seeds([3, 1, 2], device="gpu")
    assert {name: array.tolist() for name, array in found.items()} == {
        "notebook": [0.3, 0.1, 0.2],
        "test": [0.03, 0.01, 0.02],
    }
    assert all(isinstance(array, np.ndarray) for array in found.values())
