"""The command `parity`: its options, and every fault turned into one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback as tracebacks
from collections.abc import Callable, Sequence
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from parity.command.document import version
from parity.command.mapping import map_pair
from parity.command.pairs import PAIR_FILE
from parity.command.recording import record_into
from parity.command.session import CANNOT, Request, Session, consoles, own_fault, tell
from parity.command.usage import BadUsage
from parity.errors import NotCheckable
from parity.recording import Device, Framework

# What stands behind \b keeps its lines.
HELP = (
    "Is a JAX model the same as a PyTorch model? parity FILE.py checks the pair that FILE.py defines, as parity check "
    "FILE.py does. Such a file is, for instance:\n\n\b\n" + PAIR_FILE
)
CHECK_HELP = (
    "Compare the two sides of a pair stage by stage, in float64 and then in float32 against that, and tell how many "
    "times further than the limit the nearest wrong program would be."
)
RECORD_HELP = (
    "Record one side of a pair with everything that a check asks of it, so that parity check PAIR --against FILE needs "
    "the other framework only."
)
MAP_HELP = (
    "Print the weight map of a pair, which is found from its two models: for each tensor of torch's the JAX leaf that "
    "holds the same numbers, and how they are laid out there. Pair(weight_map={...}) corrects it."
)
EPILOG = (
    "Exit status: 0 all pairs agree; 1 one differs, or is inconclusive (neither is proven); "
    "2 one could not be checked, and none of the others ended with 1."
)
ONE_PAIR_HELP = (
    "A Python file that defines pair = Pair(...), an import path such as package.module:pair, or the name of a pair "
    "that pyproject.toml lists under tool.parity."
)
PAIR_HELP = f"{ONE_PAIR_HELP} Without any: all pairs listed there."
JSON_HELP = "Write everything that was found to FILE."
DEVICE_HELP = "Where it runs. Default: what tool.parity says, or cpu."
SEED_HELP = "Seed for data, initial parameters and batches. Default: what tool.parity says, or 0."
LOOPS_HELP = (
    "Which of the sides' own loops to drive, separated by commas, or all. "
    "Default: what tool.parity says, or stepped,whole_run."
)
AGAINST_HELP = (
    "Run one side only and compare it with the other as parity record wrote it to FILE, which then is the judge."
)
RUNNING_HELP = (
    "With --against: the framework of the side that runs. Default: the other than was recorded; the same one compares "
    "two versions of it."
)
STEPS_HELP = "Take only the first N steps of the pair."
TRACEBACK_HELP = "Where code failed, show where on stderr."
SAVED_HELP = "Save the map as JSON to FILE, too; parity.WeightMap.load reads it."
SEEDS_HELP = "Instead of the check: train N independent runs a side and compare the distributions of their scores."
INTERRUPTED = 130
DEFAULT = "check"
"""The command of a line that names none."""


class Commands(TyperGroup):
    """The commands, whose help is told together with the command's own."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of the command and of each of its commands."""
        super().format_help(ctx, formatter)
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            assert command is not None
            command.format_help(type(ctx)(command, info_name=name, parent=ctx), formatter)


app = typer.Typer(cls=Commands, help=HELP, epilog=EPILOG, add_completion=False, pretty_exceptions_enable=False)


class Where(StrEnum):
    """What `--device` takes."""

    cpu = "cpu"
    gpu = "gpu"


class Which(StrEnum):
    """What `--side` takes."""

    torch = "torch"
    jax = "jax"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"parity {version() or '(not installed)'}")
        raise typer.Exit


@app.command("check", help=CHECK_HELP)
def check_pairs(
    context: typer.Context,
    pairs: Annotated[list[str] | None, typer.Argument(metavar="PAIR", help=PAIR_HELP, show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help=JSON_HELP, show_default=False)] = None,
    device: Annotated[Where | None, typer.Option(help=DEVICE_HELP, show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP, show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help=STEPS_HELP, show_default=False)] = None,
    loops: Annotated[str | None, typer.Option(metavar="NAMES", help=LOOPS_HELP, show_default=False)] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=2, help=SEEDS_HELP, show_default=False)] = None,
    against: Annotated[Path | None, typer.Option(metavar="FILE", help=AGAINST_HELP, show_default=False)] = None,
    side: Annotated[Which | None, typer.Option(help=RUNNING_HELP, show_default=False)] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help=TRACEBACK_HELP)] = False,
    version_wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> int:
    """What `parity check` does with its options; the exit status."""
    request = Request(
        pairs=pairs or (), json=json, device=_device(device), seed=seed, loops=loops, seeds=seeds, traceback=traceback,
        against=against, side=_side(side) if side else None, steps=steps, arguments=context.obj,
    )  # fmt: skip
    session = Session(request, *consoles())
    return _run(session, session.run)


@app.command("record", help=RECORD_HELP)
def record_pair(
    context: typer.Context,
    pair: Annotated[str, typer.Argument(metavar="PAIR", help=ONE_PAIR_HELP, show_default=False)],
    side: Annotated[Which, typer.Option(help="Which side is recorded.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.", show_default=False)],
    device: Annotated[Where | None, typer.Option(help=DEVICE_HELP, show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP, show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help=STEPS_HELP, show_default=False)] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help=TRACEBACK_HELP)] = False,
) -> int:
    """What `parity record` does with its options; the exit status."""
    request = Request(
        (pair,), device=_device(device), seed=seed, traceback=traceback, side=_side(side), steps=steps,
        arguments=context.obj,
    )  # fmt: skip
    session = Session(request, *consoles())
    return _run(session, lambda: record_into(session, output))


@app.command("map", help=MAP_HELP)
def print_map(
    context: typer.Context,
    pair: Annotated[str, typer.Argument(metavar="PAIR", help=ONE_PAIR_HELP, show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=SAVED_HELP, show_default=False)
    ] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help=TRACEBACK_HELP)] = False,
) -> int:
    """What `parity map` does with its options; the exit status."""
    session = Session(Request((pair,), traceback=traceback, arguments=context.obj), *consoles())
    return _run(session, lambda: map_pair(session, output))


def _run(session: Session, work: Callable[[], int]) -> int:
    try:
        return work()
    except NotCheckable as error:
        session.tell_why_not(error)
        return CANNOT


def _device(where: Where | None) -> Device | None:
    return None if where is None else "gpu" if where is Where.gpu else "cpu"


def _side(which: Which) -> Framework:
    return "torch" if which is Which.torch else "jax"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's own) and return the exit status."""
    line = list(sys.argv[1:] if arguments is None else arguments)
    # Read when torch is loaded, which comes later. Torch's threads would spin while they wait for each other, which
    # beside other work keeps the one that is waited for from its core: the check of the MLP takes 8.4 s of CPU time
    # with GOMP_SPINCOUNT=10000, 6.1 s without spinning, that of MNIST 32 s and 23 s; OpenMP's default is the worst.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # As stderr has it: what took minutes to find is not lost to a letter of a name that stdout's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(app)
    named = line if line and line[0] in (*command.commands, "--help") else [DEFAULT, *line]  # type: ignore[attr-defined]
    try:
        return int(command.main(named, prog_name="parity", standalone_mode=False, obj=tuple(line)) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout has left. It is closed once more when the process ends, which must not fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT
    except Exception as error:
        return _fault(error, "--traceback" in line)


def _fault(error: Exception, show_traceback: bool) -> int:
    """One line on bad usage, or on a fault of `parity` itself."""
    err = consoles()[1]
    if isinstance(error, BadUsage):
        said = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        tell(err, f"{said} (parity --help tells what there is)")
    else:
        tell(err, own_fault(error))
        if show_traceback:
            tracebacks.print_exception(error, file=sys.stderr)
    return CANNOT
