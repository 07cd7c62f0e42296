"""The programs that variants are traced to: how many steps stand in an iteration of their loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import pytest

from benchmarks.case import Case
from benchmarks.jax_side.problems import setup
from benchmarks.jax_side.variants import prepare
from jaxnet.settings import computing


def scans(program: Any) -> Iterator[Any]:
    """The scans in a traced program, and in the programs that it calls."""
    for equation in program.eqns:
        if equation.primitive.name == "scan":
            yield equation
        elif "jaxpr" in equation.params:
            yield from scans(equation.params["jaxpr"])


@pytest.mark.parametrize(
    ("name", "steps", "in_an_iteration"),
    [("whole_run", 25, 1), ("whole_run_by_hand", 25, 1), ("whole_run_unrolled", 25, 10), ("whole_run_unrolled", 4, 4)],
)
def test_so_many_steps_stand_in_an_iteration(name: str, steps: int, in_an_iteration: int) -> None:
    with computing("cpu", "float32"):
        one = prepare(name, setup(Case("mlp", steps=steps), "float32", seeds=[0]))
        program = jax.make_jaxpr(one.run)(one.place())
    (scan,) = scans(program.jaxpr)
    assert (scan.params["length"], scan.params["unroll"]) == (steps, in_an_iteration)
