"""Where layers stand on the torch side."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from parity.jax_side.models.places import apart, places_of, unmatched
from parity.jax_side.place import Features, Place, as_it_comes, as_torch_has_it
from parity.weight_map.find import find
from parity.weight_map.outline import Module, Outline
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.weight_map.made_outlines import Layer, jax, torch

TORCH = Outline(
    "torch",
    (
        Module("", "Net", {}, {}, {}),
        Module("conv", "Conv2d", {"weight": (2, 1, 3, 3), "bias": (2,)}, {"steps": ()}, {}),
        Module("fc", "Linear", {"weight": (5, 12), "bias": (5,)}, {}, {}),
    ),
    {},
)
JAX = Outline(
    "jax",
    (
        Module("", "", {}, {}, {}),
        Module("conv", "", {"kernel": (3, 3, 1, 2), "bias": (2,)}, {}, {}),
        Module("fc", "", {"kernel": (12, 5), "bias": (5,)}, {}, {}),
    ),
    {},
)


def mapped(words: str) -> WeightMap:
    return find(TORCH, JAX, {"fc.weight": f"fc.kernel: {words}"})


def test_a_convolution_has_its_channels_elsewhere_and_what_it_is_flattened_to_another_order() -> None:
    places = places_of(mapped("flatten 2 2 3"))
    assert (places["conv"].name, places["conv"].channels, places["fc"].channels) == ("conv", True, False)
    here = np.arange(12).reshape(2, 3, 2)
    assert places["fc"].takes.order is not None
    np.testing.assert_array_equal(here.ravel()[places["fc"].takes.order], here.transpose(2, 0, 1).ravel())


def test_features_in_the_same_order_need_none() -> None:
    assert places_of(mapped("transpose"))["fc"].takes.order is None


@pytest.mark.parametrize(
    ("shape", "takes", "gives"),
    [((12, 2, 4), (), (2, 4)), ((3, 4, 8), (3, 4), ()), ((3, 4, 2, 4), (3, 4), (2, 4)), ((1, 1, 12, 8), (), ())],
)
def test_features_may_stand_on_several_axes(
    shape: tuple[int, ...], takes: tuple[int, ...], gives: tuple[int, ...]
) -> None:
    of_torch: Layer = ("Linear", {"weight": (8, 12)}, {}, {})
    of_jax: Layer = ("LinearGeneral", {"kernel": shape}, {}, {})
    place = places_of(find(torch({"fc": of_torch}), jax({"fc": of_jax})))["fc"]
    assert place == Place("fc", False, Features(None, takes), Features(None, gives))
    given = np.arange(2 * 12.0).reshape(2, *(takes or (12,)))
    seen = as_torch_has_it(jnp.asarray(given), place, place.takes)
    assert seen.shape == (2, 12)
    np.testing.assert_array_equal(as_it_comes(seen, place, place.takes), given)


def test_layers_that_no_place_stands_for_and_arrays_without_a_twin_are_told() -> None:
    places = places_of(mapped("transpose"))
    assert unmatched(TORCH, places) == frozenset()
    assert unmatched(TORCH, {"fc": places["fc"]}) == {"conv"}
    assert apart(mapped("transpose")) == {"conv.steps"}


def test_a_layer_that_owns_only_buffers_is_one_too() -> None:
    norm = Module("norm", "BatchNorm1d", {}, {"running_mean": (3,)}, {})
    assert unmatched(Outline("torch", (*TORCH.modules, norm), {}), places_of(mapped("transpose"))) == {"norm"}
