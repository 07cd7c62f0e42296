"""The judge of a case, which several tests hold variants to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import judge
from benchmarks.case import Case


@pytest.fixture(scope="session")
def judge_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """The file of a case's judge, made once for the session."""

    @functools.cache
    def made(case: Case) -> Path:
        file = tmp_path_factory.mktemp("judge") / "judge.safetensors"
        judge.make(case).save(file)
        return file

    return lambda case: made(dataclasses.replace(case, precision="float32", seeds=1))
