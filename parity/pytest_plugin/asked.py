"""What a test asked to be checked, and how to ask for it again."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.command.pairs import Chosen
from parity.command.settings import Settings


@dataclass(frozen=True)
class Asked:
    """One check of a test.

    Attributes:
        test: the test's name, as pytest takes it in its root folder.
        chosen: the pair.
        as_object: whether the test gave the pair itself, which no command line can name.
        conditions: seed, device, loops and dtypes of the check.
        configured: `[tool.parity]` as it holds there.
        root: pytest's root folder.
        started_in: the folder that pytest was started in.
    """

    test: str
    chosen: Chosen
    as_object: bool
    conditions: dict[str, Any]
    configured: Settings
    root: Path
    started_in: Path

    @property
    def pair_file(self) -> Path | None:
        """The pair file; None where the pair came from elsewhere."""
        return None if self.as_object else self.chosen.pair_file

    @property
    def command(self) -> list[str]:
        """The command line that checks the same: `parity` on the pair, or pytest where `parity` cannot be told that."""
        loops = self.conditions["loops"]
        if self.as_object or loops == () or set(self.conditions["dtypes"]) != set(self.chosen.pair.dtypes):
            return ["pytest", self.test]
        named = self.chosen.path or Path(os.path.relpath(self.chosen.file, self.chosen.base)).as_posix()
        line = ["parity", "check", named, "--seed", str(self.conditions["seed"]), "--device", self.conditions["device"]]
        if loops != self.configured.loops:
            line += ["--loops", "all" if loops is None else ",".join(loops)]
        return line

    @property
    def folder(self) -> Path:
        """Where to call the command."""
        return self.root if self.command[0] == "pytest" else self.chosen.base

    def __str__(self) -> str:
        line = shlex.join(self.command)
        return line if self.folder == self.started_in else f"cd {shlex.quote(str(self.folder))} && {line}"
