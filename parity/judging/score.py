"""Which class each example was given after the last step, example by example, and how many were right.

An example is whatever has one label: an image, a position of a sequence, a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parity.errors import NotCheckable
from parity.recording import WHOLE, Array, Arrays, Dtype, Framework, Key, Recording
from parity.verdict import Comparison, Reason, Score
from parity.weight_map.outline import Shape

if TYPE_CHECKING:
    from parity.judging.findings import Findings


class Labelled(NamedTuple):
    """The labels of a scored batch, and what they are labels of.

    Attributes:
        labels: whole numbers, one for each example.
        output: the name of the output that has a number for each class of each example.
        axis: the axis of that output that the classes are on.
    """

    labels: Array
    output: str
    axis: int

    def given(self, output: Array) -> Array:
        """The class with the largest number of each example, of the shape of the labels; the first of equal ones."""
        return np.asarray(np.argmax(output, axis=self.axis))

    def fits(self, output: Array) -> bool:
        """Whether an output has a class for each label."""
        return self.axis in _class_axes(output.shape, self.labels.shape)


def _class_axes(output: Shape, labels: Shape) -> list[int]:
    """On which axes of an output the classes may be: the last, and the second, where torch's losses have them."""
    axes = dict.fromkeys((len(output) - 1, 1)) if len(output) > 1 else {}
    # Of one class alone every example is.
    return [axis for axis in axes if output[axis] > 1 and output[:axis] + output[axis + 1 :] == labels]


def labelled(findings: Findings) -> dict[str, Labelled]:
    """The labels of every scored batch, by its name, told before anything is trained; none where the pair names none.

    Raises:
        NotCheckable: a batch has no such labels, they are no whole numbers, or they fit no output of the model or not
            in one way only.
    """
    pair = findings.pair
    if pair.labels is None or "score" not in pair.stages:
        return {}
    live = next(iter(findings.running.values())).float64
    parameters = live.initial(findings.seed)
    found = {}
    for name, batch in live.scored(findings.seed).items():
        if pair.labels not in batch:
            raise NotCheckable(
                f"the pair's labels {pair.labels!r} are not in the scored batch {name}: it has {', '.join(batch)}"
            )
        found[name] = labels_of(live.predict(parameters, batch), batch[pair.labels], f"{pair.labels!r} of {name}")
    return found


def labels_of(outputs: Arrays, labels: Array, what: str) -> Labelled:
    """What labels are labels of: the first output that they fit.

    Raises:
        NotCheckable: as `labelled` does; `what` says which labels these are.
    """
    if labels.dtype.kind not in f"{WHOLE}b":
        raise NotCheckable(f"the pair's labels {what} are {labels.dtype}: expected the number of a class, whole")
    for name, output in outputs.items():
        if not (axes := _class_axes(output.shape, labels.shape)):
            continue
        if len(axes) > 1:
            raise NotCheckable(
                f"the pair's labels {what} have shape {labels.shape}, and {name} has {output.shape}: the classes may "
                "be on its second axis or its last: let there be another number of classes than of positions"
            )
        return Labelled(labels, name, axes[0])
    shapes = ", ".join(f"{name} has {output.shape}" for name, output in outputs.items())
    raise NotCheckable(
        f"the pair's labels {what} have shape {labels.shape}, and {shapes}: expected the shape of an output without "
        "the axis of its classes, two or more, which is the last or the second"
    )


def compare_predictions(
    name: str, labelled: Labelled, expected: Array, found: Array, dtype: Dtype, side: Framework | None, *, exactly: bool
) -> tuple[Comparison, int]:
    """Predictions example by example, and how many flipped where that is accepted.

    Where they have to be equal `exactly`, as in float64, none may differ. Else, as in float32, one may where the
    margin, by which the judge prefers its own class to the other, is within what the side's two logits are from the
    judge's.
    """
    key = Key("score", 0, f"{name}.predictions")
    if expected.shape != found.shape:
        why = Reason("logits of another shape", "shape")
        return Comparison(key, dtype, side, None, float("inf"), 0.0, None, "differ", *why), 0
    shape = labelled.labels.shape
    expected, found = (np.moveaxis(array, labelled.axis, -1) for array in (expected, found))
    expected, found = (array.reshape(-1, array.shape[-1]) for array in (expected, found))
    ours, theirs = np.argmax(expected, axis=-1), np.argmax(found, axis=-1)
    flipped = np.flatnonzero(ours != theirs)
    share = flipped.size / max(ours.size, 1)
    if exactly:
        note = (
            f"{flipped.size} of {ours.size} examples get another class, first {_first(flipped, shape)}"
            if flipped.size
            else ""
        )
        return Comparison(key, dtype, side, None, share, 0.0, None, "differ" if note else "agree", note), 0
    margin = expected[flipped, ours[flipped]] - expected[flipped, theirs[flipped]]
    apart = np.abs(found[flipped].astype(np.float64) - expected[flipped])
    room = apart[np.arange(flipped.size), ours[flipped]] + apart[np.arange(flipped.size), theirs[flipped]]
    wrong = flipped[margin > room]
    note = (
        f"{wrong.size} examples get another class beyond rounding, first {_first(wrong, shape)}" if wrong.size else ""
    )
    outcome = Comparison(
        key, dtype, side, None, wrong.size / max(ours.size, 1), 0.0, None, "differ" if note else "agree", note
    )
    return outcome, int(flipped.size - wrong.size)


def _first(examples: Array, shape: Shape) -> str:
    """The first of the examples by its place among labels of this shape."""
    place = [int(index) for index in np.unravel_index(examples[0], shape)]
    return f"example {place[0]}" + (f" at {', '.join(map(str, place[1:]))}" if place[1:] else "")


def score(labelled: Mapping[str, Labelled], recordings: Mapping[tuple[Framework, Dtype], Recording]) -> list[Score]:
    """How many examples each side got right, of every scored batch."""
    found = []
    for name, batch in labelled.items():
        right = {}
        for which, recording in recordings.items():
            output = recording.of("score", 0).get(f"{name}.{batch.output}")
            if output is None or not batch.fits(output):
                continue  # already reported as missing on one side, or of another shape
            right[which] = int(np.sum(batch.given(output) == batch.labels))
        found.append(Score(name, batch.labels.size, right))
    return found
