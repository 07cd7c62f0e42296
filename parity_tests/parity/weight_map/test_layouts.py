"""Each kind of layer beside its Flax counterpart: the map is found, comes back bit for bit, and both say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import nnx
from torch import nn

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.weight_map import Layer
from parity_tests.parity.weight_map import made_outlines as made
from parity_tests.parity.weight_map.both import carried, drawn, filled, mapped, outputs_agree, shaped

F64: dict[str, Any] = {"param_dtype": jnp.float64}


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


class Twin(NamedTuple):
    torch: Callable[[], nn.Module]
    jax: Callable[[nnx.Rngs], Any]
    inputs: tuple[int, ...]
    images: bool = False


def heads_first(r: nnx.Rngs) -> Any:
    return nnx.LinearGeneral(6, (2, 5), rngs=r, **F64)


class Joined(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = heads_first(rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        heads: jax.Array = self.inner(inputs)
        return heads.reshape(*heads.shape[:-2], -1)


TWINS = {
    "linear": Twin(lambda: nn.Linear(3, 5), lambda r: nnx.Linear(3, 5, rngs=r, **F64), (2, 3)),
    "linear square": Twin(lambda: nn.Linear(4, 4), lambda r: nnx.Linear(4, 4, rngs=r, **F64), (2, 4)),
    "linear without bias": Twin(
        lambda: nn.Linear(3, 5, bias=False), lambda r: nnx.Linear(3, 5, use_bias=False, rngs=r, **F64), (2, 3)
    ),
    "linear in heads": Twin(lambda: nn.Linear(6, 10), Joined, (2, 6)),
    "conv1d": Twin(
        lambda: nn.Conv1d(3, 5, 4), lambda r: nnx.Conv(3, 5, (4,), padding="VALID", rngs=r, **F64), (2, 3, 9), True
    ),
    "conv2d in groups": Twin(
        lambda: nn.Conv2d(4, 6, (3, 2), stride=2, groups=2),
        lambda r: nnx.Conv(4, 6, (3, 2), 2, padding="VALID", feature_group_count=2, rngs=r, **F64),
        (2, 4, 9, 8),
        True,
    ),
    "conv2d all sizes equal": Twin(
        lambda: nn.Conv2d(3, 3, 3), lambda r: nnx.Conv(3, 3, (3, 3), padding="VALID", rngs=r, **F64), (2, 3, 5, 5), True
    ),
    "conv3d": Twin(
        lambda: nn.Conv3d(2, 3, (1, 3, 2)),
        lambda r: nnx.Conv(2, 3, (1, 3, 2), padding="VALID", rngs=r, **F64),
        (2, 2, 3, 4, 5),
        True,
    ),
    "transposed conv1d": Twin(
        lambda: nn.ConvTranspose1d(3, 5, 4, stride=2),
        lambda r: nnx.ConvTranspose(3, 5, (4,), 2, padding="VALID", rngs=r, **F64),
        (2, 3, 5),
        True,
    ),
    "transposed conv2d": Twin(
        lambda: nn.ConvTranspose2d(3, 3, (3, 2)),
        lambda r: nnx.ConvTranspose(3, 3, (3, 2), padding="VALID", rngs=r, **F64),
        (2, 3, 5, 4),
        True,
    ),
    "transposed conv2d, transposed kernel": Twin(
        lambda: nn.ConvTranspose2d(3, 3, (3, 2), stride=2),
        lambda r: nnx.ConvTranspose(3, 3, (3, 2), 2, padding="VALID", transpose_kernel=True, rngs=r, **F64),
        (2, 3, 5, 4),
        True,
    ),
    "batch norm": Twin(
        lambda: nn.BatchNorm2d(3).eval(),
        lambda r: nnx.BatchNorm(3, use_running_average=True, epsilon=1e-5, rngs=r, **F64),
        (2, 3, 4, 5),
        True,
    ),
    "layer norm": Twin(lambda: nn.LayerNorm(5), lambda r: nnx.LayerNorm(5, epsilon=1e-5, rngs=r, **F64), (2, 3, 5)),
    "group norm": Twin(
        lambda: nn.GroupNorm(2, 6),
        lambda r: nnx.GroupNorm(6, num_groups=2, epsilon=1e-5, use_fast_variance=False, rngs=r, **F64),
        (2, 6, 3, 5),
        True,
    ),
    "rms norm": Twin(lambda: nn.RMSNorm(5, eps=1e-6), lambda r: nnx.RMSNorm(5, epsilon=1e-6, rngs=r, **F64), (2, 3, 5)),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_layer_beside_its_twin(name: str) -> None:
    twin = TWINS[name]
    of_torch, of_jax = twin.torch(), shaped(twin.jax)
    arrays = drawn(of_torch)
    leaves = carried(mapped(of_torch, of_jax), arrays)
    inputs = np.random.default_rng(1).normal(size=twin.inputs)
    assert outputs_agree(of_torch, filled(of_jax, leaves), inputs, images=twin.images)


def attended(query: jax.Array, key: jax.Array, value: jax.Array, **_: Any) -> jax.Array:
    """Attention in the dtype of its inputs: JAX's own takes its softmax in float32."""
    weights = jax.nn.softmax(jnp.einsum("...qhd,...khd->...hqk", query, key) / np.sqrt(query.shape[-1]))
    return jnp.einsum("...hqk,...khd->...qhd", weights, value)


class Attention(nnx.Module):
    """Flax's attention of one input with itself."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(
            num_heads=2, in_features=8, attention_fn=attended, decode=False, rngs=rngs, **F64
        )

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found: jax.Array = self.attention(inputs)
        return found


class PackedAttention(nnx.Module):
    """The same with one kernel for query, key and value."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.qkv = nnx.Linear(8, 24, rngs=rngs, **F64)
        self.proj = nnx.Linear(8, 8, rngs=rngs, **F64)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        query, key, value = jnp.moveaxis(self.qkv(inputs).reshape(*inputs.shape[:-1], 3, 2, 4), -3, 0)
        found = attended(query, key, value)
        return self.proj(found.reshape(inputs.shape))


class TorchAttention(nn.MultiheadAttention):
    """torch's attention of one input with itself."""

    def __init__(self) -> None:
        super().__init__(8, 2, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(inputs, inputs, inputs, need_weights=False)[0]


class TorchPacked(nn.Module):
    """Attention as GPT-2 writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return attend(self.c_attn(inputs).chunk(3, -1), self.c_proj)


class TorchSeparate(nn.Module):
    """Attention with three projections."""

    def __init__(self) -> None:
        super().__init__()
        self.o_proj, self.q_proj, self.k_proj, self.v_proj = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return attend([part(inputs) for part in (self.q_proj, self.k_proj, self.v_proj)], self.o_proj)


def attend(parts: Iterable[torch.Tensor], out: nn.Module) -> torch.Tensor:
    query, key, value = (part.reshape(*part.shape[:-1], 2, 4).transpose(1, 2) for part in parts)
    found: torch.Tensor = out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2))
    return found


@pytest.mark.parametrize("of_jax", [Attention, PackedAttention])
@pytest.mark.parametrize("of_torch", [TorchAttention, TorchPacked, TorchSeparate])
def test_attention_packed_or_apart_on_either_side(of_torch: type[nn.Module], of_jax: type[Any]) -> None:
    model, twin = of_torch(), shaped(of_jax)
    weights = mapped(model, twin)
    leaves = carried(weights, drawn(model))
    inputs = np.random.default_rng(1).normal(size=(2, 5, 8))
    assert outputs_agree(model, filled(twin, leaves), inputs)
    # Only where the order within a packed projection is not torch's own.
    assumed = of_torch is not TorchAttention and (of_torch is TorchPacked) != (of_jax is PackedAttention)
    assert len(weights.listed) == assumed


class Recurrent(nnx.Module):
    """A cell over a sequence; with both biases where `twice`."""

    def __init__(self, cell: type[Any], rngs: nnx.Rngs, *, twice: bool) -> None:
        made = cell(3, 4, dtype=jnp.float64, rngs=rngs, **F64)
        for name, inputs in (("dense_i", 3), ("dense_h", 4)):
            if twice and hasattr(made, name):
                setattr(made, name, nnx.Linear(inputs, getattr(made, name).kernel.shape[1], rngs=rngs, **F64))
        for name in ("ii", "if_", "ig", "io"):
            if twice and hasattr(made, name):
                setattr(made, name, nnx.Linear(3, 4, rngs=rngs, **F64))
        self.rnn = nnx.RNN(made)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found: jax.Array = self.rnn(inputs, initial_carry=begun(self.rnn, inputs))
        return found


def begun(rnn: Any, inputs: jax.Array) -> Any:
    return rnn.cell.initialize_carry((inputs.shape[0], inputs.shape[-1]), rngs=nnx.Rngs(0))


def first_of(layer: nn.Module) -> Any:
    return lambda inputs: layer(inputs)[0]


CELLS = {
    "LSTM": (nn.LSTM, nnx.LSTMCell), "optimized LSTM": (nn.LSTM, nnx.OptimizedLSTMCell),
    "GRU": (nn.GRU, nnx.GRUCell), "RNN": (nn.RNN, nnx.SimpleCell),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("twice", [True, False], ids=["both biases", "one left out"])
def test_recurrent_layers_with_all_biases_or_with_one_left_out(name: str, twice: bool) -> None:
    of_torch, cell = CELLS[name]
    model, twin = of_torch(3, 4, batch_first=True), shaped(partial(Recurrent, cell, twice=twice))
    arrays = drawn(model)
    if not twice:
        arrays["bias_hh_l0"][:] = 0
        with torch.no_grad():
            model.bias_hh_l0.zero_()
    weights = mapped(model, twin, {} if twice else {"bias_hh_l0": "left out"})
    leaves = carried(weights, arrays)
    inputs = np.random.default_rng(1).normal(size=(2, 5, 3))
    assert outputs_agree(first_of(model), filled(twin, leaves), inputs)
    assert weights.layers == {"rnn": Layer("", False)}


@pytest.mark.parametrize("name", CELLS)
def test_two_biases_beside_one_are_refused_with_what_to_do(name: str) -> None:
    of_torch, cell = CELLS[name]
    twin = shaped(partial(Recurrent, cell, twice=False))
    with pytest.raises(NotCheckable, match=r'no one-to-one map; give .* override "bias_hh_l0": "left out"'):
        mapped(of_torch(3, 4), twin)
    with pytest.raises(NotCheckable, match="make it with bias=True"):
        mapped(of_torch(3, 4, bias=False), twin)


def test_the_bias_inside_a_gru_s_reset_gate_is_not_the_one_outside() -> None:
    with pytest.raises(NotCheckable, match=r"has biases for hidden and rnn\.cell for input"):
        mapped(nn.GRU(3, 4), shaped(partial(Recurrent, nnx.GRUCell, twice=False)), {"bias_ih_l0": "left out"})


def test_a_left_out_bias_must_stay_zero() -> None:
    model = nn.LSTM(3, 4)
    weights = mapped(model, shaped(partial(Recurrent, nnx.LSTMCell, twice=False)), {"bias_hh_l0": "left out"})
    with pytest.raises(NotCheckable, match="bias_hh_l0 is left out of the weight map and must stay zero"):
        weights.to_jax(drawn(model))


class Stack(nnx.Module):
    """Two directions of a cell, and then a layer."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.rnn = nnx.Bidirectional(*(Recurrent(nnx.OptimizedLSTMCell, rngs, twice=True).rnn for _ in range(2)))
        self.head = nnx.Linear(8, 2, rngs=rngs, **F64)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        carries = begun(self.rnn.forward_rnn, inputs), begun(self.rnn.backward_rnn, inputs)
        both: Any = self.rnn(inputs, initial_carry=carries)
        return self.head(both)


class TorchStack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, bidirectional=True, batch_first=True), nn.Linear(8, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.lstm(inputs)[0])
        return found


def test_the_cells_of_one_recurrent_layer_stand_in_order() -> None:
    model, twin = TorchStack(), shaped(Stack)
    weights = mapped(model, twin)
    leaves = carried(weights, drawn(model))
    assert outputs_agree(model, filled(twin, leaves), np.random.default_rng(1).normal(size=(2, 5, 3)))
    assert weights.layers == {"head": Layer("head", False)}


def test_an_embedding_is_as_it_is() -> None:
    model, twin = nn.Embedding(5, 5), shaped(lambda rngs: nnx.Embed(5, 5, rngs=rngs, **F64))
    arrays = drawn(model)
    assert carried(mapped(model, twin), arrays)["embedding"].tobytes() == arrays["weight"].tobytes()


def test_a_transposed_convolution_in_groups_has_no_twin_in_flax() -> None:
    twin = shaped(lambda rngs: nnx.ConvTranspose(4, 4, (3,), rngs=rngs, **F64))
    with pytest.raises(NotCheckable, match="no JAX leaf for weight"):
        mapped(nn.ConvTranspose1d(4, 4, 3, groups=2), twin)


IMAGES_AND_KERNELS = {
    "a learned constant": ((1, 5, 4, 4), (1, 4, 4, 5), "permute 0 2 3 1"),
    "one without examples": ((5, 4, 3), (4, 3, 5), "permute 1 2 0"),
    "a kernel of a modulated convolution": ((6, 5, 3, 3), (3, 3, 5, 6), "permute 2 3 1 0"),
    "one over time": ((6, 5, 3), (3, 5, 6), "permute 2 1 0"),
    "left as it is": ((6, 5, 3, 3), (6, 5, 3, 3), ""),
    "one of two": ((5, 4, 4), (4, 4, 5), '"const: permute 2 1 0" or "const": "const: permute 1 2 0"'),
    "of an order that nobody has": ((6, 5, 3, 3), (5, 3, 3, 6), "no JAX leaf for const"),
}


@pytest.mark.parametrize("name", IMAGES_AND_KERNELS)
def test_an_image_or_a_kernel_of_the_users_own_has_its_channels_last(name: str) -> None:
    of_torch, of_jax, says = IMAGES_AND_KERNELS[name]
    sides = made.torch({"": made.own(const=of_torch)}), made.jax({"": made.own(const=of_jax)})
    if says and not says.startswith("permute"):
        with pytest.raises(NotCheckable, match=says):
            find(*sides)
        return
    assert " ".join(map(str, find(*sides).entries[0].steps)) == says
    if says:  # what has another name may be anything
        with pytest.raises(NotCheckable, match="no JAX leaf for const"):
            find(sides[0], made.jax({"": made.own(style=of_jax)}))
