"""Two results of one machine: what became slower beyond noise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.document import SCHEMA_VERSION
from benchmarks.machine import IDENTITY
from benchmarks.noise import noise_at
from parity.errors import NotCheckable


class Change(NamedTuple):
    """A variant of a case in both results. `ratio` is new over old; `says` slower, faster, same, lost or gained."""

    case: str
    variant: str
    old_us: float | None
    new_us: float | None
    ratio: float | None
    says: str


def read(file: Path) -> dict[str, Any]:
    """A result.

    Raises:
        NotCheckable: the file cannot be read, is no result, or is one of another version of the schema.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotCheckable(f"{file}: cannot be read ({error.strerror}): name a result.json") from error
    except ValueError as error:
        raise NotCheckable(f"{file}: is no JSON ({error}): name a result.json") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version != SCHEMA_VERSION:
        raise NotCheckable(f"{file}: has schema version {version}, expected {SCHEMA_VERSION}: measure anew")
    return dict(found)


def compare(old: Mapping[str, Any], new: Mapping[str, Any], other_machine: bool = False) -> list[Change]:
    """Every variant of every case that both results have, in the order of the new one.

    Slower or faster is what both intervals and the noise of both results leave no doubt of. A variant that was right
    and is so no more is lost.

    Raises:
        NotCheckable: the results are of different machines and `other_machine` is not set, or have no case in common.
    """
    for entry in IDENTITY:
        if old["machine"][entry] != new["machine"][entry] and not other_machine:
            raise NotCheckable(
                f"the results are of different machines: {entry} {old['machine'][entry]} and {new['machine'][entry]}; "
                "--other-machine compares them all the same"
            )
    before = {entry["case"]["name"]: entry for entry in old["cases"]}
    found = [
        change for entry in new["cases"] if (earlier := before.get(entry["case"]["name"]))
        for change in _changes(earlier, entry, max(noise_at(old, earlier) or 1.0, noise_at(new, entry) or 1.0))
    ]  # fmt: skip
    if not found:
        raise NotCheckable("the results have no variant of a case in common: nothing is compared")
    return found


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], noise: float) -> list[Change]:
    before = {(found["framework"], found["name"]): found for found in old["variants"] if not found["twin"]}
    changes = []
    for found in new["variants"]:
        earlier = before.get((found["framework"], found["name"]))
        if found["twin"] or earlier is None:
            continue
        sides = earlier["step_us"], found["step_us"]
        if sides != (None, None):
            before_us, now_us = (side and side["median"] for side in sides)
            ratio = now_us / before_us if all(sides) else None
            name = f"{found['framework']} {found['name']}"
            changes.append(Change(new["case"]["name"], name, before_us, now_us, ratio, _says(*sides, noise)))
    return changes


def _says(old: Mapping[str, float] | None, new: Mapping[str, float] | None, noise: float) -> str:
    if old is None or new is None:
        return "lost" if new is None else "gained"
    ratio = new["median"] / old["median"]
    apart = new["low"] > old["high"] or new["high"] < old["low"]
    if not apart or abs(math.log(ratio)) <= math.log(noise):
        return "same"
    return "slower" if ratio > 1 else "faster"
