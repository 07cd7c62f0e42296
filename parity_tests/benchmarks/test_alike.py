"""What both sides of the benchmark write, each for its own wing, is written alike: a case is the same on both."""

from __future__ import annotations

from pathlib import Path

from parity_tests.mirror import definitions

SIDES = Path(__file__).parents[2] / "benchmarks"
NAMES = ("Setup", "Setup.feeds", "lowered_problem_of", "feeds", "setup")
"""Of both files `problems.py`."""


def apart(torch: str, jax: str) -> list[str]:
    """Those of the names that do not stand for the same lines, but for the wing, in two sources."""
    one, other = (definitions(source.replace("torchnet", "jaxnet")) for source in (torch, jax))
    return [name for name in NAMES if one.get(name) != other.get(name) or name not in one]


def source(side: str) -> str:
    return (SIDES / f"{side}_side" / "problems.py").read_text()


def test_a_case_is_made_by_the_same_lines_on_both_sides() -> None:
    assert apart(source("torch"), source("jax")) == []


def test_a_line_that_one_side_alone_has_is_noticed() -> None:
    changed = source("jax").replace("draw_rows(seed, how.steps", "draw_rows(seed + 1, how.steps")
    assert apart(source("torch"), changed) == ["feeds"]
    assert apart(source("torch"), source("jax").replace("def setup(", "def set_up(")) == ["setup"]
