"""Which class each example was given after the last step, example by example, and how many were right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array, Batch, Dtype, Framework, Key, Recording
from parity.verdict import Comparison, Score


def predictions(output: Array) -> Array:
    """The class with the largest logit of each example; (examples, classes) in, (examples,) out."""
    return np.asarray(np.argmax(output, axis=-1))


def compare_predictions(
    name: str, expected: Array, found: Array, dtype: Dtype, side: Framework | None, *, exactly: bool
) -> tuple[Comparison, int]:
    """Predictions example by example, and how many flipped where that is accepted.

    Where they have to be equal `exactly`, as in float64, none may differ. Else, as in float32, one may where the
    margin, by which the judge prefers its own class to the other, is within what the side's two logits are from the
    judge's.
    """
    key = Key("score", 0, f"{name}.predictions")
    if expected.shape != found.shape:
        return Comparison(key, dtype, side, None, float("inf"), 0.0, None, "differ", "logits of another shape"), 0
    if expected.ndim < 2:
        raise NotCheckable(f"labels need outputs (examples, classes): {name}.output has shape {expected.shape}")
    ours, theirs = predictions(expected), predictions(found)
    flipped = np.flatnonzero(ours != theirs)
    share = flipped.size / max(ours.size, 1)
    if exactly:
        note = (
            f"{flipped.size} of {ours.size} examples get another class, first {_first(flipped)}" if flipped.size else ""
        )
        return Comparison(key, dtype, side, None, share, 0.0, None, "differ" if note else "agree", note), 0
    margin = expected[flipped, ours[flipped]] - expected[flipped, theirs[flipped]]
    apart = np.abs(found[flipped].astype(np.float64) - expected[flipped])
    room = apart[np.arange(flipped.size), ours[flipped]] + apart[np.arange(flipped.size), theirs[flipped]]
    wrong = flipped[margin > room]
    note = f"{wrong.size} examples get another class beyond rounding, first {_first(wrong)}" if wrong.size else ""
    outcome = Comparison(
        key, dtype, side, None, wrong.size / max(ours.size, 1), 0.0, None, "differ" if note else "agree", note
    )
    return outcome, int(flipped.size - wrong.size)


def _first(examples: Array) -> str:
    return f"example {examples[0]}" if examples.size else "none"


def score(
    scored: Mapping[str, Batch], labels: str, recordings: Mapping[tuple[Framework, Dtype], Recording]
) -> list[Score]:
    """How many examples each side got right, of every scored batch."""
    found = []
    for name, batch in scored.items():
        if labels not in batch:
            raise NotCheckable(
                f"the pair's labels {labels!r} are not in the scored batch {name}: it has {', '.join(batch)}"
            )
        right = {}
        for which, recording in recordings.items():
            output = recording.of("score", 0).get(f"{name}.output")
            if output is None:
                continue  # already reported as missing on one side
            right[which] = int(np.sum(predictions(output) == batch[labels]))
        found.append(Score(name, len(batch[labels]), right))
    return found
