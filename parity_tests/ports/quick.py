"""The pairs of the ports, and what of them is enough to find a mistake in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parity import random_batches
from parity.pair.importing import load_pair
from parity.pair.pair import Pair

PAIRS = Path(__file__).parent.parent / "pairs"
STEPS = 2
"""A mistake shows in the first step, or where the optimizer's memory comes in."""
SMALL = random_batches(images=(4, 3, 32, 32), labels=(4,), classes=10, steps=STEPS)
"""Four images of a quarter of the size, for ResNet-18: its layers are the same ones, and take a tenth of the time."""


LARGE = ("resnet18",)
"""Ports that `make test` leaves to `make slow`: compiling one takes longer than checking it."""


def whole(port: str) -> Pair:
    """The pair of a port, as it is."""
    return load_pair(PAIRS / f"{port}.py")


def quick(port: str, steps: int = STEPS) -> Pair:
    """The same with few steps, and where that is still long with small batches."""
    pair = replace(whole(port), steps=steps)
    if port != "resnet18":
        return pair
    torch, jax = (replace(side, batches=SMALL, scored=SMALL.scored) for side in (pair.torch, pair.jax))
    return replace(pair, torch=torch, jax=jax)
