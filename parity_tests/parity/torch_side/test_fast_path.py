"""`nn.TransformerEncoder` in evaluation: its layers are seen, and where its fast path gives other numbers is told."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check
from parity.recording import Batch
from parity.torch_side.fast_path import TOLD, has_fast_path, other_numbers, slow_path
from parity.verdict import Verdict

pytestmark = [
    pytest.mark.usefixtures("compiled_quickly"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage"),
]

WIDTH, HEADS, INNER, LENGTH = 8, 2, 16, 5


class Net(nn.Module):
    """An encoder whose outputs are averaged over padding too, which its fast path makes 0."""

    def __init__(self, nested: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=nested)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        found: Tensor = self.head(self.encoder(x, src_key_padding_mask=padding).mean(1))
        return found


class Attention(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.in_proj_weight, self.in_proj_bias = (
            nnx.Param(jnp.zeros((3 * WIDTH, WIDTH))),
            nnx.Param(jnp.zeros(3 * WIDTH)),
        )
        self.out_proj = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array, padding: jax.Array) -> jax.Array:
        packed = x @ self.in_proj_weight[...].T + self.in_proj_bias[...]
        split = packed.reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
        q, k, v = (jnp.swapaxes(split[:, :, index], 1, 2) for index in range(3))
        scores = q @ jnp.swapaxes(k, 2, 3) / (WIDTH // HEADS) ** 0.5
        weights = nnx.softmax(jnp.where(padding[:, None, None], -jnp.inf, scores))
        return self.out_proj(jnp.swapaxes(weights @ v, 1, 2).reshape(x.shape))


class Layer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.self_attn = Attention(rngs)
        self.linear1, self.linear2 = nnx.Linear(WIDTH, INNER, rngs=rngs), nnx.Linear(INNER, WIDTH, rngs=rngs)
        self.norm1 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.norm2 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)

    def __call__(self, x: jax.Array, padding: jax.Array) -> jax.Array:
        x = self.norm1(x + self.self_attn(x, padding))
        found: jax.Array = self.norm2(x + self.linear2(nnx.relu(self.linear1(x))))
        return found


class Encoder(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([Layer(rngs)])


class Port(nnx.Module):
    """What the layers do; with `emptied` what the fast path does."""

    def __init__(self, rngs: nnx.Rngs, emptied: bool = False) -> None:
        self.encoder = Encoder(rngs)
        self.head, self.emptied = nnx.Linear(WIDTH, 3, rngs=rngs), emptied

    def __call__(self, x: jax.Array, padding: jax.Array) -> jax.Array:
        y = self.encoder.layers[0](x, padding)
        return self.head((jnp.where(padding[..., None], 0, y) if self.emptied else y).mean(1))


def batches(seed: int, steps: int) -> list[Batch]:
    generator = np.random.default_rng(seed)
    padding = np.arange(LENGTH) >= np.array([[2], [LENGTH], [3]])
    return [{"x": generator.normal(size=(3, LENGTH, WIDTH)), "padding": padding} for _ in range(steps)]


def predict(model: Any, batch: Any) -> Any:
    return model(batch["x"], batch["padding"])


def of_inference(model: Any, port: Any) -> Verdict:
    return check(
        Pair(
            name="encoder", torch={"model": model, "predict": predict}, jax={"model": port, "predict": predict},
            batches=batches, steps=2, scored=lambda seed: {"held out": batches(seed + 1, 1)[0]},
            stages=("forward", "score"), weight_map={"encoder.layers.0.self_attn.in_proj_weight": "as is"},
        ),
        dtypes=("float64",),
    )  # fmt: skip


def test_without_the_fast_path_a_right_port_agrees_and_its_layers_are_compared() -> None:
    verdict = of_inference(partial(Net, nested=False), Port)
    assert verdict.outcome == "agree", verdict.first_difference
    assert {"encoder.layers.0.linear1.output", "encoder.layers.0.norm2.input"} <= {
        comparison.key.tensor for comparison in verdict.comparisons
    }
    assert TOLD not in verdict.listed


@pytest.mark.parametrize(("emptied", "stage"), [(False, "score"), (True, "forward")])
def test_where_it_gives_other_numbers_no_port_is_both(emptied: bool, stage: str) -> None:
    verdict = of_inference(Net, partial(Port, emptied=emptied))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key.stage == stage
    assert TOLD in verdict.listed


def test_only_encoders_have_one() -> None:
    assert has_fast_path(Net())
    assert not has_fast_path(nn.Linear(2, 2))
    assert not has_fast_path({"weight": torch.ones(2)})


def test_the_setting_comes_back() -> None:
    with slow_path():
        assert not torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(KeyError), slow_path():
        raise KeyError
    assert torch.backends.mha.get_fastpath_enabled()


def test_rounding_and_nothing_are_no_other_numbers() -> None:
    here = {"output": torch.ones(3), "output1": torch.arange(3), "output2": torch.zeros(0)}
    assert not other_numbers(here, here | {"output": torch.ones(3) + 1e-7})
    assert other_numbers(here, here | {"output": torch.ones(3) + 1e-5})
    assert other_numbers(here, here | {"output": torch.ones(2)})
