"""What is trained on one side only is named where no map can be found."""

from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.other_kind import of_other_kind
from parity.weight_map.outline import STILL, Outline
from parity_tests.parity.weight_map.made_outlines import Layer, jax, jax_linear, linear, torch

TRAINED: Layer = ("", {"scale": (5,)}, {}, {})
KEPT: Layer = ("", {}, {"scale": (5,)}, {})
OTHER: Layer = ("", {}, {"scale": (4,)}, {})


def models(of_torch: Layer, of_jax: Layer) -> tuple[Outline, Outline]:
    return torch({"m": of_torch, "fc": linear(4, 5)}), jax({"m": of_jax, "fc": jax_linear(4, 5)})


@pytest.mark.parametrize(
    ("of_torch", "of_jax", "line"),
    [
        (KEPT, TRAINED, "torch holds m.scale as a buffer, the jax side trains m.scale"),
        (TRAINED, KEPT, "the jax side holds m.scale as a buffer, torch trains m.scale"),
    ],
)
def test_it_is_said_which_side_trains(of_torch: Layer, of_jax: Layer, line: str) -> None:
    with pytest.raises(NotCheckable, match=line):
        find(*models(of_torch, of_jax))


def test_nothing_is_said_of_another_shape_or_of_what_has_its_counterpart() -> None:
    assert of_other_kind(*models(OTHER, TRAINED), {"m.scale"}) == []
    assert of_other_kind(*models(KEPT, TRAINED), {"fc.weight"}) == []


def test_what_torch_asks_no_gradient_of_has_to_stand_somewhere() -> None:
    """Another buffer may stand on one side alone. That of a layer trained on the other side is no buffer of another."""
    still: Layer = ("", {}, {"scale": (5,)}, {STILL: ["scale"]})
    with pytest.raises(NotCheckable, match=r"no JAX leaf for m\.scale \[5\]; .*requires_grad off of m\.scale"):
        find(*models(still, OTHER))
    with pytest.raises(NotCheckable) as told:
        find(*models(still, TRAINED))
    assert "write the override" not in str(told.value)
    assert "torch holds" not in str(told.value)
