"""The process that a variant is timed in, seen from outside: asked one thing at a time, and ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.store import writing
from benchmarks.switches import clear
from benchmarks.variants import by_full_name

FAREWELL_S = 20
"""How long a process may take to end by itself."""
ANSWER_S = 3600
"""How long it may take to answer: a GPU that hangs says nothing."""


class VariantFailed(Exception):  # noqa: N818 -- named for what it says of the variant
    """A variant, or its process, could not do what it was asked: one line; the log has the rest."""


class Process:
    """A worker in a process of its own, which starts with `environment` and writes to `log`."""

    def __init__(self, case: Case, variant: str, environment: Mapping[str, str], log: Path) -> None:
        self._name, self._log = variant, log
        with writing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(there, case, variant, dict(environment), str(log)), daemon=False
        )
        with _deaf():
            self._process.start()
        there.close()

    def ask(self, task: str, *arguments: Any) -> Any:
        """What the worker's method of this name gives back.

        Raises:
            VariantFailed: it raised, the process ended, or there is no answer.
        """
        try:
            self._here.send((task, arguments))
            if not self._here.poll(ANSWER_S):
                self.kill()
                raise VariantFailed(f"no answer to {task} in {ANSWER_S} s; its log is {self._log}")
            kind, content = self._here.recv()
        except (EOFError, OSError) as error:
            self._process.join(FAREWELL_S)
            raise VariantFailed(
                f"the process ended with status {self._process.exitcode} at {task}; its log is {self._log}"
            ) from error
        if kind == "error":
            raise VariantFailed(f"{content}; its log is {self._log}")
        return content

    def kill(self) -> None:
        """End the process at once, whatever it is doing; who waits for its answer is told that it ended."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and wait until its memory is free again."""
        self._here.close()
        self._process.join(FAREWELL_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(FAREWELL_S)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Inside, what starts is deaf to Ctrl-C. A terminal sends it to all, and the benchmark hears it after."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover -- Windows
        yield
        return
    # Where Python begins this process of its own, it lets signals in again.
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, case: Case, variant: str, environment: dict[str, str], log: str) -> None:
    """Runs in the new process. Frameworks are imported only after the environment is set."""
    # Whoever interrupts the benchmark ends this process by closing the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # What this one starts, a compiler say, is not to inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    clear()
    os.environ.update(environment)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(written, standard)
    worker: Any = None
    while True:
        try:
            task, arguments = connection.recv()
        except EOFError:
            return
        try:
            if worker is None:
                from benchmarks.worker import Worker

                worker = Worker(case, by_full_name(variant))
            connection.send(("done", getattr(worker, task)(*arguments)))
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            first = (str(error).strip().splitlines() or [""])[0]
            connection.send(("error", f"{type(error).__name__}: {first}"))
