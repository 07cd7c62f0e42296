"""Recordings and figures in one safetensors file, with a header that says what they are. Nothing is unpickled.

A tensor is called by its recording, stage, step and name, such as `float64/forward/0/fc1.output`. What several names
share bit for bit is stored once. The header is one JSON object in the metadata of the file; its `sha256` is taken over
the rest of it and over every tensor's name, dtype, shape and bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array, Arrays, Key, Provenance, Recording

FORMAT = "parity golden"
SCHEMA_VERSION = 2
"""Raised with every change that a reader of older files would notice."""
METADATA = "parity"
"""The entry of a safetensors file's metadata that holds the header."""
FIGURES = "figures"
"""What the names of tables of figures begin with."""
AGAIN = "write it again with parity record"

Figures = dict[Key, Array]
"""For each key one row of figures, float64, all rows of one length."""


@dataclass
class Content:
    """What such a file holds.

    Attributes:
        heading: what the recordings are, as plain JSON values.
        recordings: by name, without a slash in it.
        figures: tables of figures, by name.
    """

    heading: Mapping[str, Any]
    recordings: dict[str, Recording] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)


def packed(content: Content) -> bytes:
    """The bytes of the file."""
    from safetensors.numpy import save

    stored: Arrays = {}
    header: dict[str, Any] = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "heading": dict(content.heading),
        "recordings": _stored_recordings(content.recordings, stored),
        "figures": {},
    }
    for name, table in content.figures.items():
        if table:
            stored[f"{FIGURES}/{name}"] = np.array(list(table.values()), np.float64)
            header["figures"][name] = [list(key) for key in table]
    header["sha256"] = _digest(header, stored)
    return save(stored, metadata={METADATA: json.dumps(header)})


def _stored_recordings(recordings: Mapping[str, Recording], stored: Arrays) -> dict[str, Any]:
    """Fill `stored` with each different tensor of the recordings, and tell for each key under which name it is."""
    known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    found: dict[str, Any] = {}
    for name, recording in recordings.items():
        tensors = []
        for key in recording.flow():
            array = np.asarray(recording.of(key.stage, key.step)[key.tensor], order="C")
            own = f"{name}/{key.stage}/{key.step}/{key.tensor}"
            content = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
            tensors.append([*key, known.setdefault(content, own)])
            stored.setdefault(known[content], array)
        found[name] = {"provenance": recording.provenance.document(), "tensors": tensors}
    return found


def _digest(header: Mapping[str, Any], stored: Mapping[str, Array]) -> str:
    rest = {name: value for name, value in header.items() if name != "sha256"}
    content = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(stored):
        array = stored[name]
        content.update(f"{name} {array.dtype.str} {array.shape}".encode())
        content.update(array.tobytes())
    return content.hexdigest()


def unpacked(file: Path) -> Content:
    """What the file holds, every byte of it as it was written.

    Raises:
        NotCheckable: the file is missing, truncated, altered, of another kind or of another schema version.
    """
    header, stored = _opened(file)
    if header.get("schema_version") != SCHEMA_VERSION:
        raise NotCheckable(
            f"{file}: expected schema version {SCHEMA_VERSION}, found {header.get('schema_version')!r}: {AGAIN} "
            "of this version"
        )
    expected, found = header.get("sha256"), _digest(header, stored)
    if expected != found:
        raise NotCheckable(
            f"{file}: altered since it was written: expected SHA-256 {str(expected)[:12]}, found {found[:12]}: {AGAIN}"
        )
    try:
        return Content(
            header["heading"],
            {name: _recording(entry, stored) for name, entry in header["recordings"].items()},
            {name: _figures(keys, stored[f"{FIGURES}/{name}"]) for name, keys in header["figures"].items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotCheckable(
            f"{file}: its header is not as expected: {type(error).__name__}: {error}: {AGAIN}"
        ) from error


def _opened(file: Path) -> tuple[dict[str, Any], Arrays]:
    """The header and the tensors as they stand in the file."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise NotCheckable(f"{file}: no such file: expected one that parity record wrote")
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 -- no mapping
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise NotCheckable(
            f"{file}: expected a whole safetensors file, found one that is truncated, altered or of another kind "
            f"({error}): {AGAIN}"
        ) from error
    try:
        header = json.loads(metadata[METADATA])
        known = header["format"] == FORMAT
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise NotCheckable(f"{file}: expected a file that parity record wrote, found other tensors: {AGAIN}")
    return header, stored


def _recording(entry: Mapping[str, Any], stored: Mapping[str, Array]) -> Recording:
    recording = Recording(Provenance(**entry["provenance"]))
    for stage, step, tensor, name in entry["tensors"]:
        recording.add(stage, step, {tensor: stored[name]})
    return recording


def _figures(keys: list[Any], table: Array) -> Figures:
    return {Key(*key): row for key, row in zip(keys, table, strict=True)}
