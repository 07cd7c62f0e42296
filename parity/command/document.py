"""What `--json` writes. docs/json.md explains it, docs/parity.schema.json is its schema."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from parity.pair.pair import Pair
from parity.recording import GRADIENT, Framework
from parity.replacing import replacing
from parity.verdict import Comparison, StageVerdict, Start, Verdict, worst

SCHEMA_VERSION = 1
"""Raised with every change that a reader of older documents would notice."""


@contextmanager
def destination(file: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a document to `file`, as `parity.replacing.replacing` does.

    Raises:
        NotCheckable: the folder is missing or cannot be written, the disk is full, or `file` is no regular file.
    """
    with replacing(file, f"--json {file}:") as write:
        yield lambda document: write(text(document).encode())


def text(document: Mapping[str, Any]) -> str:
    """The document as strict JSON. A number that JSON lacks becomes one of the strings "inf", "-inf" and "nan"."""
    return json.dumps(plain(document), indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """The value in what JSON has: NumPy's numbers become Python's, what is not finite becomes its name."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def version() -> str:
    """The version of the installed distribution; empty where the source runs without being installed."""
    try:
        return metadata.version("one-network-twice")
    except metadata.PackageNotFoundError:
        return ""


def document(
    section: str, entries: Sequence[Mapping[str, Any]], *, command: Sequence[str], begun_at: datetime, seconds: float,
    exit_status: int, not_checked: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:  # fmt: skip
    """The whole document, with the entries of what was found in their `section`, which is `pairs` or `seeds`."""
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "parity_version": version(),
        "command": list(command),
        "begun_at": begun_at.isoformat(timespec="seconds"),
        "seconds": seconds,
        "exit_status": exit_status,
        "outcome": worst(entry["outcome"] for entry in entries) if entries else "not checked",
        "pairs": [],
        "seeds": [],
        "not_checked": list(not_checked),
    }
    return found | {section: list(entries)}


def pair_entry(pair: Pair, file: Path, verdict: Verdict) -> dict[str, Any]:
    """All of one pair's verdict."""
    first = verdict.first_difference
    return {
        "pair": verdict.pair,
        "file": str(file),
        "outcome": verdict.outcome,
        "settings": {"seed": verdict.seed, "steps": verdict.steps, "device": verdict.device},
        "against": verdict.against and asdict(verdict.against) | {"names": verdict.against.names},
        "seconds": verdict.seconds,
        "first_difference": first and _comparison(first.comparison) | {"looks_like": first.looks_like},
        "starts": [_start(start) for start in verdict.starts],
        "stages": [_stage(stage) for stage in verdict.stages],
        "not_asked": verdict.not_asked,
        "float64_figures": float64_figures(verdict.comparisons),
        "scores": [_score(pair, score.name, score.total, score.right) for score in verdict.scores],
        "unseen": verdict.unseen,
        "listed": verdict.listed,
        "curves": {"losses": verdict.curves.losses, "band": verdict.curves.band},
        "loops": verdict.loops,
        "tensors": tensors(verdict.comparisons),
        "provenances": [provenance.document() for provenance in verdict.provenances],
    }


def _start(start: Start) -> dict[str, Any]:
    return start.key._asdict() | {"difference": start.difference, "where": start.where}


def seeds_entry(file: Path, verdict: Any) -> dict[str, Any]:
    """All of the comparison over seeds of one pair, a `parity.judging.seeds.SeedsVerdict`."""
    return asdict(verdict) | {"file": str(file)}


def _score(pair: Pair, name: str, total: int, right: Mapping[tuple[Framework, Any], int]) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = {}
    for (side, dtype), count in right.items():
        counts.setdefault(side, {})[dtype] = count
    on, published = pair.scored_on.get(name, name), pair.published.get(name)
    return {"name": name, "scored_on": on, "published": published, "total": total, "right": counts}


def _stage(stage: StageVerdict) -> dict[str, Any]:
    bfloat16 = {side: _comparison(nearest) for side, nearest in stage.bfloat16.items()}
    return {
        "stage": stage.stage,
        "outcome": stage.outcome,
        "reason": stage.reason,
        "compared": stage.compared,
        "float64": stage.float64 and _comparison(stage.float64),
        "float32": {side: _comparison(nearest) for side, nearest in stage.float32.items()},
        "power": stage.power,
        "kinds": stage.kinds,
    } | ({"bfloat16": bfloat16} if bfloat16 else {})


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "stage": comparison.key.stage,
        "step": comparison.key.step,
        "tensor": comparison.key.tensor,
        "dtype": comparison.dtype,
        "side": comparison.side,
        "loop": comparison.loop,
        "difference": comparison.difference,
        "eps": comparison.eps,
        "limit": comparison.limit,
        "power": comparison.power,
        "outcome": comparison.outcome,
        "note": comparison.note,
    }


def tensors(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """One entry for each stage, tensor, dtype, side and loop: its worst step, and how many steps were compared.

    The worst step is the one that exceeded its limit most, or came nearest to it. `power` is the smallest of all steps.
    """
    groups: dict[tuple[Any, ...], list[Comparison]] = {}
    for found in comparisons:
        name = (found.key.stage, found.key.tensor, found.dtype, found.side, found.loop)
        groups.setdefault(name, []).append(found)
    return [_tensor(group) for group in groups.values()]


def _tensor(group: Sequence[Comparison]) -> dict[str, Any]:
    worst = max(group, key=_badness)
    entry = _comparison(worst)
    entry["power"] = min((found.power for found in group if found.power is not None), default=None)
    entry["worst_step"] = entry.pop("step")
    return entry | {"compared": len(group), "differing": sum(found.outcome == "differ" for found in group)}


def _badness(comparison: Comparison) -> tuple[bool, bool, float]:
    ratio = comparison.difference / comparison.limit if comparison.limit else comparison.difference
    return comparison.outcome == "differ", comparison.outcome == "inconclusive", ratio


def float64_figures(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The largest float64 difference of losses, gradients, optimizer state and parameters over the trajectory.

    Of the engine's own steps (loop null), of each loop, and of all together; null where nothing was compared.
    """
    parameters = {found.key.tensor for found in comparisons if found.key.stage == "init"}
    rows: dict[str | None, dict[str, float | None]] = {}
    overall = _no_figures()
    for found in comparisons:
        if found.key.stage == "trajectory" and found.dtype == "float64":
            group = _group(found.key.tensor, parameters)
            for figures in (rows.setdefault(found.loop, _no_figures()), overall):
                figures[group] = max(figures[group] or 0.0, found.difference)
    return {"largest": overall, "by_loop": [{"loop": loop} | figures for loop, figures in rows.items()]}


def _no_figures() -> dict[str, float | None]:
    return dict.fromkeys(("losses", "gradients", "optimizer_state", "parameters"))


def _group(tensor: str, parameters: set[str]) -> str:
    if tensor == "loss":
        return "losses"
    if tensor.startswith(GRADIENT):
        return "gradients"
    return "parameters" if tensor in parameters else "optimizer_state"
