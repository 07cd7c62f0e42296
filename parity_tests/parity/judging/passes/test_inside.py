"""Which tensors of a float64 run follow a declared layer, and what that does to limits and power."""

from __future__ import annotations

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.judging.passes.inside import Inside, inside
from parity.recording import Key, Recording
from parity_tests.parity.made_recordings import recording

PASS = (
    "stem.input", "stem.output", "blocks.0.norm.input", "blocks.0.norm.output", "blocks.0.attn.q.input",
    "blocks.0.attn.q.output", "blocks.0.attn.out.input", "blocks.0.attn.out.output", "head.input", "head.output",
    "output",
)  # fmt: skip
ONES = np.ones(3)


def judge() -> Recording:
    groups = [("forward", step, dict.fromkeys(PASS, ONES)) for step in range(2)]
    initial = dict.fromkeys(("stem.weight", "stem.running_mean", "stem.table", "frozen.weight"), ONES)
    after = initial | {"stem.weight": 2 * ONES, "stem.running_mean": 2 * ONES}
    backward = {"stem.weight": ONES, "stem.input": ONES}
    return recording(("init", 0, initial), *groups, ("backward", 0, backward), ("update", 0, after))


def first_of(*patterns: str) -> str:
    """The first tensor of the forward stage that is judged by float32's rule; all that follow are."""
    found = inside(patterns, judge(), ())
    judged = [name for name in PASS if found.holds(Key("forward", 1, name))]
    assert judged == list(PASS[PASS.index(judged[0]) :])
    return judged[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("stem", "stem.output"),
        ("*.norm", "blocks.0.norm.output"),
        ("blocks.[0-9].norm", "blocks.0.norm.output"),
        ("*.attn", "blocks.0.attn.q.input"),
        ("*.attn.out", "blocks.0.attn.out.output"),
        ("blocks.0", "blocks.0.norm.input"),
        ("head.input", "head.input"),
        ("*.norm.input", "blocks.0.norm.input"),
        ("*", "stem.output"),
    ],
)
def test_what_comes_out_of_a_layer_and_all_that_follows_is_judged_by_float32s_rule(pattern: str, expected: str) -> None:
    assert first_of(pattern) == expected


def test_of_several_patterns_the_first_layer_counts() -> None:
    assert first_of("head", "*.norm") == "blocks.0.norm.output"


def test_a_later_call_of_a_layer_is_one_of_it() -> None:
    twice = recording(("forward", 0, dict.fromkeys(("a.output", "b#2.input", "b#2.output"), ONES)))
    found = inside(("b",), twice, ())
    assert found.layers == ("b",)
    assert found.tensors == {"b#2.output"}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("data", 0, "images"), False),
        (("init", 0, "stem.weight"), False),
        (("loss", 0, "loss"), True),
        (("backward", 0, "stem.weight"), True),
        (("update", 0, "stem.weight"), False),
        (("update", 0, "exp_avg.stem.weight"), False),
        (("update", 0, "stem.running_mean"), True),
        (("update", 0, "stem.table"), False),
        (("update", 0, "frozen.weight"), False),
        (("trajectory", 3, "stem.weight"), False),
        (("trajectory", 3, "loss"), True),
        (("trajectory", 3, "gradient.stem.weight"), True),
        (("score", 0, "test.output"), True),
    ],
)
def test_of_the_other_stages_what_a_pass_gives_is(key: tuple[str, int, str], expected: bool) -> None:
    assert inside(("stem",), judge(), ()).holds(Key(*key)) == expected
    assert not inside((), judge(), ()).holds(Key(*key))


@pytest.mark.parametrize(("patterns", "layers"), [(("norm",), "stem, blocks, blocks.0,"), (("stem", "Stem"), "stem,")])
def test_a_pattern_that_names_no_layer_is_named(patterns: tuple[str, ...], layers: str) -> None:
    with pytest.raises(
        NotCheckable, match=f"float32_inside: no layer is called '{patterns[-1]}': the layers are {layers}"
    ):
        inside(patterns, judge(), ())


def test_where_no_layers_were_seen_that_is_said() -> None:
    with pytest.raises(NotCheckable, match="no layer is called 'a': no layers were seen"):
        inside(("a",), recording(("forward", 0, {"output": ONES})), ())


@pytest.mark.parametrize(
    ("hidden", "arrives"), [("blocks.0.norm", "blocks.0.attn.q.input"), ("blocks", "head.input"), ("none", None)]
)
def test_what_a_layer_does_that_one_side_does_not_show_arrives_at_the_next_shown_place(
    hidden: str, arrives: str | None
) -> None:
    shown = inside(("*.norm",), judge(), ()).places
    unshown = {name for name in PASS if name.startswith(hidden)}
    assert inside(("*.norm",), judge(), unshown).places - shown == ({arrives} if arrives else set())


def test_each_declared_layer_has_its_places() -> None:
    found = inside(("*.norm", "*.attn"), judge(), ())
    places = ["blocks.0.attn.q.input", "blocks.0.attn.q.output", "blocks.0.attn.out.input", "blocks.0.attn.out.output"]
    assert found.by_layer(PASS) == [("blocks.0.norm", ["blocks.0.norm.output"]), ("blocks.0.attn", places)]
    assert found.listed == [
        "float64: judged by float32's rule, since the pair declares it: blocks.0.norm, blocks.0.attn, and what follows"
    ]


def test_power_is_taken_from_the_wider_limits_and_their_own_coarse_distance() -> None:
    found = inside(("*.norm",), judge(), ())
    before, after, update = (
        Key("forward", 0, "stem.output"), Key("forward", 0, "head.output"), Key("update", 0, "stem.weight"),
    )  # fmt: skip
    assert found.coarse({before: 1e-8, after: 1e-8}, {before: 1e-4, after: 2e-4}) == {before: 1e-8, after: 2e-4}
    assert found.remaining({before: 1e-12, after: 1e-5, update: 1e-12}) == {after: 1e-5, update: 1e-12}
    assert Inside().coarse({after: 1e-8}, {after: 1e-4}) == {after: 1e-8}
    assert Inside().remaining({before: 1e-12, after: 1e-5}) == {before: 1e-12, after: 1e-5}
