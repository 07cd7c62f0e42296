"""The command lines of the problems: their options, one line for an error, and what is printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float
from rich.console import Console

from torchnet.data import DataError
from torchnet.loops import LOOPS, LoopError
from torchnet.settings import DEVICES, DTYPES, PRECISIONS, SettingsError

# What every mistake in the usage is, whatever the version of Typer.
_USAGE_ERROR: Any = typer.BadParameter.__base__


def _one_of(what: str, known: tuple[str, ...]) -> Any:
    return typer.Option(help=f"{what}: {', '.join(known)}.", show_choices=False, metavar="NAME")


Loop = Annotated[str, _one_of("How the steps are driven", tuple(LOOPS))]
Steps = Annotated[int, typer.Option(help="Training steps.", metavar="N")]
BatchSize = Annotated[int, typer.Option(help="Images in the batch of a step.", metavar="N")]
LearningRate = Annotated[float, typer.Option(help="Learning rate.", metavar="RATE")]
Seed = Annotated[int, typer.Option(help="What all draws come from, 0 or above.", metavar="N")]
Device = Annotated[str, _one_of("Where to compute", DEVICES)]
Dtype = Annotated[str, _one_of("Type of all numbers", DTYPES)]
Precision = Annotated[str, _one_of("Precision of float32 products", PRECISIONS)]
Data = Annotated[Path | None, typer.Option(help="IDX files to read instead of MNIST's archive.", metavar="FOLDER")]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision fetch MNIST instead.")]


def working(what: str) -> AbstractContextManager[Any]:
    """Inside, a terminal shows what is going on."""
    return Console(stderr=True).status(what)


def print_losses(losses: Float[np.ndarray, count]) -> None:
    """Print the loss before the first step and before the last."""
    print(f"loss {losses[0]:.6f} before step 1, {losses[-1]:.6f} before step {len(losses)}")


def run(main: Callable[..., None], arguments: list[str] | None = None) -> None:
    """Run a command line and leave with its exit status: 0, or 2 with one line that says why it could not be done.

    Raises whatever a fault of the code raises: only what the user can mend is one line.
    """
    application = typer.Typer(add_completion=False)
    application.command()(main)
    try:
        typer.main.get_command(application).main(arguments, standalone_mode=False)
    except (DataError, LoopError, SettingsError) as error:
        message = str(error)
    except _USAGE_ERROR as error:
        message = error.format_message()
    else:
        sys.exit(0)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
