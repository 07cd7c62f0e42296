"""The weight map as a file that a person can read and correct: JSON, one entry a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from parity.errors import NotCheckable
from parity.replacing import replacing
from parity.weight_map.entry import Entry, Part
from parity.weight_map.outline import is_shape
from parity.weight_map.steps import Move, Step
from parity.weight_map.weight_map import Apart, Layer, WeightMap

SCHEMA = "parity weight map"
VERSION = 1


def document(weights: WeightMap) -> dict[str, Any]:
    """The map as plain JSON values."""
    apart = weights.apart
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "entries": [_entry_out(entry) for entry in weights.entries],
        "layers": {path: {"torch": layer.torch, "channels": layer.channels} for path, layer in weights.layers.items()},
        "listed": weights.listed,
        "apart": {"torch": list(apart.torch), "jax": list(apart.jax), "zero": list(apart.zero), "tied": apart.tied},
    }


def save(weights: WeightMap, path: Path) -> None:
    """Write the map; nobody ever sees half of it, and where it cannot be written the old file stays.

    Raises:
        NotCheckable: the file cannot be written.
    """
    with saving(path) as write:
        write(weights)


@contextmanager
def saving(path: Path) -> Iterator[Callable[[WeightMap], None]]:
    """A function that writes the map that is found meanwhile, as `save` does.

    Raises:
        NotCheckable: the file cannot be written, before anything is looked for.
    """

    def written(weights: WeightMap) -> None:
        lines = {name: _lines(value) for name, value in document(weights).items()}
        text = "{\n" + ",\n".join(f" {json.dumps(name)}: {value}" for name, value in lines.items()) + "\n}\n"
        write(text.encode())

    with replacing(path, f"{path}: the weight map") as write:
        yield written


def _lines(value: Any) -> str:
    """A list or an object with each of its entries on a line of its own."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(entry)}" for entry in value) + "\n ]"
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(entry)}" for k, entry in value.items()) + "\n }"
    return json.dumps(value)


def load(path: Path) -> WeightMap:
    """The way back, as strict as if a stranger had written it.

    Raises:
        NotCheckable: the file is missing, no JSON, of another schema or version, or an entry is not one of a map.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotCheckable(f"{path}: no weight map can be read there: {error.strerror}") from error
    except ValueError as error:
        raise NotCheckable(f"{path}: not a whole weight map: {error}") from error
    try:
        return from_document(found)
    except NotCheckable as error:
        raise NotCheckable(f"{path}: {error}") from error


def from_document(found: object) -> WeightMap:
    """The map from plain JSON values.

    Raises:
        NotCheckable: another schema or version, or anything that `document` does not write.
    """
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise NotCheckable(f"not a weight map: expected the schema {SCHEMA!r}")
    if found.get("version") != VERSION:
        raise NotCheckable(f"a weight map of version {found.get('version')!r}: this one reads version {VERSION}")
    _fields(found, "a weight map", {"schema", "version", "entries", "layers", "listed", "apart"})
    _need(isinstance(found["entries"], list), "its entries are a list", found["entries"])
    _need(isinstance(found["layers"], dict), "its layers are an object", found["layers"])
    entries = tuple(_entry_in(entry) for entry in found["entries"])
    layers = {path: _layer_in(layer) for path, layer in found["layers"].items()}
    return WeightMap(entries, _texts(found["listed"]), layers, _apart_in(found["apart"]))


def _fields(value: Any, what: str, needed: set[str], optional: frozenset[str] = frozenset()) -> None:
    wanted = f"{what} has the entries {', '.join(sorted(needed))}"
    _need(isinstance(value, dict) and needed <= set(value) <= needed | optional, wanted, value)


def _need(good: bool, what: str, found: object) -> None:
    if not good:
        shown = json.dumps(found)
        raise NotCheckable(f"{what}; found {shown if len(shown) < 200 else shown[:200] + ' ...'}")


def _texts(value: Any) -> list[str]:
    _need(isinstance(value, list) and all(isinstance(text, str) for text in value), "expected a list of texts", value)
    return list(value)


def _layer_in(value: Any) -> Layer:
    _fields(value, "a layer", {"torch", "channels"})
    good = isinstance(value["torch"], str) and isinstance(value["channels"], bool)
    _need(good, "a layer has a name of torch's and says whether it has channels", value)
    return Layer(value["torch"], value["channels"])


def _apart_in(value: Any) -> Apart:
    _fields(value, "what stands apart", {"torch", "jax", "zero", "tied"})
    tied = value["tied"]
    good = isinstance(tied, dict) and all(isinstance(name, str) for name in tied.values())
    _need(good, "what is tied is an object of names", tied)
    torch, jax, zero = (tuple(_texts(value[name])) for name in ("torch", "jax", "zero"))
    return Apart(torch, jax, zero, tied)


def _entry_out(entry: Entry) -> dict[str, Any]:
    steps = [{step.move: list(step.numbers)} for step in entry.steps]
    torch, jax = (_part_out(part) for part in (entry.torch, entry.jax))
    return {"torch": torch, "steps": steps, "jax": jax, "buffer": entry.buffer}


def _part_out(part: Part) -> dict[str, Any]:
    whole = {"name": part.name, "shape": list(part.whole)}
    at = {"at": [list(place) for place in part.at]} if part.at else {}
    return whole | at | ({} if part.axis is None else {"slice": [part.axis, part.start, part.stop]})


def _entry_in(value: Any) -> Entry:
    _fields(value, "an entry", {"torch", "steps", "jax", "buffer"})
    _need(isinstance(value["buffer"], bool), "an entry says whether it is a buffer", value)
    _need(isinstance(value["steps"], list), "an entry has a list of steps", value)
    torch, jax = _part_in(value["torch"]), _part_in(value["jax"])
    return Entry(torch, tuple(_step_in(step) for step in value["steps"]), jax, value["buffer"])


def _part_in(value: Any) -> Part:
    _fields(value, "an array of an entry", {"name", "shape"}, frozenset({"slice", "at"}))
    good = isinstance(value["name"], str) and is_shape(value["shape"])
    _need(good, "an array of an entry has a name, and a list of sizes as its shape", value)
    cut = value.get("slice")
    _need(cut is None or (is_shape(cut) and len(cut) == 3), "a slice is its axis, start and stop", value)
    at = value.get("at", [])
    good = isinstance(at, list) and all(is_shape(place) and len(place) == 2 for place in at)
    _need(good, "one of several arrays that are stacked is at a list of places, each an axis and an index", value)
    part = Part(value["name"], tuple(value["shape"]), *(cut or ()))
    return part._replace(at=tuple((axis, index) for axis, index in at))


def _step_in(value: Any) -> Step:
    moves = get_args(Move)
    good = isinstance(value, dict) and len(value) == 1 and set(value) <= set(moves)
    _need(good and is_shape(next(iter(value.values()))), f"a step is one of {', '.join(moves)}, with numbers", value)
    ((move, numbers),) = value.items()
    return Step(move, tuple(numbers))
