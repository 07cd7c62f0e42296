"""The parts of a side: found when first used, and blamed in one line for whatever they raise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.errors import MissingFramework, NotCheckable
from parity.pair.pair import Side
from parity.recording import FRAMEWORKS, Framework
from parity.sides.parts import Parts
from parity_tests.parity.made_verdicts import never
from parity_tests.parity.tiny import planted
from parity_tests.parity.tiny_draws import draw_parameters

PARTS = (
    "parameters",
    "model",
    "arrays",
    "batches",
    "predict",
    "loss",
    "scored",
    "update",
    "train",
    "missing",
    "scores",
)


def failing(error: Exception) -> Any:
    """A part that raises."""

    def part(*_: object, **__: object) -> None:
        raise error

    return part


def side(**others: Any) -> Side:
    return Side(**(dict.fromkeys(PARTS, never) | others))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_a_part_raises_is_one_line_that_names_the_side_and_the_part(framework: Framework, part: str) -> None:
    cause = ValueError("shapes do not match\nand a second line")
    parts = Parts(side(**{part: failing(cause)}), framework)
    with pytest.raises(NotCheckable) as raised:
        getattr(parts, part)(1, named=2)
    assert str(raised.value) == f"the {framework} side's {part} failed: ValueError: shapes do not match"
    assert raised.value.__cause__ is cause


def test_a_part_by_import_path_is_named_with_its_path() -> None:
    parts = Parts(side(model="parity_tests.parity.made_verdicts:never"), "jax")
    with pytest.raises(
        NotCheckable, match=r"^the jax side's model \(parity_tests.parity.made_verdicts:never\) failed: "
    ):
        parts.model()


@pytest.mark.parametrize("error", [NotCheckable("put data in"), MissingFramework("install it")])
def test_what_already_says_what_to_do_is_left_as_it_is(error: NotCheckable) -> None:
    parts = Parts(side(batches=failing(error)), "torch")
    with pytest.raises(NotCheckable) as raised:
        parts.batches(0, 1)
    assert raised.value is error


def test_a_part_is_handed_its_arguments_and_gives_back_what_it_gives() -> None:
    parts = Parts(side(train=lambda *given, **named: (given, named)), "torch")
    assert parts.train("stepped", seed=3) == (("stepped",), {"seed": 3})


def test_a_part_that_the_side_does_not_name_is_told() -> None:
    with pytest.raises(NotCheckable, match="the jax side names no train"):
        _ = Parts(side(train=None), "jax").train


def test_nothing_is_imported_before_it_is_used() -> None:
    parts = Parts(planted("torch", loss="no_such_wing:loss").torch, "torch")
    assert parts.parameters(0).keys() == draw_parameters(0).keys()
    with pytest.raises(NotCheckable, match="no_such_wing:loss: no module named 'no_such_wing'"):
        _ = parts.loss


class Wide:
    def __init__(self, width: int) -> None:
        self.width = width


@pytest.mark.parametrize(
    ("framework", "given", "instead"),
    [("torch", {}, "nothing and makes it"), ("jax", {"rngs": 1}, "nothing but rngs and makes it")],
)
def test_a_model_that_takes_more_than_it_is_given_is_told_how_to_name_one_that_does_not(
    framework: Framework, given: dict[str, Any], instead: str
) -> None:
    for model in (Wide, lambda width, **_: Wide(width)):
        with pytest.raises(NotCheckable, match=f"the {framework} side's model cannot be made: .*'.*{instead}"):
            Parts(side(model=model), framework).made(**given)


def test_a_model_is_made_from_what_it_is_given() -> None:
    assert Parts(side(model=lambda rngs: rngs + 1), "jax").made(rngs=1) == 2
    assert Parts(side(model=lambda width=3: Wide(width)), "torch").made().width == 3


def test_complex_initial_parameters_are_refused_by_name() -> None:
    drawn = {"real": np.ones(2), "turn": np.ones(2, complex)}
    with pytest.raises(NotCheckable, match="the torch side's parameters gave turn, which is complex: models are"):
        Parts(side(parameters=lambda seed: drawn), "torch").initial(0)
