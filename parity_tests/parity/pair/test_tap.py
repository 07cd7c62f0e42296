"""A tap gives back what it is given, and needs no framework."""

from __future__ import annotations

import pytest

from parity import tap
from parity.errors import NotCheckable
from parity.pair.tap import check_tap, tapped
from parity_tests.test_isolation import python

CODE = """
import sys
from parity import tap
x = object()
assert tap(x, "here") is x
loaded = {"torch", "jax", "numpy"} & set(sys.modules)
assert not loaded, loaded
print("nothing")
"""


def test_it_is_the_identity_and_loads_nothing() -> None:
    done = python(CODE, {"torch", "jax"}, [])
    assert (done.stdout, done.stderr) == ("nothing\n", "")


def test_it_is_watched_only_meanwhile_and_by_the_innermost() -> None:
    with tapped(lambda value, name: (value, name)):
        assert tap(1, "here") == (1, "here")  # type: ignore[comparison-overlap]
        with tapped(lambda value, _: -value):
            assert tap(1, "here") == -1
        assert tap(1, "here") == (1, "here")  # type: ignore[comparison-overlap]
    assert tap(1, "here") == 1
    with pytest.raises(KeyError), tapped(lambda *_: 2):
        raise KeyError
    assert tap(1, "here") == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("inner", 1.0, "the tap 'inner' has the name of a layer: call it otherwise, such as 'inner.inside'"),
        ("a#2", 1.0, "a tap is called 'a#2': expected a name without #"),
        ("", 1.0, "a tap is called ''"),
        (3, 1.0, "a tap is called 3"),
        ("a", 1, "the tap 'a' was given a int: expected a number"),
    ],
)
def test_what_cannot_be_told_from_all_else_is_refused(name: object, value: object, words: str) -> None:
    with pytest.raises(NotCheckable) as told:
        check_tap(name, ("inner",), value, "a number", fits=isinstance(value, float))
    assert str(told.value).startswith(words)
    check_tap("inner.scores", ("inner",), 1.0, "a number", fits=True)
