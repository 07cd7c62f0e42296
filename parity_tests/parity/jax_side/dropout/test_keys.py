"""Whether two dropouts had keys that are equal."""

from __future__ import annotations

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.jax_side.dropout.keys import Keys

KEYS = np.arange(12).reshape(6, 2)
PASS = "a pass"


def seen(*calls: tuple[str, tuple[int, ...], tuple[int, ...], list[int]]) -> Keys:
    keys = Keys()
    for of, path, place, rows in calls:
        keys.see(of, path, place, KEYS[rows])
    return keys


def test_keys_of_their_own_and_one_that_is_drawn_by_again_on_the_way_back_are_not_equal() -> None:
    assert not seen((PASS, (0,), (0,), [0]), (PASS, (1,), (1,), [1]), (PASS, (0,), (0,), [0])).equal
    assert not seen((PASS, (0,), (0,), [0, 1, 2])).equal


@pytest.mark.parametrize("other", [((1,), (1,), [0]), ((0,), (1,), [0]), ((0,), (0, 1), [3, 0])])
def test_one_key_of_two_dropouts_of_two_turns_or_of_two_examples_is(other: tuple) -> None:  # type: ignore[type-arg]
    assert seen((PASS, (0,), (0,), [0]), (PASS, *other)).equal
    assert seen((PASS, (0,), (0,), [2, 3, 2])).equal


def test_another_pass_may_have_the_same_and_so_may_the_other_branch() -> None:
    assert not seen((PASS, (0,), (0,), [0]), ("another", (1,), (1,), [0])).equal
    assert not seen((PASS, (0, -1, 0), (0,), [0]), (PASS, (0, -2, 1), (1,), [0])).equal


def test_of_another_call_the_same_may_be_at_another_place() -> None:
    keys = Keys()
    run = keys.watched(lambda number: keys.see(PASS, (3,), (number,), KEYS[[0]]))
    for number in (2, 1):
        run(number)
    assert not keys.equal


def test_it_is_told_after_the_call() -> None:
    keys = Keys()

    def two() -> str:
        keys.asked = True
        for number in (0, 1):
            keys.see(PASS, (number,), (number,), KEYS[[0]])
        return "found"

    assert keys.watched(lambda: "found")() == "found"
    with pytest.raises(NotCheckable, match="with keys that are equal"):
        keys.watched(two)()


def test_what_is_called_otherwise_for_each_is_told_too() -> None:
    keys = Keys()
    keys.asked = keys.unlike = True
    with pytest.raises(NotCheckable, match=r"inside jax\.vmap the jax side calls a dropout whose rate"):
        keys.watched(lambda: "found")()
