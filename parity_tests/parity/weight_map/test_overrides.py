from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.how import How
from parity.weight_map.overrides import Told, parse
from parity_tests.parity.weight_map.made_outlines import jax, jax_linear, linear, torch

TORCH = torch({"enc.a": linear(3, 4), "b": linear(4, 4)}, {"b.bias": "enc.a.bias"})
JAX = jax({"x.a": jax_linear(3, 4), "y": jax_linear(4, 4)})


def test_each_line_is_read_as_what_it_says() -> None:
    lines = {
        "enc": "x", "enc.a.weight": "x.a.kernel: transpose", "b.weight": "y.kernel", "b.bias": "left out",
    }  # fmt: skip
    assert parse(lines, TORCH, JAX) == Told(
        leaves={"enc.a.weight": "x.a.kernel", "b.weight": "y.kernel"},
        how={"enc.a.weight": How("transpose")},
        modules={"enc": "x"},
        left_out=["enc.a.bias"],
    )
    assert parse({"b.weight": "as is"}, TORCH, JAX) == Told(how={"b.weight": How("as is")})


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("enc.c.weight", "x.a.kernel", "torch has neither a tensor nor a module of that name"),
        ("b.weight", "y.kernal", "JAX has no leaf 'y.kernal'"),
        ("b.weight", "y", "JAX has no leaf 'y'"),
        ("b.weight", "y.kernal: transpose", "JAX has no leaf 'y.kernal'"),
        ("b.weight", "y.kernel: turned", "behind it one of as is, transpose"),
        ("b.weight", "y.kernel:transpose", "JAX has no leaf"),
        ("b.weight", "flatten 3", "JAX has no leaf 'flatten 3'"),
        ("b.weight", "", "JAX has no leaf ''"),
        ("enc", "z", "JAX has no module 'z'"),
        ("enc", "x: transpose", "JAX has no module 'x: transpose'"),
        ("", "", "torch has neither"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_the_line(name: str, line: str, said: str) -> None:
    with pytest.raises(NotCheckable) as raised:
        parse({name: line}, TORCH, JAX)
    assert f'"{name}": "{line}"' in str(raised.value)
    assert said in str(raised.value)


def test_all_that_is_wrong_is_said_at_once_and_a_leaf_given_twice_too() -> None:
    lines = {"nope": "x", "enc.a.weight": "y.kernel", "b.weight": "y.kernel"}
    with pytest.raises(NotCheckable, match=r'"nope".*; y\.kernel is given to more than one'):
        parse(lines, TORCH, JAX)
