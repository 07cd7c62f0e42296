from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from parity.errors import NotCheckable
from parity.weight_map.outline import Outline
from parity_tests.parity.weight_map.made_outlines import batch_norm, linear, torch

OUTLINE = torch({"net.0": linear(3, 4), "net.1": batch_norm(4)}, {"net.1.bias": "net.0.bias"})


def test_a_document_is_plain_json_and_comes_back_the_same() -> None:
    assert Outline.from_document(json.loads(json.dumps(OUTLINE.document()))) == OUTLINE


def test_buffers_are_the_arrays_that_are_not_trained_by_their_full_names() -> None:
    assert OUTLINE.buffers == {"net.1.running_mean", "net.1.running_var", "net.1.num_batches_tracked"}


SPOILED: dict[str, tuple[Callable[[Any], object], str]] = {
    "another framework": (lambda d: d.update(framework="keras"), "expected one of torch, jax"),
    "an entry more": (lambda d: d.update(more=1), "an outline has the entries framework, modules, tied"),
    "an entry less": (lambda d: d.pop("tied"), "an outline has the entries"),
    "modules no list": (lambda d: d.update(modules={}), "a list of modules"),
    "tied no names": (lambda d: d.update(tied={"a": 1}), "an object of names"),
    "tied to a stranger": (lambda d: d.update(tied={"a": "b"}), "ties a, b, which none of its modules has"),
    "a module more": (lambda d: d["modules"][0].update(more=1), "a module of an outline has the entries"),
    "a module that is none": (lambda d: d["modules"].append(3), "a module of an outline has the entries"),
    "a name of 1": (lambda d: d["modules"][0].update(name=1), "has the name 1"),
    "a shape of text": (lambda d: d["modules"][0].update(parameters={"a": "b"}), "whose shape is no list of sizes"),
    "a size of 1.5": (lambda d: d["modules"][0].update(buffers={"a": [1.5]}), "whose shape is no list of sizes"),
    "a config of 1": (lambda d: d["modules"][0].update(config=1), "no object as its config"),
    "no root": (lambda d: d["modules"].pop(0), "does not begin with its root"),
    "a name twice": (lambda d: d["modules"].append(d["modules"][1]), "has more than one module net"),
    "nothing around": (lambda d: d["modules"].pop(1), "has net.0, and not the module around it"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_document_of_anything_else_is_one_clear_error(name: str) -> None:
    spoil, said = SPOILED[name]
    document = copy.deepcopy(json.loads(json.dumps(OUTLINE.document())))
    spoil(document)
    with pytest.raises(NotCheckable) as raised:
        Outline.from_document(document)
    assert said in str(raised.value)
