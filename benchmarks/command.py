"""The command: its options, and every fault turned into one line and an exit status."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from benchmarks.case import PRECISIONS, PROBLEMS
from parity.command.usage import BadUsage
from parity.errors import NotCheckable

DONE, RED, CANNOT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""Exit status: all that was to be timed was right (comparing: nothing is worse); something is wrong (worse); bad
usage, or nothing could be timed; stopped by the user; stopped by SIGTERM."""
HELP = (
    "Which side is faster, by how much, and how far from the machine: times variants of the three problems in PyTorch "
    "and in JAX, and counts only those that do what the float64 judge does. What is finished stays in the output "
    "folder, and the same command goes on from there. The command compare compares two results."
)
EPILOG = (
    "Exit status: 0 everything timed was right; 1 a variant was wrong or failed, or (compare) something became slower, "
    "is right no longer or is missing; 2 it could not be done; 130 stopped by Ctrl-C, 143 by SIGTERM."
)
VARIANT_HELP = "Only this variant, as 'stepped' on both sides or 'jax stepped' on one (names: benchmarks/README.md)"
OUTPUT_HELP = (
    "Folder for everything found. Default: build/benchmarks/ and the kind of run, such as quick-cpu or full-gpu."
)
WIDTH = 150
"""Columns of the tables where the output is no terminal."""

T = TypeVar("T")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Where(StrEnum):
    """What `--device` takes. Without it: a GPU where there is one."""

    cpu = "cpu"
    gpu = "gpu"


def _several(what: str, metavar: str = "NAME", **more: Any) -> Any:
    return typer.Option(help=f"{what}; may be given several times.", metavar=metavar, show_default=False, **more)


def _number(what: str, least: int) -> Any:
    return typer.Option(help=what, metavar="N", min=least, show_default=False)


@app.callback(invoke_without_command=True, help=HELP, epilog=EPILOG)
def measure(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="MNIST, float32, the main variants, three rounds.")] = False,
    device: Annotated[Where | None, typer.Option(help="Where to compute. Default: a GPU if there is one.")] = None,
    problem: Annotated[list[str] | None, _several(f"Only this problem: {', '.join(PROBLEMS)}")] = None,
    variant: Annotated[list[str] | None, _several(VARIANT_HELP)] = None,
    precision: Annotated[list[str] | None, _several(f"Only this precision: {', '.join(PRECISIONS)}")] = None,
    seeds: Annotated[list[int] | None, _several("Train so many seeds together", metavar="N", min=1)] = None,
    rounds: Annotated[int | None, _number("Rounds. Default: 10, with --quick 3.", least=2)] = None,
    steps: Annotated[int | None, _number("Steps of a run. Default: 100, in sweeps 20.", least=1)] = None,
    output: Annotated[Path | None, typer.Option(help=OUTPUT_HELP, metavar="FOLDER")] = None,
) -> int:
    """What `python -m benchmarks` does; the exit status."""
    if context.invoked_subcommand is not None:
        return DONE
    # Here and not above: what --help does not need is not loaded.
    from benchmarks.measure import measured
    from benchmarks.plan import Request

    where = _device(device)
    asked = (_once(problem), _variants(variant), _once(precision), _once(seeds))
    request = Request(quick, where, *asked, rounds=rounds, steps=steps)
    folder = output or Path("build", "benchmarks", f"{'quick' if quick else 'full'}-{where}")
    out, err = consoles()
    try:
        with _terminable():
            right = measured(request, folder, ["python", "-m", "benchmarks", *context.obj], out, err)
    except KeyboardInterrupt as stop:
        # Here, since some versions of Typer turn it into a status of their own without a word.
        _tell(f"stopped; what is finished is in {folder}, and the same command goes on from there")
        return TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED
    return DONE if right else RED


def _device(asked: Where | None) -> str:
    """Where to compute.

    Raises:
        NotCheckable: on a GPU, and there is none.
    """
    from benchmarks.machine import best_device

    best = best_device()
    if asked is Where.gpu and best != Where.gpu:
        raise NotCheckable("--device gpu: neither nvidia-smi nor /dev has a GPU: --device cpu is what there is")
    return asked.value if asked else best


def _once(named: Sequence[T] | None) -> tuple[T, ...]:
    """What an option names, each only once."""
    return tuple(dict.fromkeys(named or ()))


def _variants(named: Sequence[str] | None) -> tuple[str, ...]:
    """The same of variants, of which 'stepped' names 'jax stepped' too."""
    names = _once(named)
    return tuple(name for name in names if " " not in name or name.rpartition(" ")[2] not in names)


class _Terminated(KeyboardInterrupt):
    """Somebody ends the benchmark by SIGTERM, as a scheduler or a container does."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM is an interrupt as Ctrl-C is: processes are ended, and the time so far is kept."""

    def stop(*_: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A result.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A later result.json.")],
    other_machine: Annotated[bool, typer.Option("--other-machine", help="Also if the machines differ.")] = False,
) -> int:
    """Compare two results and exit with 1 if anything became slower, is no longer right, or is missing."""
    from benchmarks.compare import WORSE
    from benchmarks.compare import compare as compared
    from benchmarks.reading import read
    from benchmarks.tables import show_changes

    found = compared(read(old), read(new), other_machine)
    show_changes(consoles()[0], found)
    return RED if any(change.says in WORSE for change in found.changes) else DONE


def consoles() -> tuple[Console, Console]:
    """Stdout and stderr; a table is as wide as it needs where no terminal says how wide it may be."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = WIDTH
    return out, Console(stderr=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's own) and return the exit status."""
    line = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:
        return int(command.main(line, prog_name="python -m benchmarks", standalone_mode=False, obj=tuple(line)) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except NotCheckable as error:
        _tell(str(error))
    except BadUsage as error:
        said = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        _tell(f"{said} (--help tells what there is)")
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        _tell(f"this is a fault of the benchmark itself: {type(error).__name__}: {' '.join(str(error).split())}")
    return CANNOT


def _tell(line: str) -> None:
    consoles()[1].print(f"benchmarks: {line}", soft_wrap=True, markup=False, highlight=False)
