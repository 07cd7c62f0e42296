"""What is finished of a benchmark, kept in its output folder one file a finding, so that a stopped one can go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parity.errors import NotCheckable

REQUEST = "request"


class Store:
    """The folder of one benchmark.

    Raises:
        NotCheckable: the folder cannot be written, or holds what was found for another request.
    """

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        try:
            (folder / "finished").mkdir(parents=True, exist_ok=True)
            before = self.get(REQUEST)
            if before is None:
                self.put(request, REQUEST)
        except OSError as error:
            raise NotCheckable(
                f"{folder}: cannot be written ({error.strerror}): name another folder by --output"
            ) from error
        if before is not None and before != request:
            raise NotCheckable(
                f"{folder} holds another benchmark, which asked for something else: name another folder by --output, "
                "or remove this one"
            )

    def file(self, *names: str, suffix: str = ".json") -> Path:
        """Where a finding is kept."""
        return self.folder.joinpath("finished", *names[:-1], names[-1] + suffix)

    def get(self, *names: str) -> Any:
        """A finding; None where it is not there yet."""
        file = self.file(*names)
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def put(self, found: Any, *names: str) -> None:
        """Keep a finding: all of it or nothing."""
        file = self.file(*names)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
        temporary.replace(file)

    def put_once(self, found: Any, *names: str) -> None:
        """Keep a finding unless there is one."""
        if self.get(*names) is None:
            self.put(found, *names)
