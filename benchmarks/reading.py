"""A result from its file, refused where it does not have the shape of one: a file may come from anywhere."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.document import SCHEMA_VERSION
from benchmarks.rows import full_name
from parity.errors import NotCheckable

_IS: Mapping[str, Callable[[Any], bool]] = {
    "a text": lambda found: isinstance(found, str),
    "true or false": lambda found: isinstance(found, bool),
    "a whole number": lambda found: type(found) is int,
    "a number": lambda found: type(found) in (int, float) and abs(found) <= sys.float_info.max,
    "a positive number": lambda found: type(found) in (int, float) and 0 < found <= sys.float_info.max,
}
_STEP = dict.fromkeys(("median", "low", "high"), "a positive number")
_VARIANT = dict.fromkeys(("framework", "name", "verdict", "reason"), "a text") | {
    "twin": "true or false", "step_us": (_STEP,), "times_notebook": (_STEP,)
}  # fmt: skip
_CASE = dict.fromkeys(("name", "problem", "precision", "device"), "a text") | dict.fromkeys(
    ("width", "batch_size", "seeds"), "a whole number"
)
_SHAPE = {
    "machine": {
        "processor": "a text", "cores": "a whole number", "versions": {},
        "gpus": [{"name": "a text", "memory.total": "a text"}],
    },
    "condition": {"before": {"load": "a number"}},
    "request": {
        "quick": "true or false", "device": "a text", "problems": ["a text"], "variants": ["a text"],
        "precisions": ["a text"], "seeds": ["a whole number"], "rounds": ("a whole number",),
        "steps": ("a whole number",),
    },
    "cases": [{
        "case": _CASE, "noise": ("a positive number",), "variants": [_VARIANT],
        "pairs": [{"first": "a text", "second": "a text", "ratio": _STEP}],
    }],
}  # fmt: skip
"""What is looked at here of a result: objects with at least these entries, lists of one kind. A tuple may be null."""


def read(file: Path) -> dict[str, Any]:
    """A result.

    Raises:
        NotCheckable: the file cannot be read, is no result, or is one of another version of the schema.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise NotCheckable(f"{file}: cannot be read ({error.strerror}): name a result.json") from error
    except (ValueError, RecursionError) as error:
        raise NotCheckable(f"{file}: is no JSON ({error}): name a result.json") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        later = type(version) is int and version > SCHEMA_VERSION
        mend = "compare by the later code that wrote it" if later else "measure anew"
        raise NotCheckable(f"{file}: has schema version {version}, expected {SCHEMA_VERSION}: {mend}")
    if fault := _fault(found, _SHAPE, "it") or _untimed(found):
        raise NotCheckable(f"{file}: is no result: {fault}")
    return dict(found)


def _no_number(name: str) -> None:
    """What Python reads as a number and JSON does not know."""
    raise ValueError(f"{name} is no number")


def _fault(found: Any, shape: Any, where: str) -> str:
    """The first thing that has not the shape, in words; empty where all has."""
    if isinstance(shape, tuple):
        return "" if found is None else _fault(found, shape[0], where)
    if isinstance(shape, str):
        return "" if _IS[shape](found) else f"{where} is {reprlib.repr(found)}, expected {shape}"
    if not isinstance(found, type(shape)):
        return f"{where} is {reprlib.repr(found)}, expected {'an object' if isinstance(shape, dict) else 'a list'}"
    if isinstance(shape, list):
        faults = (_fault(one, shape[0], f"{where}[{place}]") for place, one in enumerate(found))
        return next(filter(None, faults), "")
    if absent := [name for name in shape if name not in found]:
        return f"{where} has no {', '.join(absent)}"
    inside = "" if where == "it" else f"{where}."
    return next(filter(None, (_fault(found[name], inner, inside + name) for name, inner in shape.items())), "")


def _untimed(found: Mapping[str, Any]) -> str:
    """The first variant that is right and has no time, or the other way round; empty where there is none."""
    for entry in found["cases"]:
        for one in entry["variants"]:
            if (one["verdict"] == "right") != (one["step_us"] is not None):
                time = "a time" if one["step_us"] else "no time"
                return f"{entry['case']['name']}: {full_name(one)} is {one['verdict']} and has {time}"
    return ""
