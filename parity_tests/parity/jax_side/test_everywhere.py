"""Functions that stand in for others, wherever they are called."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import pytest
from jax.lax import scan as by_its_name

from parity.jax_side.everywhere import everywhere


@pytest.fixture
def stand_in() -> Callable[..., Any]:
    """A function that no module holds: at the end it would be replaced there, too."""
    return lambda: None


def named() -> list[Any]:
    return [jax.lax.scan, by_its_name]


def test_a_function_is_replaced_under_every_name_and_is_there_again_afterwards(stand_in: Any) -> None:
    real: Any = jax.lax.scan
    with everywhere({real: stand_in}):
        assert named() == [stand_in, stand_in]
    with pytest.raises(ZeroDivisionError), everywhere({real: stand_in}):
        raise ZeroDivisionError
    assert named() == [real, real]


def test_what_is_imported_meanwhile_does_not_keep_the_stand_in(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    late = ModuleType("late")
    real: Any = jax.lax.scan
    with everywhere({real: stand_in}):
        monkeypatch.setitem(sys.modules, "late", late)
        late.scan = jax.lax.scan  # type: ignore[attr-defined]
    assert late.scan is real


def test_one_may_stand_in_for_another(stand_in: Any) -> None:
    def other() -> None: ...

    real: Any = jax.lax.scan
    with everywhere({real: stand_in}):
        with everywhere({stand_in: other}):
            assert named() == [other, other]
        assert named() == [stand_in, stand_in]
    assert named() == [real, real]


def test_what_a_module_that_was_looked_through_holds_by_now_is_found(
    stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a library by another name, of anybody else's by the same."""
    own: Any = ModuleType("own")
    late: Any = json
    own.scan = None
    monkeypatch.setitem(sys.modules, "own", own)
    real: Any = jax.lax.scan
    with everywhere({real: stand_in}):
        own.scan = jax.lax.scan
        monkeypatch.setattr(late, "scan", jax.lax.scan, raising=False)
    assert [own.scan, late.scan] == [real, real]
    with everywhere({real: stand_in}):
        assert [own.scan, late.scan] == [stand_in, stand_in]


def test_what_was_never_sought_before_is_found_in_modules_that_were_looked_through(stand_in: Any) -> None:
    real: Any = jax.lax.scan
    with everywhere({real: stand_in}):
        pass
    with everywhere({json.dumps: stand_in}):
        found = json.dumps
    assert found is stand_in
