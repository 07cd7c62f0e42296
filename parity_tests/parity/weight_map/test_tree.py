"""A layer that is one in torch and several in JAX is taken apart, unless the other model has it as torch does."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch import nn

from parity.weight_map.find import find
from parity.weight_map.outline import STILL, Outline, Shapes
from parity.weight_map.tree import tree
from parity_tests.parity.weight_map.both import carried, drawn, filled, mapped, outputs_agree, shaped
from parity_tests.parity.weight_map.made_outlines import Layer, jax_tree, linear, plain, torch

BOTH_WAYS: Shapes = {
    f"{kind}_l0{way}": shape
    for way in ("", "_reverse")
    for kind, shape in (("weight_ih", (18, 6)), ("weight_hh", (18, 6)), ("bias_ih", (18,)), ("bias_hh", (18,)))
}
ONE_WAY = {own: shape for own, shape in BOTH_WAYS.items() if not own.endswith("_reverse")}


def gru(shapes: Shapes) -> Layer:
    return "GRU", shapes, {}, {}


@pytest.mark.parametrize("shapes", [ONE_WAY, BOTH_WAYS])
def test_arrays_of_the_same_names_and_shapes_are_paired_as_they_are(shapes: Shapes) -> None:
    found = find(torch({"rnn": gru(shapes)}), jax_tree({"rnn": plain(**shapes)}))
    assert [str(entry) for entry in found.entries] == [
        f"rnn.{own} {list(shape)} -> rnn.{own} {list(shape)}, as is" for own, shape in shapes.items()
    ]


def test_a_layer_in_both_directions_is_two_cells_where_one_name_or_shape_is_another() -> None:
    outline = torch({"rnn": gru(BOTH_WAYS)})
    for other in ({**BOTH_WAYS, "bias_hh_l0": (6,)}, {**ONE_WAY}):
        (rnn,) = tree(outline, {}, jax_tree({"rnn": plain(**other)})).children
        assert [child.name for child in rnn.children] == ["forward_rnn", "backward_rnn"]
    (rnn,) = tree(outline, {}, jax_tree({"other": plain(**BOTH_WAYS)})).children
    assert [leaf.own for leaf in rnn.leaves] == list(BOTH_WAYS)


LAYER: Shapes = {"w": (4, 5), "b": (5,)}
TWO_CRITICS = torch({f"{critic}.{name}": linear(4, 5) for critic in ("q", "target") for name in ("fc", "out")})
SCOPED = ("target/~/fc", "target/~/out", "q/~/fc", "q/~/out")


def leaf_of(outline: Outline) -> dict[str, str]:
    return {entry.torch.name: entry.jax.name for entry in find(TWO_CRITICS, outline).entries}


def test_the_scopes_in_a_name_are_the_modules_around_a_layer() -> None:
    """As Haiku has them, whose dicts of parameters are sorted, so that no order says what is which."""
    found = leaf_of(jax_tree({name: plain(**LAYER) for name in SCOPED}))
    assert found["q.out.weight"] == "q/~/out.w"
    assert found["target.fc.bias"] == "target/~/fc.b"
    assert len(found) == 8


def test_so_are_those_in_the_keys_of_a_flat_dict() -> None:
    flat = {f"{name}/{own}": shape for name in SCOPED for own, shape in LAYER.items()}
    found = leaf_of(jax_tree({"": plain(**flat)}))
    assert found["q.out.weight"] == "q/~/out/w"
    assert found["target.fc.bias"] == "target/~/fc/b"
    assert len(found) == 8


def test_a_scope_that_is_a_layer_itself_holds_the_others_too() -> None:
    (q,) = tree(jax_tree({"q": plain(w=(4, 5)), "q/fc": plain(**LAYER)}), {}).children
    assert [leaf.part.name for leaf in q.all_leaves()] == ["q.w", "q/fc.w", "q/fc.b"]


def test_attention_that_is_taken_apart_keeps_what_its_arrays_are() -> None:
    shapes: Shapes = {"in_proj_weight": (12, 4), "in_proj_bias": (12,)}
    outline = torch({"attn": ("MultiheadAttention", {}, shapes, {STILL: list(shapes)})})
    leaves = tree(outline, {}).all_leaves()
    assert [(leaf.own, leaf.buffer, leaf.still) for leaf in leaves] == [("weight", True, True), ("bias", True, True)]


class Normed(nnx.Module):
    """A convolution over time whose weight has a length of its own for each output, in torch's layout or in Flax's."""

    def __init__(self, inputs: int, outputs: int, *, flax: bool) -> None:
        shape, self.axes = ((3, inputs, outputs), (0, 1)) if flax else ((outputs, inputs, 3), (1, 2))
        self.v, self.bias = nnx.Param(jnp.zeros(shape)), nnx.Param(jnp.zeros(outputs))
        self.g = nnx.Param(jnp.zeros(outputs if flax else (outputs, 1, 1)))
        self.names = ("NWC", "WIO" if flax else "OIW", "NWC")

    def __call__(self, x: jax.Array) -> jax.Array:
        v = self.v[...]
        w = self.g[...] * v / jnp.sqrt(jnp.sum(v**2, self.axes, keepdims=True))
        return jax.lax.conv_general_dilated(x, w, (1,), "VALID", dimension_numbers=self.names) + self.bias[...]


@pytest.mark.parametrize("flax", [True, False])
def test_what_a_normed_weight_is_made_of_belongs_to_its_layer(flax: bool) -> None:
    weight_norm = nn.utils.parametrizations.weight_norm
    of_torch = nn.Sequential(*(weight_norm(nn.Conv1d(4, 4, 3)) for _ in range(2)))
    of_jax = shaped(lambda rngs: nnx.Sequential(*(Normed(4, 4, flax=flax) for _ in range(2))))
    arrays = {name: tensor for name, tensor in drawn(of_torch).items() if name in of_torch.state_dict()}
    with jax.enable_x64(True):
        made = filled(of_jax, carried(mapped(of_torch, of_jax), arrays))
    assert outputs_agree(of_torch, made, np.random.default_rng(0).standard_normal((2, 4, 9)), images=True)


@pytest.mark.parametrize("inside", ["", "head."])
def test_what_a_norm_of_linens_beside_a_layer_keeps_belongs_to_that(inside: str) -> None:
    """It is named as the layer is inside of the module that both are in."""
    made: tuple[Layer, Layer] = (("Linear", {"bias": (5,)}, {}, {}), plain(original0=(5, 1), original1=(5, 4)))
    layers = (f"{inside}{name}{part}" for name in ("a", "b") for part in ("", ".parametrizations.weight"))
    of_torch = torch(dict(zip(layers, (*made, *made), strict=True)))
    of_jax = jax_tree({
        f"{inside}WeightNorm_0": plain(**{"b/kernel/scale": (5,)}), f"{inside}a": plain(kernel=(4, 5), bias=(5,)),
        f"{inside}WeightNorm_1": plain(**{"a/kernel/scale": (5,)}), f"{inside}b": plain(kernel=(4, 5), bias=(5,)),
    })  # fmt: skip
    found = {entry.torch.name: entry.jax.name for entry in find(of_torch, of_jax).entries}
    assert found[f"{inside}a.parametrizations.weight.original0"] == f"{inside}WeightNorm_1.a/kernel/scale"
    assert found[f"{inside}b.parametrizations.weight.original1"] == f"{inside}b.kernel"


def test_a_weight_that_is_divided_by_its_norm_belongs_to_its_layer_too() -> None:
    class Divided(nnx.Module):
        def __init__(self) -> None:
            self.weight, self.bias = nnx.Param(jnp.zeros((5, 4))), nnx.Param(jnp.zeros(5))
            self.u, self.v = nnx.BatchStat(jnp.zeros(5)), nnx.BatchStat(jnp.zeros(4))

    spectral_norm = nn.utils.parametrizations.spectral_norm
    of_torch = nn.Sequential(*(spectral_norm(nn.Linear(4, 5)) for _ in range(2)))
    found = mapped(of_torch, shaped(lambda rngs: nnx.Sequential(Divided(), Divided()))).entries
    assert {entry.torch.name: entry.jax.name for entry in found if entry.torch.name.startswith("1.")} == {
        "1.bias": "layers.1.bias",
        "1.parametrizations.weight.original": "layers.1.weight",
        "1.parametrizations.weight.0._u": "layers.1.u",
        "1.parametrizations.weight.0._v": "layers.1.v",
    }
