"""How much memory and time a check takes by the size of the model: the GPT and its port, each size in its own process.

`python -m parity_tests.ports.sizes` prints the table of docs/port.md. It takes a quarter of an hour and 16 GB.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from subprocess import run
from typing import NamedTuple

from parity import Pair, check, random_batches, whole
from parity.recording import STAGES

PORT = "parity_tests.ports.gpt"
PASSES = ("forward", "score")


class Size(NamedTuple):
    """A GPT's size and how much of its training is checked; no steps of training: two passes forward."""

    vocabulary: int
    blocks: int
    width: int
    heads: int
    training: int


MODELS = {
    "5 million": ((8000, 4, 256, 4), (0, 1, 3)),
    "34 million": ((16000, 8, 512, 8), (0, 1, 3)),
    "124 million, as GPT-2 has": ((50257, 12, 768, 12), (0,)),
}
"""By their parameters: their sizes and how much of the training is checked, each as in `Size`."""
CONTEXT = 32


def predict(model: object, batch: Mapping[str, object]) -> object:
    """The logits, with either framework's model."""
    return model(batch["tokens"])  # type: ignore[operator]


def pair_of(size: Size) -> Pair:
    """The GPT in this size, without dropout, on two examples."""
    for side in ("torch", "jax"):
        sizes = dict(VOCABULARY=size.vocabulary, BLOCKS=size.blocks, WIDTH=size.width, HEADS=size.heads)
        vars(import_module(f"{PORT}.in_{side}")).update(sizes, CONTEXT=CONTEXT, DROPOUT=0.0)
    tokens = whole(size.vocabulary, 2, CONTEXT)
    pair: Pair = import_module("parity_tests.pairs.gpt").pair
    named = {side: replace(getattr(pair, side), predict=f"{__name__}:predict") for side in ("torch", "jax")}
    return replace(
        pair, **named, steps=size.training or 2, stages=STAGES if size.training else PASSES,
        batches=random_batches(tokens=tokens, targets=tokens, steps=size.training or 2),
    )  # fmt: skip


def measured(size: Size) -> str:
    """The verdict, the seconds and the peak of memory in GB, of a check in this process."""
    started = time.monotonic()
    verdict = check(pair_of(size))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return f"{peak:.1f} GB | {time.monotonic() - started:.0f} s | {verdict.outcome}"


def main() -> None:
    """Print a row for each size, each measured in a process of its own."""
    if sys.argv[1:]:
        print(measured(Size(*map(int, sys.argv[1:]))))
        return
    print("| parameters | what is checked | memory | time | verdict |\n| --- | --- | --- | --- | --- |", flush=True)
    for name, (shape, trainings) in MODELS.items():
        for training in trainings:
            command = [sys.executable, "-m", __spec__.name, *map(str, (*shape, training))]
            row = run(command, capture_output=True, text=True, check=True).stdout.strip()
            what = f"{training} step{'s' * (training > 1)} of training" if training else "two passes forward"
            print(f"| {name} | {what} | {row} |", flush=True)


if __name__ == "__main__":
    main()
