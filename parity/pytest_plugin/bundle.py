"""What a failed check leaves in a folder: its recordings, its verdict, and how to run it again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from parity.command.document import document, pair_entry, text
from parity.command.session import RED
from parity.pytest_plugin.asked import Asked
from parity.pytest_plugin.failure import headline
from parity.recording import Recording
from parity.verdict import Verdict

FOLDER = ".parity"
WEIGHTS = "weight_map.json"
READ = """\
Tensors are named stage/step/tensor. To read them:

    from safetensors.numpy import load_file
    arrays = load_file("{file}")
"""


def bundle(asked: Asked, verdict: Verdict, given: str | None) -> str:
    """Write the folder of one failed test, and tell where it is, or why it could not be written.

    It is below `given`, or below `.parity` in pytest's root folder, and is there as a whole or not at all.
    """
    parent = asked.started_in / given if given else asked.root / FOLDER
    target = parent / _name(asked.test)
    temporary, before = (target.with_name(f".{target.name}.{os.getpid()}.{which}") for which in ("new", "old"))
    try:
        temporary.mkdir(parents=True)
        if not given:
            (parent / ".gitignore").write_text("*\n", encoding="utf-8")
        _fill(temporary, asked, verdict)
        if target.exists():
            os.replace(target, before)
        os.replace(temporary, target)
    except Exception as error:
        # Whatever it is: the test has failed for another reason, which must be told.
        return f"no recordings were left in {target}: {type(error).__name__}: {error}"
    finally:
        for folder in (temporary, before):
            shutil.rmtree(folder, ignore_errors=True)
    inside = target.is_relative_to(asked.started_in)
    return f"recordings: {target.relative_to(asked.started_in) if inside else target}"


def _name(test: str) -> str:
    """A folder's name for a test: its own, without what cannot stand in one, and a digest that tells it from others."""
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', test)[-100:].strip('-.')}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"


def _fill(folder: Path, asked: Asked, verdict: Verdict) -> None:
    entry = pair_entry(asked.chosen.pair, asked.chosen.file, verdict)
    found = document(
        "pairs", [entry], command=asked.command, begun_at=datetime.now(UTC),
        seconds=verdict.seconds, exit_status=RED,
    )  # fmt: skip
    (folder / "verdict.json").write_text(text(found), encoding="utf-8")
    recordings = verdict.excerpt.recordings if verdict.excerpt else {}
    files = {f"{re.sub(r'[^A-Za-z0-9_-]+', '.', name)}.safetensors": name for name in recordings}
    for file, name in files.items():
        save(recordings[name], folder / file)
    if verdict.excerpt and verdict.excerpt.weight_map:
        verdict.excerpt.weight_map.save(folder / WEIGHTS)
    (folder / "README.txt").write_text(_readme(asked, verdict, list(files)), encoding="utf-8")


def save(recording: Recording, file: Path) -> None:
    """A recording as a safetensors file: its arrays as `stage/step/tensor`, its provenance as JSON in the header."""
    arrays = {
        f"{stage}/{step}/{tensor}": np.ascontiguousarray(array)
        for (stage, step), group in recording.groups.items()
        for tensor, array in group.items()
    }
    save_file(arrays, file, metadata={"provenance": json.dumps(recording.provenance.document())})


def _readme(asked: Asked, verdict: Verdict, files: list[str]) -> str:
    parts = [
        f"{asked.test} failed: pair {verdict.pair}",
        headline(verdict),
        f"Run it again, in {asked.folder}:\n\n    {shlex.join(asked.command)}",
        "verdict.json holds everything that was found, as `parity --json` writes it.",
    ]
    if verdict.excerpt and verdict.excerpt.weight_map:
        parts.append(f"{WEIGHTS} is the weight map between the two models, as `parity map` saves it.")
    if verdict.excerpt:
        listed = "\n".join(f"    {file}" for file in files)
        parts.append(f"Recorded up to the first difference, the initial parameters included:\n\n{listed}")
        parts.append(READ.format(file=files[0]).rstrip())
        if verdict.excerpt.left_out:
            parts.append(
                f"{verdict.excerpt.left_out} tensors were left out, so that this folder stays below 50 MB: the largest "
                "ones, and those that lie furthest before the difference."
            )
    return "\n\n".join(parts) + "\n"
