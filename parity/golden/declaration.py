"""A digest of what a pair declares of one of its sides, so that the recording of another is not taken for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

from parity.pair.pair import Pair
from parity.recording import Framework


def declaration(pair: Pair, framework: Framework) -> str:
    """SHA-256, in hexadecimal digits, of the pair's name, stages and labels, and of the parts of the side.

    The other side is left out: it may change, which is what its check against a recording is for. Whatever has its
    default is left out too, so that a setting which a later version adds leaves the digest as it is. A part that is a
    function counts by its name.
    """
    side = pair.side(framework)
    declared = {
        "name": pair.name,
        "stages": list(pair.stages),
        "labels": pair.labels,
        "side": framework,
        "parts": _plain(replace(side, tie=replace(side.tie, torch=None, outline=None, steps=None))),
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value in what JSON has, the same in every process."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return {name: _plain(given[name]) for name in given if not _by_default(value, name, given[name])}
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}:{named.__qualname__}"


def _by_default(value: Any, name: str, given: Any) -> bool:
    field: Field[Any] = type(value).__dataclass_fields__[name]
    if field.default_factory is not MISSING:
        return bool(given == field.default_factory())
    return field.default is not MISSING and bool(given == field.default)
