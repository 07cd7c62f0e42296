"""A map that a pair gives is used as it stands where it fits, and refused by name where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parity import WeightMap, check
from parity.errors import NotCheckable
from parity.sides.live import live_side
from parity.weight_map.find import find
from parity.weight_map.given import fitting
from parity.weight_map.outline import Outline
from parity_tests.parity.judging.test_check_modules import pair
from parity_tests.parity.weight_map.made_outlines import batch_norm, jax_batch_norm, jax_linear, linear, made

TORCH = made("torch", {"fc": linear(4, 4), "norm": batch_norm(4)})
JAX = made("jax", {"fc": jax_linear(4, 4), "norm": jax_batch_norm(4)})


def changed(weights: WeightMap, **fields: Mapping[str, Any]) -> WeightMap:
    """The map, of each field the entries of these torch names given others."""
    entries = (
        entry._replace(**{field: of[entry.torch.name] for field, of in fields.items() if entry.torch.name in of})
        for entry in weights.entries
    )
    return replace(weights, entries=tuple(entries))


def test_the_map_of_the_same_models_is_taken_as_it_stands() -> None:
    found = find(TORCH, JAX)
    assert fitting(found, TORCH, JAX) is found
    square = changed(found, steps={"fc.weight": ()})
    assert fitting(square, TORCH, JAX) is square


@pytest.mark.parametrize(
    ("torch", "jax", "words"),
    [
        (made("torch", {"fc": linear(4, 4)}), JAX, r"torch has no norm\.weight, norm\.bias, norm\.running_mean"),
        (TORCH, made("jax", {"fc": jax_linear(4, 4)}), r"jax has no norm\.scale"),
        (made("torch", {"fc": linear(4, 4), "norm": batch_norm(4), "more": linear(1, 1)}), JAX,
         r"lacks more\.weight, more\.bias of torch"),
        (TORCH, made("jax", {"fc": jax_linear(4, 4), "norm": jax_batch_norm(4), "more": jax_linear(1, 1)}),
         r"lacks more\.kernel, more\.bias of jax"),
        (made("torch", {"fc": linear(3, 4), "norm": batch_norm(4)}), JAX,
         r"fc\.weight of torch has shape \[4, 3\], and in the map \[4, 4\]"),
    ],
)  # fmt: skip
def test_the_map_of_other_models_is_refused_with_what_does_not_fit(torch: Outline, jax: Outline, words: str) -> None:
    with pytest.raises(NotCheckable, match=words):
        fitting(find(TORCH, JAX), torch, jax)


def test_a_buffer_is_no_parameter() -> None:
    wrong = changed(find(TORCH, JAX), buffer={"norm.running_mean": False})
    with pytest.raises(NotCheckable, match=r"norm\.running_mean of torch is a buffer, and in the map not"):
        fitting(wrong, TORCH, JAX)


def test_a_pair_takes_a_saved_map_and_a_wrong_one_is_caught(tmp_path: Path) -> None:
    weights = live_side(pair().jax, "jax", "float32", "cpu").weight_map
    assert weights is not None
    weights.save(tmp_path / "small.map.json")
    given = WeightMap.load(tmp_path / "small.map.json")
    assert check(pair(weight_map=given), dtypes=("float64",)).outcome == "agree"
    # The planted mistake: two biases of one size, each taken for the other.
    inner, norm = (next(e.jax for e in given.entries if e.torch.name == name) for name in ("inner.bias", "norm.bias"))
    crossed = changed(given, jax={"inner.bias": norm, "norm.bias": inner})
    verdict = check(pair(weight_map=crossed), dtypes=("float64",))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key.stage == "forward"
    unfit = replace(given, entries=given.entries[1:])
    with pytest.raises(NotCheckable, match=r"does not fit its models: it lacks inner\.weight of torch"):
        check(pair(weight_map=unfit))
