"""Where the wings differ, and why: what the mirror lets pass, and the README's table of what differs."""

from __future__ import annotations

from typing import NamedTuple


class MayDiffer(NamedTuple):
    """One way in which the frameworks differ, and what it changes in the wings.

    `where` names the places, "file.py name" or "file.py", each with what differs there: "only torchnet", "only jaxnet",
    "signature", "docstring", "value", "body" (lines that mention a framework), "neutral body" (lines that do not), or
    several of them; or "nothing", where the wings make alike what the frameworks do not. What stands in backticks in
    `torchnet` and `jaxnet` is to be found in the wing's file.
    """

    where: dict[str, str]
    torchnet: str
    jaxnet: str
    why: str


EXCEPTIONS = (
    # What a model is
    MayDiffer(
        {"mlp.py MLP.__init__": "signature, body", "mnist.py Classifier.__init__": "signature, body"},
        "`nn.Linear` takes the two sizes",
        "`nnx.Linear` also takes `rngs` and `param_dtype`",
        "Flax draws from a source and into a dtype that it is given; PyTorch has a global one of each.",
    ),
    MayDiffer(
        {
            "mlp.py MLP.forward": "only torchnet",
            "mlp.py MLP.__call__": "only jaxnet",
            "mnist.py Classifier.forward": "only torchnet",
            "mnist.py Classifier.__call__": "only jaxnet",
        },
        "`forward`",
        "`__call__`",
        "PyTorch's own call runs hooks around `forward`; a Flax module is called as it is.",
    ),
    MayDiffer(
        {
            "arrays.py module_from_arrays": "body",
            "arrays.py module_to_arrays": "neutral body",
            "arrays.py _outline": "only jaxnet",
            "arrays.py _layers": "only jaxnet",
        },
        "a weight is (outputs, inputs)",
        "a `kernel` is (inputs, outputs)",
        "A linear layer multiplies by the transposed weight in PyTorch, and by the kernel as it is in Flax.",
    ),
    # What is random
    MayDiffer(
        {"draws.py draw_linear": "nothing"},
        "drawn in NumPy, uniform as in `torch.nn.Linear`",
        "the same lines",
        "Left alone, Flax draws weights from a truncated normal and starts biases at zero.",
    ),
    MayDiffer(
        {"draws.py generator": "nothing"},
        "`np.random.default_rng`, one for each purpose",
        "the same lines",
        "PyTorch has a global generator, JAX keys that are handed on: no seed gives both the same numbers.",
    ),
    # Gradients and updates
    MayDiffer(
        {"line_fit.py norm": "body"},
        "`torch.linalg.vector_norm`",
        "`jnp.where` before and behind `jnp.sqrt`",
        "At 0 the gradient of PyTorch's norm is 0, and that of `jnp.linalg.norm` is NaN.",
    ),
    MayDiffer(
        {"line_fit.py differentiate": "body"},
        "`torch.autograd.grad` of a value",
        "`jax.value_and_grad` of a function",
        "PyTorch records what is done to tensors; JAX traces the function.",
    ),
    MayDiffer(
        {"line_fit.py from_arrays": "neutral body", "line_fit.py update": "body"},
        "`requires_grad_` asks for gradients, `torch.no_grad` keeps the update out of them",
        "nothing to ask for",
        "In JAX you say what to differentiate by where you take the gradient.",
    ),
    MayDiffer(
        {"mnist.py accuracies": "body"},
        "`torch.no_grad`",
        "a plain call",
        "Only PyTorch would record the call for a gradient that nobody takes.",
    ),
    MayDiffer(
        {"mnist.py loss": "body"},
        "`cross_entropy`, which takes the mean",
        "`softmax_cross_entropy_with_integer_labels` of each example, then `jnp.mean`",
        "PyTorch's losses reduce by default, Optax's do not.",
    ),
    MayDiffer(
        {"mlp.py optimizer": "signature, body", "mnist.py optimizer": "signature, body"},
        "`optimizer(parameters: Iterable[Tensor], learning_rate` ...",
        "`optimizer(learning_rate` ...",
        "An optimizer of PyTorch holds the parameters that it updates; one of Optax is a pair of functions.",
    ),
    MayDiffer(
        {
            "loops.py take_step": "signature, docstring, body",
            "loops.py begin": "signature, docstring, body, neutral body",
            "loops.py end": "signature, docstring, body",
        },
        "`loss.backward()` and `optimizer.step()` change tensors in place",
        "`optax.apply_updates` gives a new model, and the `memory` of Adam is handed on",
        "State is inside PyTorch's objects; a function of JAX has none.",
    ),
    MayDiffer(
        {"loops.py begin": "body"},
        "Adam's `step` is a tensor in the run's dtype, in a CUDA graph on the GPU (`capturable`)",
        "Adam's `count` is int32",
        "PyTorch's own counter is float32, and a captured float64 step would take its bias corrections in float32.",
    ),
    MayDiffer(
        {"__init__.py FRAMEWORK": "value"},
        '`"torch"`',
        '`"jax", "flax", "optax"`',
        "What `python -m` asks to be installed: JAX leaves models and optimizers to other packages.",
    ),
    # How steps are driven
    MayDiffer(
        {"loops.py stepped": "body, neutral body", "loops.py one_step": "only jaxnet"},
        "each operation is started from Python",
        "a step is one program (`jax.jit`), and its arguments give up their memory (`donate_argnames`)",
        "PyTorch computes at once; JAX without jit would give up most of its speed.",
    ),
    MayDiffer(
        {
            "loops.py whole_run": "body",
            "loops.py _warm_up": "only torchnet",
            "loops.py _steps": "only jaxnet",
            "loops.py scan": "only jaxnet",
        },
        "`torch.cuda.CUDAGraph` records all steps, then replays them",
        "`jax.lax.scan`",
        "Each framework's way to take many steps without Python between them.",
    ),
    MayDiffer(
        {"loops.py many_seeds": "body", "loops.py scan_together": "only jaxnet", "functional.py": "only torchnet"},
        "`vmap` over gradients, and Adam written out as a function (`functional`)",
        "`jax.vmap` over the whole training",
        "`torch.optim` changes parameters in place, and so cannot be mapped over seeds.",
    ),
    MayDiffer(
        {
            "loops.py compiled": "only torchnet",
            "loops.py _compiled_step": "only torchnet",
            "loops.py _unchecked_shapes": "only torchnet",
            "loops.py LOOPS": "value",
        },
        "a loop more, `compiled`: `torch.compile`",
        "none, since `stepped` is compiled",
        "In PyTorch compiling is a choice.",
    ),
    MayDiffer(
        {"loops.py missing": "body"},
        "`whole_run` needs a GPU, `compiled` on a CPU a C++ compiler",
        "every loop runs everywhere",
        "CUDA graphs are NVIDIA's; JAX brings its compiler along.",
    ),
    MayDiffer(
        {"problem.py Feed.batch": "signature"},
        "`step: int`",
        "`step: Any`",
        "Inside a program of JAX the number of the step is traced, not known.",
    ),
    # Devices, dtypes and precision
    MayDiffer(
        {"settings.py computing": "body"},
        "`torch.set_float32_matmul_precision`",
        "`jax.default_matmul_precision`",
        "Left alone, float32 products on a GPU are float32 in PyTorch, and may be TF32 in JAX.",
    ),
    MayDiffer(
        {"settings.py computing": "body", "settings.py dtype_of": "body", "arrays.py to_device": "body"},
        "float64 is a dtype like any other",
        "float64 only inside `jax.enable_x64`",
        "By default JAX truncates 64-bit values to 32 bits.",
    ),
    MayDiffer(
        {"settings.py device_of": "body"},
        '`"cuda"`, after a look at `torch.cuda.is_available`',
        "`jax.devices`, which raises where there is none",
        "The frameworks name devices differently, and say in other ways that one is missing.",
    ),
    MayDiffer(
        {"arrays.py to_host": "neutral body"},
        "`tensor.detach().cpu().numpy()`",
        "`np.array(tensor)`",
        "A tensor of PyTorch that has a gradient, or is on a GPU, does not turn into NumPy by itself.",
    ),
    # MNIST
    MayDiffer(
        {
            "data.py _FILES": "value",
            "data.py _torchvision_datasets": "only torchnet",
            "data.py _read": "body",
            "data.py _read_cache": "only torchnet",
            "data.py _fill_cache": "only torchnet",
            "data.py _cache": "only torchnet",
            "data.py _is_original": "only torchnet",
            "data.py _unpack": "only torchnet",
            "data.py _read_folder": "signature, body",
            "data.py _read_idx": "signature, docstring, neutral body",
        },
        "`torchvision` reads the files, from a cache that is filled from the archive",
        "`np.load` and `np.frombuffer`",
        "JAX has no library of data sets.",
    ),
    MayDiffer(
        {
            "data.py read_mnist": "signature, docstring, neutral body",
            "data.py _download": "only torchnet",
            "data.py _read_archive": "neutral body",
            "command.py Download": "only torchnet",
            "mnist.py main": "signature, neutral body",
        },
        "`--download` lets torchvision fetch MNIST",
        "no such option",
        "torchvision can fetch MNIST.",
    ),
)
