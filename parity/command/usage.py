"""How a mistake in the way a command line is written is told from every other error."""

from __future__ import annotations

import typer

BadUsage: type[BaseException] = typer.BadParameter.__mro__[1]
"""The base of every such error. Which module it is in depends on Typer's version."""
