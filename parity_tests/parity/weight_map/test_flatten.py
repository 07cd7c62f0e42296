"""Where the order of a flattened convolution is asked about, where it is not, and what comes of the answers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.flatten import flattened
from parity_tests.parity.weight_map.both import carried, drawn, filled, mapped, outputs_agree, shaped
from parity_tests.parity.weight_map.made_outlines import (
    Layer,
    batch_norm,
    conv,
    jax_batch_norm,
    jax_conv,
    jax_linear,
    linear,
    norm,
)
from parity_tests.parity.weight_map.made_outlines import jax as jax_outline
from parity_tests.parity.weight_map.made_outlines import torch as outline

ASKED: dict[str, tuple[dict[str, Layer], dict[str, list[str]]]] = {
    "behind a convolution": (
        {"c": conv(3, 6, 3, 3), "fc": linear(54, 5)}, {"fc.weight": ["flatten 6 3 3", "transpose"]},
    ),
    "behind its norm, of a window that is no square": (
        {"c": conv(3, 6, 3, 3), "bn": batch_norm(6), "fc": linear(30, 5)},
        {"fc.weight": ["flatten 6 H W", "transpose"]},
    ),
    "of one axis": ({"c": conv(3, 6, 3), "fc": linear(30, 5)}, {"fc.weight": ["flatten 6 5", "transpose"]}),
    "two heads on one": (
        {"c": conv(3, 6, 3, 3), "a": linear(54, 5), "b": linear(54, 2), "z": linear(5, 12)},
        {"a.weight": ["flatten 6 3 3", "transpose"], "b.weight": ["flatten 6 3 3", "transpose"]},
    ),
    "unflattened": (
        {"fc": linear(5, 24), "c": conv(6, 3, 3, 3)},
        {"fc.weight": ["unflatten 6 2 2", "transpose"], "fc.bias": ["flatten 6 2 2", "as is"]},
    ),
    "unflattened, of one axis": (
        {"fc": linear(5, 12), "c": conv(6, 3, 3)},
        {"fc.weight": ["unflatten 6 2", "transpose"], "fc.bias": ["flatten 6 2", "as is"]},
    ),
    "a scale and a shift of images": ({"fc": linear(5, 12), "n": norm(6), "c": conv(6, 3, 3, 3)}, {}),
    "a norm of what is flat": (
        {"c": conv(3, 6, 3, 3), "bn": batch_norm(54, "BatchNorm1d")},
        {f"bn.{own}": ["flatten 6 3 3", "as is"] for own in ("weight", "bias", "running_mean", "running_var")},
    ),
    "a global pool": ({"c": conv(3, 6, 3, 3), "fc": linear(6, 5)}, {}),
    "no whole number of channels": ({"c": conv(3, 6, 3, 3), "fc": linear(55, 5)}, {}),
    "one channel": ({"c": conv(3, 1, 3, 3), "fc": linear(9, 5)}, {}),
    "features of another layer": (
        {"c": conv(3, 6, 3, 3), "ln": norm(12), "a": linear(12, 48), "b": linear(48, 12)}, {},
    ),
    "a concatenation with its norm": ({"c": conv(3, 6, 3, 3), "bn": batch_norm(12), "fc": linear(12, 5)}, {}),
    "no convolution": ({"a": linear(6, 12), "b": linear(24, 5)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_what_could_be_flat_in_two_orders_is_found(name: str) -> None:
    layers, expected = ASKED[name]
    assert {array: found.words() for array, found in flattened(outline(layers)).items()} == expected


class Torch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 2), nn.Linear(18, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.conv(images).flatten(1))
        return found


class Twin(nnx.Module):
    """As a port writes it, or, with `as_torch`, flattened in torch's order."""

    def __init__(self, rngs: nnx.Rngs, *, as_torch: bool) -> None:
        self.as_torch = as_torch
        self.conv = nnx.Conv(2, 3, (2, 2), padding="VALID", param_dtype=jnp.float64, rngs=rngs)
        self.fc = nnx.Linear(18, 5, param_dtype=jnp.float64, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        found = self.conv(images)
        found = jnp.moveaxis(found, -1, 1) if self.as_torch else found
        return self.fc(found.reshape(len(found), -1))


@pytest.mark.parametrize("as_torch", [True, False])
def test_either_order_is_asked_for_and_the_answer_makes_the_outputs_agree(as_torch: bool) -> None:
    with jax.enable_x64(True):
        model, twin = Torch(), shaped(lambda rngs: Twin(rngs, as_torch=as_torch))
        right, wrong = "fc.kernel: transpose", "fc.kernel: flatten 3 3 2"
        if not as_torch:
            right, wrong = wrong, right
        with pytest.raises(NotCheckable, match=r'write the override "fc\.weight": "fc\.kernel: flatten 3 H W" or'):
            mapped(model, twin)
        arrays, inputs = drawn(model), np.random.default_rng(1).normal(size=(4, 2, 4, 3))
        for told, agree in ((right, True), (wrong, False)):
            leaves = carried(mapped(model, twin, {"fc.weight": told}), arrays)
            with torch.no_grad():
                expected = model(torch.from_numpy(inputs)).numpy()
            found = np.asarray(filled(twin, leaves)(jnp.asarray(np.moveaxis(inputs, 1, -1))))
            assert np.allclose(found, expected, rtol=0, atol=1e-12) == agree


def test_an_answer_that_does_not_fit_is_an_error() -> None:
    with jax.enable_x64(True):
        twin = shaped(lambda rngs: Twin(rngs, as_torch=False))
        with pytest.raises(NotCheckable, match=r'the override of fc\.weight, "flatten 3 3 3": .* cannot take the step'):
            mapped(Torch(), twin, {"fc.weight": "flatten 3 3 3"})


TOLD = {
    "of its own": (("weight",), {"fc.weight": "fc.kernel: flatten 6 3 3"}),
    "and the rest follows": (("weight", "bias"), {"fc.weight": "fc.kernel: flatten 6 3 3"}),
    "and all the rest, too": (
        ("weight", "bias"), {"fc.weight": "fc.kernel: flatten 6 3 3", "fc.bias": "fc.bias: as is"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_a_layer_whose_arrays_are_told_is_still_the_twin_of_the_other(name: str) -> None:
    held, lines = TOLD[name]
    parameters, leaves = linear(54, 5)[1], jax_linear(54, 5)[1]
    of_torch: Layer = ("Linear", {own: parameters[own] for own in held}, {}, {})
    of_jax: Layer = ("Linear", {own: leaves[own] for own in ("kernel", "bias")[: len(held)]}, {}, {})
    behind = outline({"c": conv(3, 6, 3, 3), "fc": of_torch}), jax_outline({"c": jax_conv(3, 6, 3, 3), "fc": of_jax})
    assert {path: layer.torch for path, layer in find(*behind, lines).layers.items()} == {"c": "c", "fc": "fc"}


class TorchGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.conv = nn.Linear(4, 18), nn.Conv2d(3, 2, 2)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.conv(self.fc(codes).reshape(-1, 3, 3, 2)).flatten(2).transpose(1, 2)
        return found


class Generator(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = nnx.Linear(4, 18, param_dtype=jnp.float64, rngs=rngs)
        self.conv = nnx.Conv(3, 2, (2, 2), padding="VALID", param_dtype=jnp.float64, rngs=rngs)

    def __call__(self, codes: jax.Array) -> jax.Array:
        return self.conv(self.fc(codes).reshape(-1, 3, 2, 3)).reshape(len(codes), -1, 2)


@pytest.mark.parametrize("bias", [{"fc.bias": "flatten 3 3 2"}, {}])
def test_outputs_that_become_channels_are_told_with_their_bias_or_by_the_weight(bias: dict[str, str]) -> None:
    with jax.enable_x64(True):
        model, twin = TorchGenerator(), shaped(Generator)
        told = {"fc.weight": "unflatten 3 3 2"} | bias
        leaves = carried(mapped(model, twin, told), drawn(model))
        assert outputs_agree(model, filled(twin, leaves), np.random.default_rng(1).normal(size=(5, 4)))


BESIDE = {
    "transpose": ("fc", linear(5, 24), jax_linear(5, 24), ""),
    "unflatten 6 2 2": ("fc", linear(5, 24), jax_linear(5, 24), "reshape 6 2 2 permute 1 2 0 reshape 24"),
    "flatten 6 3 3": (
        "bn",
        batch_norm(54, "BatchNorm1d"),
        jax_batch_norm(54),
        "reshape 6 3 3 permute 1 2 0 reshape 54",
    ),
}


@pytest.mark.parametrize("line", BESIDE)
def test_what_is_told_of_a_weight_goes_for_the_vectors_of_its_layer(line: str) -> None:
    name, layer, twin, steps = BESIDE[line]
    layers, twins = {name: layer, "c": conv(6, 6, 3, 3)}, {name: twin, "c": jax_conv(6, 6, 3, 3)}
    if name == "bn":
        layers, twins = dict(reversed(layers.items())), dict(reversed(twins.items()))
    found = find(outline(layers), jax_outline(twins), {f"{name}.weight": line})
    of_layer = {e.torch.name: " ".join(map(str, e.steps)) for e in found.entries if e.torch.name.startswith(name)}
    assert len(of_layer) == (4 if name == "bn" else 2)
    assert {said for own, said in of_layer.items() if own != f"{name}.weight"} == {steps}
