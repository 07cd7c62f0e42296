from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity.errors import NotCheckable
from parity.weight_map.entry import Entry, Part
from parity.weight_map.steps import TRANSPOSE, Step
from parity.weight_map.weight_map import Apart, Layer, WeightMap

WEIGHTS = WeightMap(
    (
        Entry(Part("a.weight", (4, 4)), (TRANSPOSE,), Part("x.kernel", (4, 4)), False),
        Entry(Part("qkv", (6, 2), 0, 0, 4), (TRANSPOSE, Step("reshape", (2, 2, 2))), Part("q", (2, 2, 2)), False),
        Entry(Part("qkv", (6, 2), 0, 4, 6), (), Part("v", (2, 2)), False),
        Entry(Part("mean", (3,)), (Step("flip", (0,)),), Part("mean", (3,)), True),
        Entry(Part("0.w", (2,)), (), Part("w", (2, 4), 0, 0, 2, ((0, 0),)), False),
        Entry(Part("0.v", (2,)), (), Part("w", (2, 4), 0, 2, 4, ((0, 0),)), False),
        Entry(Part("1.w", (4,)), (), Part("w", (2, 4), at=((0, 1),)), False),
    ),
    ["qkv is taken to hold query and value"],
    {"x": Layer("a", False), "c": Layer("conv", True)},
    Apart(("count",), ("cache",), ("bias",), {"b": "a.weight"}),
)


def test_a_saved_map_is_the_same_map(tmp_path: Path) -> None:
    WEIGHTS.save(tmp_path / "map.json")
    assert WeightMap.load(str(tmp_path / "map.json")) == WEIGHTS
    assert [file.name for file in tmp_path.iterdir()] == ["map.json"]


def test_an_entry_is_one_line_that_a_person_can_correct(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    WEIGHTS.save(file)
    (line,) = [line for line in file.read_text().splitlines() if "a.weight" in line and "x.kernel" in line]
    assert '"steps": [{"permute": [1, 0]}]' in line
    file.write_text(file.read_text().replace(line, line.replace('[{"permute": [1, 0]}]', "[]")))
    corrected = WeightMap.load(file)
    assert corrected.entries[0].steps == ()
    assert corrected.entries[1:] == WEIGHTS.entries[1:]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WEIGHTS.save(tmp_path / "map.json")
    before = (tmp_path / "map.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(NotCheckable, match=r"map\.json: the weight map cannot be written: No space left"):
        WEIGHTS.save(tmp_path / "map.json")
    assert [file.name for file in tmp_path.iterdir()] == ["map.json"]
    assert (tmp_path / "map.json").read_bytes() == before


def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    WEIGHTS.save(file)
    whole = file.read_text().rstrip()
    for end in range(0, len(whole), 7):
        file.write_text(whole[:end])
        with pytest.raises(NotCheckable, match="not a whole weight map"):
            WeightMap.load(file)


Spoil = Callable[[dict[str, Any]], object]
SPOILED: dict[str, tuple[Spoil, str]] = {
    "another schema": (lambda d: d.update(schema="something"), "expected the schema"),
    "another version": (lambda d: d.update(version=2), "of version 2"),
    "no version": (lambda d: d.pop("version"), "of version None"),
    "a foreign part": (lambda d: d.update(more=1), "a weight map has the entries"),
    "no layers": (lambda d: d.pop("layers"), "a weight map has the entries"),
    "entries no list": (lambda d: d.update(entries={}), "its entries are a list"),
    "layers no object": (lambda d: d.update(layers=[]), "its layers are an object"),
    "listed no texts": (lambda d: d.update(listed=[1]), "expected a list of texts"),
    "a foreign entry": (lambda d: d["entries"].append({"a": 1}), "an entry has the entries"),
    "an entry with more": (lambda d: d["entries"][0].update(how="x"), "an entry has the entries"),
    "a foreign step": (lambda d: d["entries"][0]["steps"].append({"scale": [2]}), "a step is one of permute"),
    "a step of two": (lambda d: d["entries"][0]["steps"][0].update(flip=[0]), "a step is one of permute"),
    "a step of texts": (lambda d: d["entries"][0].update(steps=[{"permute": ["1"]}]), "a step is one of permute"),
    "steps no list": (lambda d: d["entries"][0].update(steps="transpose"), "a list of steps"),
    "a buffer of 1": (lambda d: d["entries"][0].update(buffer=1), "whether it is a buffer"),
    "a name of 1": (lambda d: d["entries"][0]["jax"].update(name=1), "has a name"),
    "a negative size": (lambda d: d["entries"][0]["jax"].update(shape=[-4, 4]), "has a name"),
    "a slice of two": (lambda d: d["entries"][1]["torch"].update(slice=[0, 1]), "a slice is its axis"),
    "a layer with more": (lambda d: d["layers"]["x"].update(more=1), "a layer has the entries"),
    "channels of 1": (lambda d: d["layers"]["x"].update(channels=1), "says whether it has channels"),
    "tied to 1": (lambda d: d["apart"].update(tied={"b": 1}), "an object of names"),
    "apart with more": (lambda d: d["apart"].update(more=[]), "what stands apart has"),
    "another shape": (lambda d: d["entries"][0]["jax"].update(shape=[4, 5]), "the steps lead to another shape"),
    "a step it cannot take": (lambda d: d["entries"][0].update(steps=[{"flip": [2]}]), "cannot take the step"),
    "a slice too far": (lambda d: d["entries"][1]["torch"].update(slice=[0, 3, 7]), "not a part of its array"),
    "mapped twice": (lambda d: d["entries"].append(d["entries"][0]), "a.weight is mapped more than once"),
    "a place of one": (lambda d: d["entries"][6]["jax"].update(at=[[0]]), "a list of places"),
    "a place beyond": (lambda d: d["entries"][6]["jax"].update(at=[[0, 2]]), "not a part of its array"),
    "a place on no axis": (lambda d: d["entries"][6]["jax"].update(at=[[2, 0]]), "not a part of its array"),
    "two places on an axis": (lambda d: d["entries"][6]["jax"]["at"].append([0, 0]), "not a part of its array"),
    "a place on another axis": (
        lambda d: d["entries"][6].update(
            torch={"name": "1.w", "shape": [2]}, jax=d["entries"][6]["jax"] | {"at": [[1, 1]]}
        ),
        "w is mapped more than once",
    ),
    "a place left out": (lambda d: d["entries"].pop(6), "w is not mapped at 1"),
    "a place in part": (lambda d: d["entries"].pop(5), "w at 0 is not mapped at 2:4"),
    "mapped in part": (lambda d: d["entries"].pop(2), "qkv is not mapped at 4:6"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_map_of_this_kind_is_one_clear_error_with_the_file(tmp_path: Path, name: str) -> None:
    spoil, said = SPOILED[name]
    file = tmp_path / "map.json"
    WEIGHTS.save(file)
    document = json.loads(file.read_text())
    spoil(document)
    file.write_text(json.dumps(document))
    with pytest.raises(NotCheckable) as raised:
        WeightMap.load(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["[]", "null", '"parity weight map"', "{}"])
def test_other_json_is_no_map(tmp_path: Path, content: str) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(NotCheckable, match="expected the schema"):
        WeightMap.load(tmp_path / "map.json")


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match="no weight map can be read there: No such file"):
        WeightMap.load(tmp_path / "none.json")
