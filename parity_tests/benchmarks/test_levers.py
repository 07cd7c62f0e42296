"""What a variant saves is told of the one that it adds to, and only beyond noise."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.levers import AFTER, PLACES, in_order, predecessor, saved


def timed(name: str, *seconds: float, begin: int = 0) -> dict[str, Any]:
    framework, of = name.split()
    return {
        "framework": framework, "name": of,
        "runs": [{"round": begin + place, "seconds": found} for place, found in enumerate(seconds)],
    }  # fmt: skip


def test_every_predecessor_stands_before_what_adds_to_it() -> None:
    assert all(PLACES[before] < PLACES[name] for name, before in AFTER.items())


def test_what_is_a_beginning_has_no_predecessor() -> None:
    single = {name for name in PLACES if "many_seeds" not in name}
    assert single - AFTER.keys() == {"torch notebook", "jax nnx_jit"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("torch stepped", "torch compiled", "torch whole_run_compiled"), "torch compiled"),
        (("torch graph_step_compiled", "torch compiled", "torch whole_run_compiled"), "torch graph_step_compiled"),
        (("torch notebook", "torch whole_run_compiled"), "torch notebook"),
        (("jax stepped", "torch whole_run_compiled"), None),
        (("jax whole_run_flat", "jax nnx_jit"), None),
        (("jax whole_run_flat", "jax an_older_one"), None),
    ],
)
def test_the_nearest_that_was_timed_is_the_predecessor(names: tuple[str, ...], expected: str | None) -> None:
    found = [timed(name) for name in names]
    before = predecessor(found[-1], found)
    assert (before and f"{before['framework']} {before['name']}") == expected


def test_variants_stand_in_the_order_of_their_table() -> None:
    names = ("jax an_older_one", "jax whole_run_flat", "jax nnx_jit", "torch compiled", "torch notebook")
    ordered = [f"{one['framework']} {one['name']}" for one in in_order([timed(name) for name in names])]
    assert ordered == ["torch notebook", "torch compiled", "jax nnx_jit", "jax whole_run_flat", "jax an_older_one"]


@pytest.mark.parametrize(
    ("seconds", "noise", "expected"),
    [
        ((0.5, 0.5, 0.5), 1.1, 0.5),
        ((0.95, 0.95, 0.95), 1.1, None),
        ((2.0, 2.0, 2.0), 1.1, None),
        ((0.5, 0.5, 1.5), 1.1, None),
        ((0.5, 0.5, 0.5), None, None),
    ],
)
def test_it_saves_what_is_beyond_noise_and_nothing_where_it_is_slower(
    seconds: tuple[float, ...], noise: float | None, expected: float | None
) -> None:
    assert saved(timed("jax stepped", *seconds), timed("jax jit_state", 1.0, 1.0, 1.0), noise) == expected


def test_rounds_that_only_one_has_do_not_count() -> None:
    later = timed("jax jit_state", 1.0, 1.0, 1.0, begin=7)
    assert saved(timed("jax stepped", 0.5, 0.5, 0.5), later, 1.1) is None
    both = timed("jax jit_state", 1.0, 1.0, 9.0, begin=1)
    assert saved(timed("jax stepped", 7.0, 0.5, 0.5), both, 1.1) is not None
