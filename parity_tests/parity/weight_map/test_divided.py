"""Two layers of which one holds itself what the other has layers inside for, such as adapters."""

from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.outline import Shapes
from parity_tests.parity.weight_map.made_outlines import Layer, jax, jax_linear, jax_tree, linear, own, plain, torch

A, B = (2, 6), (4, 2)
"""The matrices of an adapter of rank 2 from 6 to 4, in torch's layout."""
TORCH: dict[str, dict[str, Layer]] = {
    "layers inside": {
        "base": linear(6, 4), "lora_A": ("Linear", {"weight": A}, {}, {}), "lora_B": ("Linear", {"weight": B}, {}, {}),
    },
    "layers in dicts": {
        "base_layer": linear(6, 4), "lora_A.default": ("Linear", {"weight": A}, {}, {}),
        "lora_B.default": ("Linear", {"weight": B}, {}, {}),
    },
    "arrays": {"": own(weight=(4, 6), bias=(4,), lora_A=A, lora_B=B)},
}  # fmt: skip
LORA: Shapes = {"lora_a": A[::-1], "lora_b": B[::-1]}
LINEAR: Layer = ("LoRALinear", {"kernel": (6, 4), "bias": (4,)}, {}, {"built_on": "Linear"})
JAX: dict[str, dict[str, Layer]] = {
    "LoRALinear": {"": LINEAR, "lora": ("LoRA", LORA, {}, {})},
    "beside the base": {"base": jax_linear(6, 4), "lora": ("LoRA", LORA, {}, {})},
    "around the base": {"": ("LoRA", LORA, {}, {}), "base_module": jax_linear(6, 4)},
}
OTHERWISE: dict[str, Shapes] = {
    "another name": {"lora_a": (6, 2), "other": (2, 4)},
    "one is missing": {"lora_a": (6, 2)},
    "one too many": {**LORA, "more": (4,)},
    "another rank": {"lora_a": (6, 3), "lora_b": (3, 4)},
}


def inside(layers: dict[str, Layer], *adapters: str) -> dict[str, Layer]:
    return {f"{name}.{layer}".rstrip("."): kind for name in adapters for layer, kind in layers.items()}


@pytest.mark.parametrize("of_jax", JAX)
@pytest.mark.parametrize("of_torch", TORCH)
def test_an_adapter_is_paired_array_by_array(of_torch: str, of_jax: str) -> None:
    names = ("block.q_proj", "block.v_proj")
    found = find(torch(inside(TORCH[of_torch], *names)), jax(inside(JAX[of_jax], *names)))
    assert len(found.entries) == 8
    for entry in found.entries:
        here, there = entry.torch.name, entry.jax.name
        assert here[:12] == there[:12]  # the same adapter
        role = next(role for role in ("lora_a", "lora_b", "bias", "weight") if role in here.lower())
        assert role.replace("weight", "kernel") in there
        assert [*map(str, entry.steps)] == ([] if role == "bias" else ["transpose"])


def test_in_a_plain_tree_the_matrices_may_have_a_letter_each() -> None:
    of_jax = jax_tree({"q": plain(w=(6, 4), bias=(4,)), "q.lora": plain(a=A[::-1], b=B[::-1])})
    for layers in TORCH.values():
        entries = find(torch(inside(layers, "q")), of_jax).entries
        assert {e.torch.name[:8].lower(): e.jax.name for e in entries if "lora" in e.torch.name} == {
            "q.lora_a": "q.lora.a", "q.lora_b": "q.lora.b",
        }  # fmt: skip


def test_layers_that_stand_for_each_other_are_paired_as_such() -> None:
    found = find(torch(inside(TORCH["layers in dicts"], "q")), jax(inside(JAX["beside the base"], "q")))
    assert found.layers["q.base"].torch == "q.base_layer"


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_does_not_come_out_name_by_name_is_refused(case: str) -> None:
    wrong = {"base": jax_linear(6, 4), "lora": ("LoRA", OTHERWISE[case], {}, {})}
    with pytest.raises(NotCheckable, match=r"no JAX leaf for q\.lora_|no torch tensor for q\.lora\.more"):
        find(torch(inside(TORCH["layers inside"], "q")), jax(inside(wrong, "q")))


def test_the_only_array_of_a_shape_is_asked_for_and_not_guessed() -> None:
    of_torch = torch({"q.embed": ("Embedding", {"weight": (7, 4)}, {}, {}), "q.fc": linear(4, 5)})
    with pytest.raises(NotCheckable, match=r'write the override "q\.embed\.weight": "q\.table"'):
        find(of_torch, jax_tree({"q": plain(table=(7, 4)), "q.fc": plain(w=(4, 5), b=(5,))}))
