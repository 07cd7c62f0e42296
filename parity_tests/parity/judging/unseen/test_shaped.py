"""What has another shape on each side is a difference where one follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parity.judging.unseen.shaped import before_differences
from parity.recording import Key
from parity.verdict import Cause, Comparison
from parity_tests.parity.judging.unseen.test_layers import BOTH, sides

NAMES = ("a.input", "a.output", "b.input", "b.output", "c.input", "output")


def comparison(name: str, step: int, agrees: bool) -> Comparison:
    return Comparison(
        Key("forward", step, name), "float64", None, None, 0.0, 0.0, None, "agree" if agrees else "differ"
    )


@pytest.mark.parametrize(
    ("shaped", "differ", "told"),
    [
        ({"a.output"}, set(), []),
        ({"a.output"}, {"b.input", "output"}, ["a.output"]),
        ({"a.output", "b.input", "b.output"}, {"c.input", "output"}, ["a.output", "b.input", "b.output"]),
        # Between them stands what agrees.
        ({"a.output"}, {"c.input", "output"}, []),
        # The first difference stands before it, and it may come of that.
        ({"b.output"}, {"a.output", "b.input", "c.input"}, []),
        # Only one side shows what stands between.
        ({"a.output"}, {"c.input"}, ["a.output"]),
    ],
)
def test_what_a_difference_follows_is_told(shaped: set[str], differ: set[str], told: list[str]) -> None:
    flow = sides(BOTH, BOTH)["torch"]
    for step in range(2):
        flow.groups["forward", step] = {name: np.zeros(1) for name in NAMES}
    unshown = {"b.input", "b.output"} if (shaped, differ) == ({"a.output"}, {"c.input"}) else set()
    compared = [
        comparison(name, step, name not in differ)
        for step in range(2) for name in NAMES if name not in shaped | unshown
    ]  # fmt: skip
    assert before_differences(shaped, flow, compared) == [
        Key("forward", step, name) for step in range(2) for name in told
    ]


@pytest.mark.parametrize(("cause", "told"), [("shape", ["b.output"]), ("", [])])
def test_where_shapes_are_what_differs_all_before_it_that_have_the_same_are_told(cause: Cause, told: list[str]) -> None:
    flow = sides(BOTH, BOTH)["torch"]
    flow.groups["forward", 0] = {name: np.zeros(2 if name == "a.output" else 1) for name in NAMES}
    compared = [comparison(name, 0, True) for name in ("a.input", "b.input", "c.input")]
    compared.append(replace(comparison("output", 0, False), cause=cause))
    assert before_differences({"a.output", "b.output"}, flow, compared) == [Key("forward", 0, name) for name in told]
