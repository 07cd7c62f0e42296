"""Code in float32 answers a small move in steps, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.where.casts import ENOUGH, casts, hint, stepping, told
from parity.recording import Array, Arrays

WEIGHT = np.random.default_rng(3).standard_normal((12, 12))
Layer = Callable[[Array], Array]


def narrow(layer: Layer) -> Layer:
    """The layer in float32."""
    return lambda x: layer(x.astype(np.float32)).astype(x.dtype)


def rms(x: Array) -> Array:
    return np.asarray(x / np.sqrt(np.mean(x**2, -1, keepdims=True) + 1e-6))


def softmax(x: Array) -> Array:
    powers = np.exp(x - np.max(x, -1, keepdims=True))
    return np.asarray(powers / np.sum(powers, -1, keepdims=True))


def attention(probabilities: Layer) -> Layer:
    """Only the probabilities in another dtype: what they weigh takes another way."""
    return lambda x: probabilities(x @ x.T / x.shape[-1]) @ x


def answers(layer: Layer, seed: int = 0, count: int = 8) -> bool:
    """Whether a layer is seen to compute in float32."""
    x = np.random.default_rng(seed).standard_normal((count, 12))
    return "layer.output" in stepping(lambda given: {"layer.output": layer(given["layer.input"])}, {"layer.input": x})


CASTS: dict[str, Layer] = {
    "what goes in": lambda x: rms(x.astype(np.float32).astype(np.float64)),
    "what comes out": lambda x: (x @ WEIGHT).astype(np.float32).astype(np.float64),
    "all of it": narrow(rms),
    "all, and a weight behind it": lambda x: WEIGHT[0] * narrow(rms)(x) + WEIGHT[1],
    "a product": narrow(lambda x: x @ WEIGHT.astype(x.dtype)),
    "a softmax, beside what it weighs": attention(narrow(softmax)),
    "what is added to the rest": lambda x: x + narrow(rms)(x),
}
SMOOTH: dict[str, Layer] = {
    "a norm": rms,
    "a norm of what is nearly constant": lambda x: rms((1000 + 1e-3 * x) - 1000),
    "a softmax of large numbers": lambda x: softmax(30 * x),
    "attention": attention(softmax),
    "a power": lambda x: x**9,
    "ReLU": lambda x: np.maximum(x @ WEIGHT, 0),
    "the largest": lambda x: np.max(x @ WEIGHT, -1, keepdims=True) + 0 * x,
    "whole numbers": lambda x: np.round(100 * x),
    "signs": np.sign,
    "one hot": lambda x: np.eye(12)[np.argmax(x, -1)],
    "a mask": lambda x: x * (np.arange(12) % 3 > 0),
    "nothing": np.zeros_like,
    "a constant": lambda x: WEIGHT[:8].astype(np.float32).astype(np.float64),
    "no number": lambda x: x * np.nan,
    "bfloat16, which is another matter": lambda x: x.astype(np.float32).view(np.int32).astype(np.float64) // 65536,
}


@pytest.mark.parametrize("cast", CASTS)
def test_a_cast_is_seen(cast: str) -> None:
    assert all(answers(CASTS[cast], seed) for seed in range(20))


@given(st.integers(0, 2**31))
@pytest.mark.parametrize("layer", SMOOTH)
def test_what_is_in_float64_is_not_taken_for_a_cast(layer: str, seed: int) -> None:
    assert not answers(SMOOTH[layer], seed)


def test_a_few_numbers_do_not_tell() -> None:
    assert not answers(narrow(lambda x: x[:, : ENOUGH - 1]), count=1)


def test_each_place_is_told_with_the_sides_that_it_is_in_float32_on() -> None:
    def side(*narrowed: str) -> Callable[[Arrays], Arrays]:
        def taught(given: Arrays) -> Arrays:
            x = given["a.input"]
            return {name: (narrow(rms) if name in narrowed else rms)(x) for name in ("a.output", "b.input", "b.output")}

        return taught

    order = {name: np.ones((8, 12)) for name in ("a.output", "b.input", "b.output")}
    order["a.input"] = np.random.default_rng(0).standard_normal((8, 12))
    found = casts({"torch": side("b.output", "a.output"), "jax": side("a.output", "b.input")}, order)
    assert list(found.items()) == [("a.output", ("torch", "jax")), ("b.input", ("jax",)), ("b.output", ("torch",))]
    assert told(found, dict(zip(order, ("in layer a", "between a and b", "in layer b", ""), strict=True))) == [
        "computed in float32 on both sides: in layer a",
        "computed in float32 on the jax side: between a and b",
        "computed in float32 on the torch side: in layer b",
    ]


def test_a_hint_says_where_on_which_sides_how_it_shows_and_what_to_do() -> None:
    said = hint("in layer a", ("torch", "jax"))
    assert said.startswith("in layer a something is computed in float32 on both sides: moved by 6e-08 of itself")
    assert "float32_inside" in said


# Beside a mask


def masked(layer: Layer) -> Layer:
    """The layer with -1e9 for some of what it gives."""
    return lambda x: np.where(np.arange(12) < 3, -1e9, layer(x))


def test_a_mask_hides_no_cast_beside_it_and_is_none() -> None:
    assert answers(masked(CASTS["a product"]))
    assert not answers(masked(lambda x: x @ WEIGHT))


def test_the_lowest_number_is_not_moved_to_infinity() -> None:
    seen: list[Array] = []

    def layer(given: Arrays) -> Arrays:
        seen.append(given["layer.input"])
        return {}

    stepping(layer, {"layer.input": np.array([np.finfo(np.float64).min, 1.0])})
    assert np.isfinite(seen).all()
    assert len({array[1] for array in seen}) == 3
