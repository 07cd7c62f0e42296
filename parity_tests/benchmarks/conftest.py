"""What the benchmark's tests have: the judge of a case, which variants are held to; and nothing waits for the disk.

Nor do made results depend on what else this machine does.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import benchmarks.session
from benchmarks import judge
from benchmarks.case import Case
from parity_tests.benchmarks.made import quiet


@pytest.fixture(scope="session")
def judge_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """The file of a case's judge, made once for the session."""

    @functools.cache
    def made(case: Case) -> Path:
        file = tmp_path_factory.mktemp("judge") / "judge.safetensors"
        judge.make(case).save(file)
        return file

    return lambda case: made(dataclasses.replace(case, precision="float32", seeds=1))


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """The findings of made processes are thousands of files, and no power is lost here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _other_work_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.session, "beside", quiet)
