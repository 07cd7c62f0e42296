"""Whole models whose names and nesting differ: torchvision's beside ports as people write them."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import jax.numpy as jnp
import pytest
import torchvision
from flax import nnx

from parity.jax_side.outline import outline as jax_outline
from parity.jax_side.outline import outline_made_by
from parity.torch_side.outline import outline as torch_outline
from parity.weight_map.find import find
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.weight_map.made_outlines import jax, jax_linear, jax_tree, linear, plain, torch
from parity_tests.parity.weight_map.test_find import refusal


class Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> None:
        convolution = partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv_a, self.norm_a = convolution(inputs, outputs, (3, 3), stride), nnx.BatchNorm(outputs, rngs=rngs)
        self.conv_b, self.norm_b = convolution(outputs, outputs, (3, 3)), nnx.BatchNorm(outputs, rngs=rngs)
        if stride > 1:
            self.project = convolution(inputs, outputs, (1, 1), stride)
            self.project_norm = nnx.BatchNorm(outputs, rngs=rngs)


class ResNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 64, (7, 7), 2, use_bias=False, rngs=rngs)
        self.stem_norm = nnx.BatchNorm(64, rngs=rngs)
        widths = list(pairwise([64, 64, 128, 256, 512]))
        blocks = [[Block(a, b, 1 + (a != b), rngs), Block(b, b, 1, rngs)] for a, b in widths]
        self.blocks = nnx.List([block for stage in blocks for block in stage])
        self.head = nnx.Linear(512, 1000, rngs=rngs)


class EncoderBlock(nnx.Module):
    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(num_heads=2, in_features=width, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(width, 2 * width, rngs=rngs), nnx.Linear(2 * width, width, rngs=rngs)


class VisionTransformer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.patches = nnx.Conv(3, 8, (4, 4), 4, rngs=rngs)
        self.cls, self.positions = nnx.Param(jnp.ones((1, 1, 8))), nnx.Param(jnp.ones((1, 17, 8)))
        self.blocks = nnx.List([EncoderBlock(8, rngs) for _ in range(3)])
        self.norm, self.head = nnx.LayerNorm(8, rngs=rngs), nnx.Linear(8, 5, rngs=rngs)


def leaves(weights: WeightMap) -> dict[str, str]:
    return {str(entry.torch).partition(" ")[0]: entry.jax.name for entry in weights.entries}


def test_a_resnet_whose_names_and_nesting_differ_is_found_by_its_order() -> None:
    found = find(torch_outline(torchvision.models.resnet18()), outline_made_by(lambda: ResNet(nnx.Rngs(0))))
    names = leaves(found)
    assert names["conv1.weight"] == "stem.kernel"
    assert names["layer3.0.downsample.1.running_var"] == "blocks.4.project_norm.var"
    for stage in range(4):
        for block in range(2):
            here = f"blocks.{2 * stage + block}"
            assert names[f"layer{stage + 1}.{block}.conv2.weight"] == f"{here}.conv_b.kernel"
            assert names[f"layer{stage + 1}.{block}.bn1.bias"] == f"{here}.norm_a.bias"
    assert len(found.listed) == 20
    assert len(found.layers) == 41
    assert found.layers["blocks.2.project"] == ("layer2.0.downsample.0", True)


@pytest.mark.parametrize("merged", [False, True], ids=["in order", "order lost"])
def test_a_vision_transformer_is_found_by_its_order_or_without_it(merged: bool) -> None:
    of_torch = torchvision.models.VisionTransformer(16, 4, 3, 2, 8, 16, num_classes=5)

    def make() -> nnx.Module:
        return VisionTransformer(nnx.Rngs(0))

    of_jax = jax_outline(nnx.eval_shape(make)) if merged else outline_made_by(make)
    found = find(torch_outline(of_torch), of_jax)
    names = leaves(found)
    for index in range(3):
        here, there = f"encoder.layers.encoder_layer_{index}", f"blocks.{index}"
        assert names[f"{here}.ln_2.weight"] == f"{there}.norm2.scale"
        assert names[f"{here}.self_attention.in_proj_weight[8:16]"] == f"{there}.attention.key.kernel"
        assert names[f"{here}.self_attention.out_proj.bias"] == f"{there}.attention.out.bias"
        assert names[f"{here}.mlp.3.weight"] == f"{there}.down.kernel"
        assert found.layers[f"{there}.attention"] == (f"{here}.self_attention", False)
        assert f"{there}.attention.out" not in found.layers
    assert (names["class_token"], names["encoder.pos_embedding"]) == ("cls", "positions")
    assert (names["encoder.ln.weight"], names["heads.head.bias"]) == ("norm.scale", "head.bias")
    assert found.listed == []


# Lists in lists

IN_TURN = {"attention.out": linear(4, 4), "feed.up": linear(4, 6)}
"""The layers of a block: each stands in a module that holds nothing else."""


def of_lists(stacks: tuple[str, ...]) -> Outline:
    """Blocks as T5 has them: each is a list of layers, in a list, in a stack."""
    return torch(
        {
            f"{stack}.block.{index}.layer.{place}.{name}": layer
            for stack in stacks for index in range(2) for place, (name, layer) in enumerate(IN_TURN.items())
        }
    )  # fmt: skip


@pytest.mark.parametrize("stacks", [("encoder",), ("encoder", "decoder")])
def test_a_block_that_is_a_list_of_layers_stands_for_one_whose_layers_come_in_another_order(
    stacks: tuple[str, ...],
) -> None:
    block = {"mlp": jax_linear(4, 6), "attn": jax_linear(4, 4)}
    of_jax = jax({f"{stack}.{i}.{name}": layer for stack in stacks for i in range(2) for name, layer in block.items()})
    found = leaves(find(of_lists(stacks), of_jax))
    for stack in stacks:
        for index in range(2):
            here = f"{stack}.block.{index}.layer"
            assert found[f"{here}.0.attention.out.weight"] == f"{stack}.{index}.attn.kernel"
            assert found[f"{here}.1.feed.up.bias"] == f"{stack}.{index}.mlp.bias"


def test_lists_in_a_list_still_stand_for_one_list_of_all() -> None:
    layers = {f"stages.{index // 2}.{index % 2}": linear(4, 4) for index in range(4)}
    found = leaves(find(torch(layers), jax({f"blocks.{index}": jax_linear(4, 4) for index in range(4)})))
    assert [found[f"stages.{index // 2}.{index % 2}.weight"] for index in range(4)] == [
        f"blocks.{index}.kernel" for index in range(4)
    ]


def test_of_a_list_it_is_asked_once_and_a_line_for_the_first_holds_for_all_that_no_line_names() -> None:
    of_torch = torch({f"blocks.{index}.fc": linear(4, 4) for index in range(3)})
    of_jax = jax_tree({f"blocks.{index}.fc": plain(w=(4, 4), b=(4,)) for index in range(3)})
    assert refusal(of_torch, of_jax).count("in more than one way") == 1
    told = {"blocks.0.fc.weight": "transpose", "blocks.2.fc.weight": "as is"}
    found = find(of_torch, of_jax, told)
    steps = {
        entry.torch.name: [*map(str, entry.steps)] for entry in found.entries if entry.torch.name.endswith("weight")
    }
    assert steps == {"blocks.0.fc.weight": ["transpose"], "blocks.1.fc.weight": ["transpose"], "blocks.2.fc.weight": []}
    # Layers of one name and another number are no list.
    numbered = (
        torch({"fc1": linear(4, 4), "fc2": linear(4, 4)}),
        jax_tree(dict.fromkeys(("fc1", "fc2"), plain(w=(4, 4), b=(4,)))),
    )
    assert refusal(*numbered).count("in more than one way") == 2
