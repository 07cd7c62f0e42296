"""What the recordings of a golden were made of, and whether that is what is about to be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from parity.errors import NotCheckable
from parity.golden.declaration import declaration
from parity.golden.file import AGAIN
from parity.golden.kept import Kept
from parity.golden.sources import changed_since, sources
from parity.pair.optimizers import Optimizer
from parity.pair.pair import Pair
from parity.recording import Device, Framework
from parity.weight_map.outline import Outline, Shape


@dataclass(frozen=True)
class Heading:
    """What a golden is of.

    Attributes:
        pair: the name of the pair.
        declaration: a digest of what the pair declares of the recorded side.
        framework: the side that was recorded.
        seed, steps, stages, device: the settings of its runs.
        kept: what of them there is.
        loops: the side's own loops that were asked for, each with why it did not run, empty where it did.
        unmatched, apart, drew, remarks, idle: of the side, as `parity.sides.checked.CheckedSide` has them.
        outline: what torch's module is made of, from which the weight map is found; None where it is no module.
        optimizer: what torch's optimizer is, for a JAX side that names none; None where it has no translation.
        dropouts: the shapes of the masks that torch's side draws in each pass, which a JAX side may draw otherwise.
        sources: digests of the side's code, by module.
    """

    pair: str
    declaration: str
    framework: Framework
    seed: int
    steps: int
    stages: tuple[str, ...]
    device: Device
    kept: Kept
    loops: Mapping[str, str]
    unmatched: tuple[str, ...]
    apart: tuple[str, ...]
    drew: bool
    outline: Outline | None
    optimizer: Optimizer | None
    dropouts: Mapping[str, Sequence[Shape]]
    sources: dict[str, str]
    remarks: tuple[str, ...]
    idle: tuple[str, ...]

    @classmethod
    def of(cls, pair: Pair, framework: Framework, *, seed: int, device: Device, **others: Any) -> Heading:
        """The heading of a recording of this pair's side; `others` has what only the side itself can tell."""
        return cls(
            pair.name, declaration(pair, framework), framework, seed, pair.steps, pair.stages, device,
            sources=sources(pair.side(framework)), **others,
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """The heading as plain JSON values."""
        return asdict(self) | {"optimizer": self.optimizer and self.optimizer.document()}

    @classmethod
    def read(cls, document: Mapping[str, Any], file: Path) -> Heading:
        """The heading that `document` wrote.

        Raises:
            NotCheckable: it is another one.
        """
        try:
            kept = Kept(tuple(document["kept"]["steps"]), document["kept"]["given"])
            outline = None if document["outline"] is None else Outline.from_document(document["outline"])
            optimizer = document["optimizer"]
            told = {
                "optimizer": None if optimizer is None else Optimizer.from_document(optimizer),
                "dropouts": {name: [tuple(shape) for shape in shapes] for name, shapes in document["dropouts"].items()},
            }
            tuples = {name: tuple(document[name]) for name in ("stages", "unmatched", "apart", "remarks", "idle")}
            found = cls(**(dict(document) | tuples | told | {"kept": kept, "outline": outline}))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NotCheckable(f"{file}: its heading is not as expected: {error}: {AGAIN}") from error
        if found.framework not in get_args(Framework):
            raise NotCheckable(f"{file}: expected a side torch or jax, found {found.framework!r}: {AGAIN}")
        return found

    def fits(self, file: Path, pair: Pair, seed: int, device: Device) -> None:
        """Nothing, where the file is a recording of this.

        Raises:
            NotCheckable: it is one of something else.
        """
        expected = {
            "pair": (pair.name, "check that pair"),
            "seed": (seed, f"check with --seed {self.seed}"),
            "device": (device, f"check with --device {self.device}"),
            "steps": (pair.steps, f"check with --steps {self.steps}"),
            "stages": (pair.stages, "the pair declares other ones now"),
            "declaration": (declaration(pair, self.framework), f"the pair's {self.framework} side is declared anew"),
        }
        for name, (value, otherwise) in expected.items():
            found = getattr(self, name)
            if found != value:
                raise NotCheckable(
                    f"{file}: expected a recording of {name} {_short(value)}, found {_short(found)}: {otherwise}, "
                    "or record again with parity record"
                )

    @property
    def outdated(self) -> list[str]:
        """What a check against the recording lists: that the side's code is here, and is not what was recorded."""
        changed = ", ".join(changed_since(self.sources))
        return [f"recorded of other code than is here now: {changed}: record again"] if changed else []


def _short(value: object) -> str:
    """A value as an error tells it; of a digest its beginning."""
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text[:12] if len(text) == 64 else text
