"""Three problems in JAX: a line fit, an MLP and an MNIST classifier, and the ways to drive their training."""

import sys
from importlib.util import find_spec

FRAMEWORK = ("jax", "flax", "optax")
# Behind `python -m` only: whoever imports a wing wants the error as Python raises it.
if sys.argv[:1] == ["-m"] and (missing := [name for name in FRAMEWORK if find_spec(name) is None]):
    hint = f"pip install 'one-network-twice[{FRAMEWORK[0]}]'"
    print(f"error: {__name__} needs {missing[0]}, which is not installed: {hint}", file=sys.stderr)
    sys.exit(2)
