"""Which parameters the patterns of a pair mean."""

from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.pair.frozen import declaration_of, frozen_of
from parity.weight_map.outline import Module, Outline

SHAPES = {"weight": (2, 2), "bias": (2,)}
OUTLINE = Outline(
    "torch",
    (
        Module("", "Net", {}, {}, {}),
        Module("embed", "Embedding", {"weight": (2, 2)}, {}, {}),
        Module("stem", "Sequential", {}, {}, {}),
        Module("stem.norm", "BatchNorm1d", SHAPES, {"running_mean": (2,)}, {}),
        Module("head", "Linear", SHAPES, {}, {}),
    ),
    {"head.weight": "embed.weight"},
)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), ()),
        (("stem.norm.bias",), ("stem.norm.bias",)),
        (("stem.*", "*.bias"), ("stem.norm.weight", "stem.norm.bias", "head.bias")),
        (("head.*",), ("embed.weight", "head.bias")),
    ],
)
def test_a_pattern_means_parameters_and_a_tied_one_by_its_first_name(
    patterns: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert frozen_of(patterns, OUTLINE) == set(expected)


@pytest.mark.parametrize("pattern", ["steam.*", "embed", "stem.norm.running_mean", "EMBED.*", ""])
def test_a_pattern_that_means_no_parameter_is_told_by_its_name(pattern: str) -> None:
    words = f"frozen: '{pattern}' is no parameter of the torch side's model: it has embed.weight, .* and 2 more; "
    with pytest.raises(NotCheckable, match=words.replace("*", r"\*", pattern.count("*"))):
        frozen_of(("head.bias", pattern), OUTLINE)


def test_something_must_be_left_to_train() -> None:
    with pytest.raises(NotCheckable, match="frozen: every parameter is, so that nothing would be trained"):
        frozen_of(("embed.*", "stem.*", "head.bias"), OUTLINE)


# How what stands still is offered to be declared frozen

ALL = ("old.0.weight", "old.0.bias", "old.1.weight", "fc.weight", "fc.bias", "scale")


@pytest.mark.parametrize(
    ("still", "declared"),
    [
        (("old.0.weight", "old.0.bias", "old.1.weight"), '("old.*",)'),
        (("old.0.weight", "old.0.bias"), '("old.0.*",)'),
        (("fc.weight", "scale"), '("fc.weight", "scale")'),
        (("old.1.weight",), '("old.1.weight",)'),
    ],
)
def test_a_module_that_stands_still_is_named_as_a_whole(still: tuple[str, ...], declared: str) -> None:
    assert declaration_of(still, ALL) == f"; if no step is to move them, declare that in the pair: frozen={declared}"


def test_not_everything_can_be_frozen() -> None:
    assert declaration_of(ALL, ALL) == ""
