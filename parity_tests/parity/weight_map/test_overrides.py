from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.how import How
from parity.weight_map.outline import Outline
from parity.weight_map.overrides import Told, parse
from parity_tests.parity.weight_map.made_outlines import Layer, jax, jax_linear, jax_tree, linear, plain, torch

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


# Layers of a stack


FLAT = {"norm.weight": "n", "attention.out.weight": "w2", "mlp.up.weight": "w3", "mlp.down.weight": "w1"}


def of_torch(layers: int) -> Outline:
    """Blocks of modules in modules, between an embedding and a head."""
    bias_free = {"attention.out": square(4), "mlp.up": square(4), "mlp.down": square(4)}
    block: dict[str, Layer] = {"norm": ("RMSNorm", {"weight": (4,)}, {}, {}), **bias_free}
    blocks = {f"blocks.{index}.{name}": layer for index in range(layers) for name, layer in block.items()}
    return torch(blocks | {"head": square(4)})


def square(size: int) -> Layer:
    return "Linear", {"weight": (size, size)}, {}, {}


def in_one_dict(layers: int) -> Outline:
    """The same blocks as one dict of stacked arrays, whose names say nothing."""
    block = plain(n=(layers, 4), w1=(layers, 4, 4), w2=(layers, 4, 4), w3=(layers, 4, 4))
    return jax_tree({"": plain(h=(4, 4)), "layers": block})


def test_a_stack_is_taken_apart_where_a_line_names_one_of_its_layers() -> None:
    lines = {f"blocks.{i}.{name}": f"layers.{i}.{leaf}: transpose" for i in range(3) for name, leaf in FLAT.items()}
    lines = {name: line.replace("n: transpose", "n") for name, line in lines.items()} | {"head.weight": "h: as is"}
    weights = find(of_torch(3), in_one_dict(3), lines)
    assert "layers is taken to hold 3 layers stacked along axis 0, layers.0 to layers.2" in weights.listed
    assert "blocks.1.mlp.up.weight [4, 4] -> layers.w3[1] [3, 4, 4], transpose" in map(str, weights.entries)


def test_of_a_stack_that_was_told_only_what_is_left_is_asked_for() -> None:
    lines = {f"blocks.{i}.norm.weight": f"layers.{i}.n" for i in range(3)} | {"head.weight": "h: as is"}
    with pytest.raises(NotCheckable) as raised:
        find(of_torch(3), in_one_dict(3), lines)
    assert "norm" not in str(raised.value)
    assert "layers is taken to hold 3 layers" in str(raised.value)
    # There is no such layer: nothing is taken apart for it.
    with pytest.raises(NotCheckable, match=r"JAX has no leaf 'layers\.3\.n'"):
        find(of_torch(3), in_one_dict(3), lines | {"blocks.2.norm.weight": "layers.3.n"})
