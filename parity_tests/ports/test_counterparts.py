"""The counterparts do what torch's layers do, in float64 down to rounding; what stock Flax does instead is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F
from flax import nnx
from torch import nn

from parity_tests.ports.counterparts import GRU, LSTM, AvgPool, BatchNorm, Embed, MaxPool, dot_product_attention

# Measured: at most 2e-15.
LIMIT = 1e-13

Array = np.ndarray[Any, Any]
Paths = Mapping[str, str]
"""Torch name to path on the JAX side."""
NORM: Paths = {"weight": "scale", "bias": "bias"}
STATISTICS: Paths = {"running_mean": "mean", "running_var": "var"}
CELL: Paths = {
    "weight_ih_l0": "dense_i.kernel", "bias_ih_l0": "dense_i.bias",
    "weight_hh_l0": "dense_h.kernel", "bias_hh_l0": "dense_h.bias",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def difference(one: object, other: object) -> float:
    left, right = np.asarray(one), np.asarray(other)
    assert left.shape == right.shape
    assert left.dtype == right.dtype == np.float64
    return float(np.abs(left - right).max() / np.abs(left).max())


def channels_last(array: Array) -> Array:
    return np.moveaxis(array, 1, -1)


def variable(model: nnx.Module, path: str) -> Any:
    found: Any = model
    for name in path.split("."):
        found = getattr(found, name)
    return found


def same_parameters(torch_layer: nn.Module, jax_layer: nnx.Module, paths: Paths) -> None:
    """Random parameters and statistics for both; variances are positive."""
    for seed, (name, path) in enumerate(paths.items()):
        tensor = torch_layer.state_dict()[name]
        array = drawn(*tensor.shape, seed=seed + 100)
        tensor.copy_(torch.from_numpy(np.abs(array) + 0.1 if name == "running_var" else array))
        variable(jax_layer, path).set_value(jnp.asarray(tensor.numpy().T))


def forward_and_gradients(
    torch_layer: nn.Module, jax_layer: nnx.Module, x: Array, paths: Paths, laid_out: Callable[[Array], Array]
) -> dict[str, tuple[Array, Array]]:
    """The output, and the gradients at the input and at the parameters, of torch and of JAX."""
    given = torch.from_numpy(x).requires_grad_()
    output = torch_layer(given)
    output = output[0] if isinstance(output, tuple) else output
    cotangent = drawn(*output.shape, seed=99)
    torch_layer.zero_grad()
    output.backward(torch.from_numpy(cotangent))

    graph, parameters, *state = nnx.split(jax_layer, nnx.Param, ...)

    def run(parameters: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        layer: Any = nnx.merge(graph, parameters, *state, copy=True)
        found = layer(x)
        return (found[0] if isinstance(found, tuple) else found), nnx.state(layer, nnx.BatchStat)

    @jax.jit
    def differentiated(x: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, Any, Any]:
        found, pullback, after = jax.vjp(run, parameters, x, has_aux=True)
        return found, pullback(cotangent), after

    found, (gradients, at_input), after = differentiated(*(jnp.asarray(laid_out(array)) for array in (x, cotangent)))
    nnx.update(jax_layer, after)
    assert given.grad is not None
    both = {"output": (laid_out(output.detach().numpy()), np.asarray(found))}
    both["input"] = laid_out(given.grad.numpy()), np.asarray(at_input)
    trained = dict(torch_layer.named_parameters())
    for name, path in paths.items():
        gradient = trained[name].grad
        assert gradient is not None
        both[path] = gradient.numpy().T, np.asarray(variable(gradients, path)[...])
    return both


def largest(both: Mapping[str, tuple[Array, Array]]) -> float:
    return max(difference(*pair) for pair in both.values())


# Batch norm


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (nn.BatchNorm1d, (3, 5)),
        (nn.BatchNorm1d, (4, 2, 7)),
        (nn.BatchNorm2d, (1, 5, 4, 3)),
        (nn.BatchNorm2d, (2, 6, 5, 5)),
        (nn.BatchNorm3d, (2, 3, 2, 3, 4)),
    ],
)
def test_batch_norm_and_its_statistics(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    left, right = kind(shape[1], dtype=torch.float64), BatchNorm(shape[1], rngs=nnx.Rngs(0))
    same_parameters(left, right, {**NORM, **STATISTICS})
    for step in range(3):
        x = 3 + drawn(*shape, seed=step)
        assert largest(forward_and_gradients(left, right, x, NORM, channels_last)) < LIMIT
        assert statistics_differ(left, right) < LIMIT
    left.eval()
    right.eval()  # type: ignore[no-untyped-call]
    assert largest(forward_and_gradients(left, right, x, NORM, channels_last)) < LIMIT
    assert statistics_differ(left, right) < LIMIT


def statistics_differ(left: nn.Module, right: nnx.Module) -> float:
    return max(difference(left.state_dict()[name], variable(right, path)[...]) for name, path in STATISTICS.items())


def test_the_running_variance_of_stock_flax_is_another() -> None:
    left, right = nn.BatchNorm1d(5, dtype=torch.float64), nnx.BatchNorm(5, momentum=0.9, rngs=nnx.Rngs(0))
    for path in STATISTICS.values():
        variable(right, path).set_value(variable(right, path)[...].astype(float))
    x = drawn(64, 5)
    left(torch.from_numpy(x)), right(jnp.asarray(x))
    assert difference(left.get_buffer("running_mean"), right.mean[...]) < LIMIT
    assert difference(left.get_buffer("running_var"), right.var[...]) == pytest.approx(2e-3, rel=0.2)


def test_the_variance_of_stock_flax_cancels() -> None:
    x = 10 + drawn(64, 5)
    exact = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    def off(norm: nnx.BatchNorm) -> float:
        return float(np.abs(np.asarray(norm(jnp.asarray(x, jnp.float32))) - exact).max())

    assert 1e-5 < off(nnx.BatchNorm(5, rngs=nnx.Rngs(0))) < 1e-4
    assert off(BatchNorm(5, rngs=nnx.Rngs(0))) < 5e-6


def test_one_value_has_no_unbiased_variance() -> None:
    norm = BatchNorm(3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected more of them in training"):
        norm(jnp.ones((1, 3)))
    norm.eval()  # type: ignore[no-untyped-call]
    assert norm(jnp.ones((1, 3))).shape == (1, 3)


# Embedding


def test_an_embedding_and_its_padding_index() -> None:
    left, right = nn.Embedding(7, 5, padding_idx=2, dtype=torch.float64), Embed(7, 5, padding_idx=2, rngs=nnx.Rngs(0))
    weight, tokens = drawn(7, 5), np.array([[2, 1, 1, 6], [0, 2, 5, 5]])
    left.weight.data.copy_(torch.from_numpy(weight))
    right.embedding.set_value(jnp.asarray(weight))
    output = left(torch.from_numpy(tokens))
    output.square().sum().backward()

    def summed(model: Embed) -> jax.Array:
        return jnp.sum(model(jnp.asarray(tokens)) ** 2)

    assert difference(output.detach(), right(jnp.asarray(tokens))) == 0
    gradient = jax.grad(summed)(right).embedding[...]
    assert left.weight.grad is not None
    assert difference(left.weight.grad, gradient) < LIMIT
    assert not gradient[2].any()
    right.padding_idx = None
    assert jax.grad(summed)(right).embedding[...][2].any()


def test_an_embedding_of_stock_flax_stays_in_the_dtype_in_which_it_was_made() -> None:
    weight = drawn(7, 5)
    for kind, dtype in ((nnx.Embed, jnp.float32), (Embed, jnp.float64)):
        embed = kind(7, 5, rngs=nnx.Rngs(0))
        embed.embedding.set_value(jnp.asarray(weight))
        assert embed(jnp.arange(7)).dtype == dtype


# Attention


@pytest.mark.parametrize("length", [4, 7])
@pytest.mark.parametrize("masked", ["nothing", "causal", "some"])
def test_attention_and_its_masks(length: int, masked: str) -> None:
    query, key, value = (drawn(3, length, 2, 5, seed=seed) for seed in range(3))
    mask = np.random.default_rng(0).random((3, 1, length, length)) < 0.7
    mask |= np.eye(length, dtype=bool)
    as_torch: Any = {"causal": {"is_causal": True}, "some": {"attn_mask": torch.from_numpy(mask)}}.get(masked, {})
    as_flax: Any = {"causal": {"is_causal": True}, "some": {"mask": jnp.asarray(mask)}}.get(masked, {})
    heads_first: Any = (torch.from_numpy(array).transpose(1, 2) for array in (query, key, value))
    left = F.scaled_dot_product_attention(*heads_first, **as_torch).transpose(1, 2)
    given: Any = [jnp.asarray(array) for array in (query, key, value)]
    assert difference(left, dot_product_attention(*given, **as_flax)) < LIMIT
    assert 1e-9 < difference(left, nnx.dot_product_attention(*given, **as_flax)) < 1e-6


# Pooling

POOLS = [
    (2, 2, 0, False, (8, 7)), (2, 2, 0, True, (8, 7)), (3, 2, 1, False, (8, 7)), (3, 2, 1, True, (8, 7)),
    (3, 3, 1, True, (5, 6)), (2, 3, 1, True, (5, 6)), (3, 2, 1, True, (7,)), (3, 2, 1, True, (5, 6, 4)),
]  # fmt: skip
AVERAGES = {"averages": {"count_include_pad": True}, "averages of the input": {"count_include_pad": False}}


@pytest.mark.parametrize(("window", "stride", "padding", "ceil_mode", "sizes"), POOLS)
@pytest.mark.parametrize("what", ["maxima", *AVERAGES])
def test_pooling(what: str, window: int, stride: int, padding: int, ceil_mode: bool, sizes: tuple[int, ...]) -> None:
    name = f"{'MaxPool' if what == 'maxima' else 'AvgPool'}{len(sizes)}d"
    counterpart: Any = MaxPool if what == "maxima" else AvgPool
    options = {"ceil_mode": ceil_mode, **AVERAGES.get(what, {})}
    left = getattr(nn, name)(window, stride, padding, **options)
    right = counterpart((window,) * len(sizes), stride, padding, **options)
    assert largest(forward_and_gradients(left, right, drawn(2, 3, *sizes), {}, channels_last)) < LIMIT


def test_equal_maxima_give_the_gradient_to_the_same_one() -> None:
    x = np.round(drawn(2, 3, 8, 7))
    left, right = nn.MaxPool2d(3, 2, 1), MaxPool((3, 3), 2, 1)
    assert largest(forward_and_gradients(left, right, x, {}, channels_last)) == 0


def test_same_padding_makes_other_windows() -> None:
    x = drawn(1, 8, 8, 1)
    theirs = partial(nnx.max_pool, window_shape=(3, 3), strides=(2, 2))
    ours = MaxPool((3, 3), 2, 1)(jnp.asarray(x))
    assert difference(ours, theirs(x, padding=((1, 1), (1, 1)))) == 0
    assert difference(ours, theirs(x, padding="SAME")) > 0.1


def test_stock_averages_divide_by_all_of_a_window_that_hangs_over() -> None:
    x = drawn(1, 7, 1)
    stock: Any = nnx.avg_pool
    hanging = AvgPool((2,), 2, ceil_mode=True)(jnp.asarray(x))
    assert difference(hanging[0, -1], x[0, -1]) == 0
    assert difference(stock(jnp.asarray(x), (2,), (2,), padding=((0, 1),))[0, -1], x[0, -1] / 2) == 0


# Recurrent layers


@pytest.mark.parametrize(("kind", "counterpart"), [(nn.LSTM, LSTM), (nn.GRU, GRU)])
@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 7, 5)])
def test_recurrent_layers(
    kind: type[nn.LSTM] | type[nn.GRU], counterpart: type[LSTM] | type[GRU], shape: tuple[int, ...]
) -> None:
    left = kind(shape[-1], 4, batch_first=True, dtype=torch.float64)
    right = counterpart(shape[-1], 4, rngs=nnx.Rngs(0))
    same_parameters(left, right, CELL)
    x = drawn(*shape)
    assert largest(forward_and_gradients(left, right, x, CELL, np.asarray)) < LIMIT
    _, last = left(torch.from_numpy(x))
    _, found = right(jnp.asarray(x))
    pairs = zip(jax.tree.leaves(found), last if isinstance(last, tuple) else (last,), strict=True)
    assert max(difference(torch_last[0].detach(), jax_last) for jax_last, torch_last in pairs) < LIMIT


def test_the_cells_of_stock_flax_have_one_bias() -> None:
    cells: list[Any] = [cell(3, 4, rngs=nnx.Rngs(0)) for cell in (nnx.OptimizedLSTMCell, nnx.GRUCell)]
    assert [cell.dense_i.bias is None for cell in cells] == [True, False]
    assert [cell.dense_h.bias is None for cell in cells] == [False, True]


def test_one_bias_goes_half_as_far_under_adam() -> None:
    def moved(biases: int) -> jax.Array:
        start, adam = jnp.zeros(biases), optax.adam(0.1)
        updates, _ = adam.update(jax.grad(lambda bias: jnp.sum(3 * bias))(start), adam.init(start))
        return jnp.sum(updates)

    assert moved(2) == 2 * moved(1) != 0


def test_the_loop_of_stock_flax_stops_where_the_parameters_are_float64() -> None:
    loop = nnx.RNN(nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0)))
    nnx.update(loop, jax.tree.map(lambda leaf: leaf.astype(float), nnx.state(loop, nnx.Param)))
    with pytest.raises(TypeError, match="float32"):
        loop(jnp.ones((2, 5, 3)))
