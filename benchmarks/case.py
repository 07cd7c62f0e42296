"""What is timed: one of the three problems at one size, in one precision, on one device."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from parity.errors import NotCheckable

PROBLEMS = ("line_fit", "mlp", "mnist")
NETS = ("mlp", "mnist")
"""Those with an optimizer, and with products of matrices, which alone have a precision of their own."""
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Their Adam's. Source: Kingma and Ba, Adam, 2015, algorithm 1."""
PRECISIONS = ("float32", "tf32", "bfloat16")
DEVICES = ("cpu", "gpu")
LEARNING_RATES = {"line_fit": 0.05, "mlp": 0.03, "mnist": 0.03}
WIDTH, BATCH_SIZE, STEPS = 100, 1000, 100
"""The MNIST classifier's hidden units and images a step, and the steps of a run, as the notebook has them."""


@dataclass(frozen=True)
class Case:
    """A problem at one size. Width and batch size are MNIST's; the other problems have one size.

    Attributes:
        problem: one of `PROBLEMS`.
        precision: of products of matrices, one of `PRECISIONS`. In bfloat16, what comes out of a layer is rounded, too;
            parameters, Adam and the loss are float32's in all.
        device: "cpu" or "gpu".
        width: hidden units of MNIST's classifier.
        batch_size: images in the batch of a step.
        steps: training steps of a run.
        seed: what parameters and batch order are drawn from.
        seeds: how many seeds are trained together, `seed` the first of them; above 1 only `many_seeds` can.

    Raises:
        NotCheckable: any of them is out of its range.
    """

    problem: str = "mnist"
    precision: str = "float32"
    device: str = "cpu"
    width: int = WIDTH
    batch_size: int = BATCH_SIZE
    steps: int = STEPS
    seed: int = 0
    seeds: int = 1

    def __post_init__(self) -> None:
        for name, known in (("problem", PROBLEMS), ("precision", PRECISIONS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise NotCheckable(f"there is no {name} {getattr(self, name)!r}: expected {', '.join(known)}")
        for name in ("width", "batch_size", "steps", "seeds"):
            if getattr(self, name) < 1:
                raise NotCheckable(f"{name.replace('_', ' ')} is {getattr(self, name)}: expected 1 or more")
        if self.precision == "tf32" and self.device == "cpu":
            raise NotCheckable("tf32 needs a GPU: use --device gpu, or --precision float32")
        if self.precision != "float32" and self.problem not in NETS:
            raise NotCheckable(f"{self.problem} multiplies no matrices: use --precision float32")

    @property
    def learning_rate(self) -> float:
        """The notebook's learning rate of the problem."""
        return LEARNING_RATES[self.problem]

    @property
    def setting(self) -> str:
        """The frameworks' setting for products of float32. In bfloat16 the model itself rounds its factors."""
        return "tf32" if self.precision == "tf32" else "float32"

    @property
    def name(self) -> str:
        """The case in a word, as files and progress call it; sizes only where they are not the notebook's."""
        usual = Case(self.problem, self.precision, self.device)
        sizes = (("width", "w"), ("batch_size", "b"), ("steps", "t"), ("seed", "r"), ("seeds", "s"))
        others = [
            f"{short}{getattr(self, name)}" for name, short in sizes if getattr(self, name) != getattr(usual, name)
        ]
        return "-".join([self.problem, self.precision, self.device, *others])

    def document(self) -> dict[str, Any]:
        """The case as plain JSON values."""
        return asdict(self)


def layers_of(tensors: Iterable[str]) -> list[str]:
    """The names of the layers that have these parameters, first to last."""
    return sorted({name.partition(".")[0] for name in tensors})


def inputs_of(batch: Container[str]) -> str:
    """What a batch calls the inputs of its net: "images" of MNIST, "x" of the MLP."""
    return "images" if "labels" in batch else "x"
