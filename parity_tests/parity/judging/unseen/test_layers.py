"""What only one side can show of its layers."""

from __future__ import annotations

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.judging.unseen.layers import Unshown, unshown
from parity.recording import FRAMEWORKS, Array, Framework, Recording
from parity_tests.parity.made_verdicts import provenance

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def sides(torch: tuple[str, ...], jax: tuple[str, ...]) -> dict[Framework, Recording]:
    """Recordings whose forward stage has these tensors."""
    found: dict[Framework, Recording] = {}
    for framework, names in zip(FRAMEWORKS, (torch, jax), strict=True):
        recording = found[framework] = Recording(provenance(framework, "float64"))
        recording.add("init", 0, {"fc.weight": np.zeros(1), "bn.count": np.zeros(1)})
        recording.add("forward", 0, {name: np.zeros(1) for name in names})
    return found


BOTH = ("fc.input", "fc.output", "fc#2.input", "fc#2.output")


def test_where_both_show_the_same_there_is_nothing_to_say() -> None:
    assert unshown(sides(BOTH, BOTH), frozenset(), frozenset()) == Unshown()


def test_a_layer_without_a_twin_is_left_out_in_all_its_calls() -> None:
    found = unshown(sides((*BOTH, "attn.input", "attn#2.output1"), BOTH), frozenset({"attn"}), frozenset())
    assert found.tensors == {"attn.input", "attn#2.output1"}
    (line,) = found.listed
    assert line.startswith("layers of the torch side that no module of the jax side stands for, or one that is called ")
    assert line.endswith("inside a loop or jit, where `parity.tap` may show more: attn")


def test_layers_that_only_a_number_parts_are_told_as_one() -> None:
    unmatched = ["blocks.0.norm", "blocks.0.fc", "blocks.1.norm", "blocks.1.fc", "ends.1", "ends.3", "conv1", "conv2"]
    torch = tuple(f"{name}.output" for name in unmatched)
    found = unshown(sides((*BOTH, *torch), BOTH), frozenset(unmatched), frozenset())
    assert found.tensors == set(torch)
    names = found.listed[0].rpartition(": ")[2]
    assert names == "blocks.{0..1}.norm, blocks.{0..1}.fc, ends.1, ends.3, conv1, conv2"


def test_a_side_that_shows_no_layer_at_all_is_told() -> None:
    found = unshown(sides((*BOTH, "output"), ("output",)), frozenset({"fc"}), frozenset())
    assert found.tensors == set(BOTH)
    assert found.listed == (
        "layers were not seen on the jax side: of fc, only parameters and gradients are compared; "
        "`parity.tap` may show more",
    )


def test_of_a_layer_that_is_called_with_other_inputs_the_outputs_are_compared() -> None:
    found = unshown(sides((*BOTH, "fc.input1"), BOTH), frozenset(), frozenset())
    assert found.tensors == {"fc.input", "fc.input1", "fc#2.input"}
    assert found.listed == ("layer fc: called with other inputs on each side, only its outputs are compared",)


@pytest.mark.parametrize("missing", ["fc#2.output", "fc.output"])
def test_an_output_that_only_one_side_has_stays_a_difference(missing: str) -> None:
    assert missing not in unshown(sides(BOTH, tuple(n for n in BOTH if n != missing)), frozenset(), frozenset()).tensors


@pytest.mark.parametrize("calls", ["torch", "jax"])
def test_a_layer_that_one_side_never_calls_is_left_out_and_told(calls: Framework) -> None:
    other: Framework = "jax" if calls == "torch" else "torch"
    seen = {calls: ("a.input", "a.output", *BOTH), other: ("a.input", "a.output")}
    recordings = sides(seen["torch"], seen["jax"])
    found = unshown(recordings, frozenset(), frozenset())
    assert found.tensors == set(BOTH)
    assert found.listed == (
        f"layers that the {other} side never calls: of fc, only parameters and gradients are compared; `parity.tap` "
        "may show more",
    )


def test_a_layer_whose_only_arrays_stand_apart_may_be_called_on_one_side_only_too() -> None:
    found = unshown(sides((*BOTH, "rope.output"), BOTH), frozenset(), frozenset({"rope.table"}))
    assert found.tensors == {"rope.output"}


def test_a_layer_that_the_two_sides_do_not_both_hold_stays_a_difference() -> None:
    assert unshown(sides((*BOTH, "mine.output"), BOTH), frozenset(), frozenset()) == Unshown()


def test_what_one_side_holds_alone_takes_everything_named_after_it_along() -> None:
    recordings = sides(BOTH, BOTH)
    recordings["torch"].add("trajectory", 0, {"exp_avg.bn.count": np.zeros(1), "exp_avg.fc.weight": np.zeros(1)})
    found = unshown(recordings, frozenset(), frozenset({"bn.count"}))
    assert found.tensors == {"bn.count", "exp_avg.bn.count"}
    assert found.listed == ("held on the torch side only: bn.count",)


def test_what_ends_in_the_name_of_an_array_that_one_side_holds_alone_is_compared() -> None:
    recordings = sides(BOTH, BOTH)
    recordings["torch"].add("init", 0, {"weight": np.zeros(1), "input": np.zeros(1)})
    recordings["torch"].add("update", 0, {"fc.weight": np.zeros(1), "exp_avg.fc.weight": np.zeros(1)})
    recordings["torch"].add("trajectory", 0, {"gradient.fc.weight": np.zeros(1), "gradient.weight": np.zeros(1)})
    found = unshown(recordings, frozenset(), frozenset({"weight", "input"}))
    assert found.tensors == {"weight", "input", "gradient.weight"}


def test_an_array_of_one_side_alone_that_is_called_as_an_activation_is_refused() -> None:
    recordings = sides(BOTH, BOTH)
    recordings["torch"].add("init", 0, {"fc.input": np.zeros(1)})
    with pytest.raises(NotCheckable, match=r"fc\.input is held on the torch side only, and what a layer is given"):
        unshown(recordings, frozenset(), frozenset({"fc.input"}))


LAST, BEHIND = "layers whose channels come last on the jax side", "layers whose channels come behind the examples"
OTHER = "of another shape on each side, so that only what comes before and after it is compared: "


@pytest.mark.parametrize(
    ("torch", "jax", "told"),
    [
        ((2, 3, 4, 5), (2, 4, 5, 3), LAST),
        # It has them where torch has them, and those were not the last that were brought there.
        ((2, 3, 4, 5), (2, 5, 3, 4), BEHIND),
        # Examples and tokens are one axis.
        ((6, 5), (2, 3, 5), OTHER),
        ((2, 3, 5), (6, 5), OTHER),
        ((2, 3, 4, 5), (2, 5, 4, 3), OTHER),
        ((2, 3), (3, 2), OTHER),
        ((2, 3, 4, 5), (2, 3, 4, 5), ""),
    ],
)
def test_a_module_may_be_given_the_same_in_another_layout(
    torch: tuple[int, ...], jax: tuple[int, ...], told: str
) -> None:
    found = shaped(torch, jax, "block.input", "block.output")
    assert found.tensors == ({"block.input", "block.output"} if told else set())
    assert [line.startswith(told) for line in found.listed] == [True] * bool(told)


def shaped(torch: tuple[int, ...], jax: tuple[int, ...], *names: str) -> Unshown:
    recordings = sides(BOTH, BOTH)
    for framework, shape in zip(FRAMEWORKS, (torch, jax), strict=True):
        recordings[framework].add("forward", 0, {name: np.zeros(shape) for name in names})
    return unshown(recordings, frozenset(), frozenset())


IMAGES = np.arange(128.0).reshape(2, 4, 4, 4)


@pytest.mark.parametrize(
    ("jax", "told"),
    [
        (np.moveaxis(IMAGES, 1, -1) + 1e-13, LAST),
        (np.moveaxis(IMAGES, -1, 1) + 1e-13, BEHIND),
        # As they are, and otherwise than in any layout that a module of one's own may have.
        (IMAGES + 1e-13, ""),
        (IMAGES.swapaxes(1, 2), ""),
        (np.moveaxis(IMAGES, 1, -1) + 1e-3, ""),
    ],
)
def test_of_images_with_as_many_channels_as_pixels_the_numbers_tell_the_layout(jax: Array, told: str) -> None:
    recordings = sides(BOTH, BOTH)
    for framework, image in zip(FRAMEWORKS, (IMAGES, jax), strict=True):
        recordings[framework].add("forward", 0, {"block.input": image, "block.output": np.zeros((2, 4, 4, 4))})
    found = unshown(recordings, frozenset(), frozenset())
    assert found.tensors == ({"block.input", "block.output"} if told else set())
    assert [line.startswith(told) for line in found.listed] == ([True] if told else [])


def test_what_has_another_shape_on_each_side_is_told_and_not_compared() -> None:
    found = shaped((1, 5, 4), (3, 5, 4), "a.output", "blocks.0.table.output", "blocks.1.table.output")
    assert found.tensors == {"a.output", "blocks.0.table.output", "blocks.1.table.output"}
    names = "a.output, blocks.{0..1}.table.output"
    assert found.listed == (f"{OTHER}{names} (torch (1, 5, 4), jax (3, 5, 4))",)


def test_another_shape_of_a_tap_and_of_the_output_stays_a_difference() -> None:
    assert shaped((1, 5, 4), (3, 5, 4), "a.tap", "output") == Unshown()
    assert shaped((3, 5, 4), (3, 5, 4), "a.output") == Unshown()


# Taps


def test_a_tap_on_one_side_only_is_left_out_in_all_its_calls_and_told() -> None:
    found = unshown(
        sides((*BOTH, "a.tap", "a#2.tap", "both.tap"), (*BOTH, "both.tap", "b.tap")), frozenset(), frozenset()
    )
    assert found.tensors == {"a.tap", "a#2.tap", "b.tap"}
    assert found.listed == ("taps on the torch side only: a", "taps on the jax side only: b")


def test_a_tap_that_cannot_be_seen_in_some_of_its_calls_is_left_out_in_all() -> None:
    found = unshown(sides((*BOTH, "a.tap", "a#2.tap"), (*BOTH, "a.tap")), frozenset({"a"}), frozenset())
    assert found.tensors == {"a.tap", "a#2.tap"}
    assert found.listed == ("taps inside a transformation of the jax side, such as jit: a",)


def test_a_call_of_a_tap_that_is_missing_stays_a_difference() -> None:
    assert unshown(sides((*BOTH, "a.tap", "a#2.tap"), (*BOTH, "a.tap")), frozenset(), frozenset()) == Unshown()


def test_taps_are_no_layers_that_were_seen() -> None:
    found = unshown(sides((*BOTH, "a.tap"), ("a.tap",)), frozenset({"fc"}), frozenset())
    assert found.tensors == set(BOTH)
    assert found.listed == ("layers were not seen on the jax side: of fc, only parameters and gradients are compared",)


def test_a_tap_whose_channels_come_last_is_told_and_not_compared() -> None:
    recordings = sides(BOTH, BOTH)
    for framework, shape in zip(FRAMEWORKS, ((2, 3, 4, 5), (2, 4, 5, 3)), strict=True):
        recordings[framework].add("forward", 0, {"image.tap": np.zeros(shape)})
    found = unshown(recordings, frozenset(), frozenset())
    assert found.tensors == {"image.tap"}
    assert found.listed == ("taps whose channels come last on the jax side: image, they are not compared",)
