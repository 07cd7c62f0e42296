"""The digest of a declaration tells pairs and sides apart, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parity.golden.declaration import declaration
from parity.recording import FRAMEWORKS, Framework
from parity_tests.parity.tiny import planted, tiny
from parity_tests.test_isolation import python

both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)
CODE = """
from pathlib import Path
from parity.golden.declaration import declaration
from parity.pair.importing import load_pair
pairs = [load_pair(Path(PAIRS) / f"{name}.py") for name in ("mlp", "mnist")]
print([declaration(pair, side) for pair in pairs for side in ("torch", "jax")])
"""


def test_it_is_the_same_in_every_process_and_each_its_own() -> None:
    folder = Path(__file__).parents[2] / "pairs"
    first, second = (python(f"PAIRS = {str(folder)!r}\n{CODE}", {"torch", "jax"}, []) for _ in range(2))
    assert first.stdout == second.stdout != ""
    assert len(set(first.stdout.split())) == 4


@both_sides
def test_the_parts_of_the_side_its_name_stages_and_labels_count(framework: Framework) -> None:
    right = declaration(tiny(), framework)
    assert right == declaration(tiny(), framework)
    others = [
        replace(tiny(), name="other"), replace(tiny(), labels=None), replace(tiny(), stages=("forward", "score")),
        planted(framework, model="elsewhere:model"), planted(framework, loops=("stepped",), train="a:b"),
        planted(framework, optimizer=lambda *_: None),
    ]  # fmt: skip
    found = {declaration(pair, framework) for pair in others}
    assert len(found | {right}) == len(others) + 1


@both_sides
def test_the_other_side_and_how_reports_call_things_do_not(framework: Framework) -> None:
    other: Framework = "jax" if framework == "torch" else "torch"
    for pair in (planted(other, model="elsewhere:model"), tiny(7), replace(tiny(), published={"held out": 0.9})):
        assert declaration(pair, framework) == declaration(tiny(), framework)
    assert declaration(tiny(), "torch") != declaration(tiny(), "jax")


class Made:
    def __call__(self) -> None: ...


def test_a_part_that_is_an_object_counts_by_what_it_is_and_not_by_where_it_lies() -> None:
    makers: list[Callable[[], Any]] = [lambda: partial(print, 1), Made, lambda: {"a": [1, None]}]
    for make in makers:
        first, second = (declaration(planted("jax", missing=make()), "jax") for _ in range(2))
        assert first == second != declaration(tiny(), "jax")
