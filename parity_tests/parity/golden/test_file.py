"""A golden's file gives back what went in, bit for bit, and notices whatever happened to it in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from parity.errors import NotCheckable
from parity.golden.file import METADATA, SCHEMA_VERSION, Content, packed, unpacked
from parity.recording import Arrays, Key
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.tiny import same

KERNEL = np.arange(6.0).reshape(2, 3)
FIRST: Arrays = {
    "z.weight": KERNEL,
    "a.weight": np.asfortranarray(KERNEL[:, ::-1]),
    "transposed": KERNEL.T,
    "step": np.array(3),
    "flags": np.array([True, False]),
    "none": np.zeros((0, 4), np.float32),
    "a name/with.all-sorts é": np.array(-0.0),
}


def content() -> Content:
    run = recording(("update", 0, FIRST), ("init", 0, {"z.weight": KERNEL}), ("trajectory", 0, FIRST))
    lower = recording(("update", 0, {"z.weight": KERNEL.astype(np.float32)}), dtype="float32")
    figures = {Key("update", 0, "z.weight"): np.array([1e-300, np.inf]), Key("init", 0, "b"): np.array([0.0, 2.0])}
    heading = {"pair": "made", "seed": 3, "stages": ["init", "update"]}
    return Content(heading, {"float64": run, "float32": lower}, {"noise": figures, "nothing": {}})


def written(folder: Path) -> Path:
    file = folder / "made.parity"
    file.write_bytes(packed(content()))
    return file


def test_everything_comes_back_bit_for_bit_and_in_its_order(tmp_path: Path) -> None:
    found, expected = unpacked(written(tmp_path)), content()
    assert found.heading == expected.heading
    assert list(found.recordings) == ["float64", "float32"]
    for name, recorded in expected.recordings.items():
        assert found.recordings[name].provenance == recorded.provenance
        assert found.recordings[name].flow() == recorded.flow()
        for (stage, step), group in recorded.groups.items():
            assert same(found.recordings[name].of(stage, step), group)
    assert list(found.figures) == ["noise"]
    assert list(found.figures["noise"]) == list(expected.figures["noise"])
    assert all(np.array_equal(row, expected.figures["noise"][key]) for key, row in found.figures["noise"].items())


def test_what_two_names_share_is_stored_once(tmp_path: Path) -> None:
    stored = load_file(written(tmp_path))
    assert set(stored) == {f"float64/update/0/{name}" for name in FIRST if name != "z.weight"} | {
        "float64/init/0/z.weight", "float32/update/0/z.weight", "figures/noise"
    }  # fmt: skip


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    assert written(tmp_path).read_bytes() == packed(unpacked(tmp_path / "made.parity"))


def refused(file: Path) -> str:
    with pytest.raises(NotCheckable) as told:
        unpacked(file)
    assert str(told.value).startswith(f"{file}: ")
    assert "\n" not in str(told.value)
    return str(told.value)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path)
    right = file.read_bytes()
    for position in range(0, len(right), 7):
        wrong = bytearray(right)
        wrong[position] ^= 1 << position % 8
        file.write_bytes(wrong)
        refused(file)


def test_every_truncated_file_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path)
    right = file.read_bytes()
    for length in (0, 1, 8, 100, len(right) // 2, len(right) - 1):
        file.write_bytes(right[:length])
        assert "truncated, altered or of another kind" in refused(file)
    file.write_bytes(right + b"\0")
    refused(file)


def test_other_files_are_named_as_such(tmp_path: Path) -> None:
    assert "no such file: expected one that parity record wrote" in refused(tmp_path / "missing")
    assert "no such file" in refused(tmp_path)
    file = tmp_path / "other"
    file.write_bytes(b"PK\x03\x04 a pickle in a zip, say, which is never opened")
    assert "expected a whole safetensors file" in refused(file)
    for metadata in (None, {"format": "pt"}, {METADATA: "no JSON"}, {METADATA: "[]"}, {METADATA: '{"format": "x"}'}):
        save_file({"weight": KERNEL}, file, metadata=metadata)
        assert "expected a file that parity record wrote, found other tensors" in refused(file)


def changed(file: Path, **entries: Any) -> None:
    """The file with other entries in its header, everything else as it was."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()[METADATA]) | entries
    file.write_bytes(save(load_file(file), metadata={METADATA: json.dumps(header)}))


def test_another_schema_version_is_refused_before_its_digest(tmp_path: Path) -> None:
    file = written(tmp_path)
    changed(file, schema_version=SCHEMA_VERSION + 1)
    assert f"expected schema version {SCHEMA_VERSION}, found {SCHEMA_VERSION + 1}" in refused(file)


def test_the_header_is_part_of_what_must_not_change(tmp_path: Path) -> None:
    file = written(tmp_path)
    changed(file)
    unpacked(file)
    changed(file, heading={"pair": "made", "seed": 4, "stages": ["init", "update"]})
    assert "altered since it was written: expected SHA-256 " in refused(file)


def test_a_header_that_lacks_something_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "made.parity"
    made = content()
    file.write_bytes(packed(made))
    import parity.golden.file as module

    header, stored = module._opened(file)
    del header["recordings"]["float64"]["provenance"]["device"]
    header["sha256"] = module._digest(header, stored)
    file.write_bytes(save(stored, metadata={METADATA: json.dumps(header)}))
    assert "its header is not as expected: TypeError" in refused(file)
