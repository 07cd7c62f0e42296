"""The command `parity`: its options, and every fault turned into one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback as tracebacks
from collections.abc import Sequence
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from parity.command.session import CANNOT, Request, Session, consoles, tell
from parity.errors import NotCheckable
from parity.recording import Device

HELP = (
    "Is a JAX model the same as a PyTorch model? Compares the two sides of a pair stage by stage, in float64 and then "
    "in float32 against that, and tells how many times further than the limit the nearest wrong program would be."
)
EPILOG = (
    "Exit status: 0 all pairs agree; 1 one differs, or is inconclusive (nothing differs, but that is not proven); "
    "2 one could not be checked, and none of the others ended with 1."
)
PAIR_HELP = (
    "A Python file that defines pair = Pair(...), an import path such as package.module:pair, or the name of a pair "
    "that pyproject.toml lists under tool.parity. Without any: all pairs listed there."
)
JSON_HELP = "Write everything that was found to FILE."
DEVICE_HELP = "Where both sides run. Default: what tool.parity says, or cpu."
SEED_HELP = "What data, initial parameters and batches are drawn from. Default: what tool.parity says, or 0."
LOOPS_HELP = (
    "Which of the sides' own loops to drive, separated by commas, or all. "
    "Default: what tool.parity says, or stepped,whole_run."
)
SEEDS_HELP = "Instead of the check: train N independent runs a side and compare the distributions of their scores."
INTERRUPTED = 130

# The base of every error in how a command line is written. Which module it is in depends on Typer's version.
BadUsage: type[BaseException] = typer.BadParameter.__mro__[1]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Where(StrEnum):
    """What `--device` takes."""

    cpu = "cpu"
    gpu = "gpu"


DEVICES: dict[Where | None, Device | None] = {None: None, Where.cpu: "cpu", Where.gpu: "gpu"}


def version() -> str:
    """The version of the installed distribution; empty where the source runs without being installed."""
    try:
        return metadata.version("one-network-twice")
    except metadata.PackageNotFoundError:
        return ""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"parity {version() or '(not installed)'}")
        raise typer.Exit


@app.command(help=HELP, epilog=EPILOG)
def check_pairs(
    context: typer.Context,
    pairs: Annotated[list[str] | None, typer.Argument(metavar="PAIR", help=PAIR_HELP, show_default=False)] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help=JSON_HELP, show_default=False)] = None,
    device: Annotated[Where | None, typer.Option(help=DEVICE_HELP, show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(min=0, help=SEED_HELP, show_default=False)] = None,
    loops: Annotated[str | None, typer.Option(metavar="NAMES", help=LOOPS_HELP, show_default=False)] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=2, help=SEEDS_HELP, show_default=False)] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help="Where code failed, show where on stderr.")] = False,
    version_wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> int:
    """What `parity` does with its options; the exit status."""
    request = Request(
        pairs or (), json, DEVICES[device], seed, loops, seeds, traceback,
        arguments=context.obj, version=version(),
    )  # fmt: skip
    out, err = consoles()
    session = Session(request, out, err)
    try:
        return session.run()
    except NotCheckable as error:
        session.tell_why_not(error)
        return CANNOT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's own) and return the exit status."""
    line = list(sys.argv[1:] if arguments is None else arguments)
    # Read when torch is loaded, which comes later. Where other work shares the cores, torch's threads would spin while
    # they wait for each other: beside two busy processes, steps take a quarter of the time with this, alone no more.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    command = typer.main.get_command(app)
    try:
        return int(command.main(line, prog_name="parity", standalone_mode=False, obj=tuple(line)) or 0)
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
        said = " ".join(str(error).split())
        tell(err, f"this is a fault of parity itself: {type(error).__name__}: {said} (--traceback shows where)")
        if show_traceback:
            tracebacks.print_exception(error, file=sys.stderr)
    return CANNOT
