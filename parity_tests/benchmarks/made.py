"""Processes and results made up, so that what is done with them is tested without a framework and without a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks.business import Business
from benchmarks.case import Case
from benchmarks.process import VariantFailed

US = 1e-6
STEP_US = {
    "notebook": 1000.0,
    "stepped": 500.0,
    "fused": 400.0,
    "whole_run": 100.0,
    "compiled": 250.0,
    "many_seeds": 50.0,
}
RIGHT = {"outcome": "right", "reason": "", "float64": 0.1, "timed": 0.2, "power": 3.0}
CEILINGS = {
    "torch": {"flop_s": 1e15, "bytes_s": 1e12, "call_s": 1e-6, "launch_s": None, "graph_s": None},
    "jax": {"flop_s": 2e15, "bytes_s": 5e11, "call_s": 9e-6, "launch_s": None, "graph_s": None},
}
DESCRIBED = {
    "fault": "", "mantissa_bits": 23, "peak_bytes": None, "driver_bytes": None, "resident_bytes": 500_000_000,
    "kernels_per_step": None, "accuracy": {"notebook": 0.97, "test": 0.95},
    "provenance": {"versions": {"torch": "2"}, "device_name": "cpu", "threads": 2, "flags": {}},
}  # fmt: skip
MACHINE = {
    "processor": "a processor", "cores": 2, "memory_bytes": 2**34, "gpus": [], "system": "Linux", "python": "3.11.7",
    "versions": {"torch": "2.14"},
}  # fmt: skip
CONDITION = {"load": 0.1, "processor_mhz": 2000.0, "gpus": []}


class MadeProcess:
    """Answers as a worker would, at once. What it is asked is kept in `asked`, of all of them together."""

    def __init__(
        self, asked: list[tuple[str, str]], answers: Mapping[tuple[str, str], Any], case: Case, name: str
    ) -> None:
        self._asked, self._answers, self._case, self._name, self._runs = asked, answers, case, name, 0
        self._open = True
        asked.append((name, "begins"))

    def ask(self, task: str, *arguments: Any) -> Any:
        """What a worker of this variant says: `answers` first, of a list one after the other, then what is usual."""
        self._asked.append((self._name, task))
        given = self._answers.get((self._name, task))
        if isinstance(given, list):
            given = given.pop(0) if given else None
        if isinstance(given, BaseException):
            raise given
        return given if given is not None else self._usual(task, *arguments)

    def _usual(self, task: str, *arguments: Any) -> Any:
        framework, name = self._name.split()
        if task == "run":
            self._runs += 1
            step = STEP_US.get(name, 300.0) * (1.0 if framework == "torch" else 0.5) * (1 + 0.01 * (self._runs % 3))
            return {"seconds": step * US * self._case.steps * self._case.seeds, "settled": True}
        if task == "make_judge":
            arguments[0].parent.mkdir(parents=True, exist_ok=True)
            save_file({"losses": np.zeros(1)}, arguments[0])
        started = {"import_s": 1.0, "data_s": 0.5, "first_run_s": 2.0}
        usual = {"start": started, "check": RIGHT, "describe": DESCRIBED, "ceilings": CEILINGS[framework]}
        return usual.get(task)

    def kill(self) -> None:
        """The process ends at once."""
        self._asked.append((self._name, "killed"))

    def close(self) -> None:
        """The process ends, once."""
        if self._open:
            self._asked.append((self._name, "ends"))
        self._open = False


def processes(
    asked: list[tuple[str, str]], answers: Mapping[tuple[str, str], Any] | None = None
) -> Callable[[Case, str, Mapping[str, str], Path], MadeProcess]:
    """What stands in for `Process`."""
    return lambda case, name, environment, log: MadeProcess(asked, answers or {}, case, name)


FAILED = VariantFailed("RuntimeError: out of memory; its log is x.log")


@contextmanager
def quiet(others: float | None = 0.01) -> Iterator[Business]:
    """What stands in for `beside`: a machine that does hardly anything else, whatever this one does."""
    found = Business()
    yield found
    found.others = others
