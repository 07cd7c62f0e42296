"""`parity record`: what the line leaves open `[tool.parity]` says, for the recording as for the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import parity.golden.check as golden
from parity.command.app import main

MADE = "from parity_tests.parity import made_verdicts\npair = made_verdicts.pair('a')"


@pytest.mark.parametrize(
    ("options", "seed", "device"),
    [([], 3, "gpu"), (["--seed", "0", "--device", "cpu"], 0, "cpu")],
    ids=["settings", "line"],
)
def test_what_the_line_leaves_open_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], seed: int, device: str,
) -> None:  # fmt: skip
    asked: list[dict[str, Any]] = []

    def write(pair: Any, framework: str, file: Path, **conditions: Any) -> None:
        asked.append({"pair": pair.name, "framework": framework} | conditions)
        file.write_bytes(b"")

    monkeypatch.setattr(golden, "write_golden", write)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(MADE)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.parity]\npairs = ["a.py"]\nseed = 3\ndevice = "gpu"\nloops = ["stepped"]'
    )
    assert main(["record", "a", "--side", "torch", "-o", "a.safetensors", *options]) == 0
    assert asked[0] | {"progress": None} == {
        "pair": "a", "framework": "torch", "seed": seed, "device": device, "loops": ("stepped",), "progress": None
    }  # fmt: skip
    assert f"seed {seed}, {device}, 0.0 MB" in capsys.readouterr().out
