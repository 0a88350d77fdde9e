"""What a file can be asked: named functions of a model with fixed inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import ExportError
from tfcompress.keras import tf


@dataclass(frozen=True)
class Signature:
    """A function of the model, with the names, shapes and types of its inputs.

    Args:
        function: from (model, **inputs) to a dict of named output tensors, or one tensor. It is
            given the compressed model, so it must not hold one itself.
        inputs: for each input its `TensorSpec`; one dimension may be open (None).

    Example:
        >>> import tensorflow as tf
        >>> Signature(lambda model, x: model(x), {"x": tf.TensorSpec([1, 4])}).inputs["x"].shape[1]
        4
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]

    def __call__(self, model: Any, **inputs: Any) -> dict[str, Any]:
        """The named outputs."""
        outputs = self.function(model, **inputs)
        return dict(outputs) if isinstance(outputs, Mapping) else {"output": outputs}


def default_signatures(model: Any) -> dict[str, Signature]:
    """One signature that calls the model, for a model that Keras knows the inputs of.

    Raises:
        ExportError: a model that was never called on tensors.
    """
    spec = getattr(model, "_saved_model_inputs_spec", None)
    inputs = getattr(model, "inputs", None) or (tf.nest.flatten(spec) if spec is not None else None)
    if not inputs:
        raise ExportError(
            f"{type(model).__name__} {model.name!r} was never called, so that its inputs are "
            "unknown. Call it once on a batch, or pass signatures={name: Signature(...)}."
        )
    structure = model.input if getattr(model, "inputs", None) else spec
    specs = {_name(t, i): tf.TensorSpec(_one(t.shape), t.dtype) for i, t in enumerate(inputs)}

    def call(model: Any, **tensors: Any) -> Any:
        flat = [tensors[name] for name in specs]
        return model(tf.nest.pack_sequence_as(structure, flat), training=False)

    return {"serve": Signature(call, specs)}


def _name(tensor: Any, index: int) -> str:
    name = str(getattr(tensor, "name", None) or f"input_{index}")
    return name.split(":")[0].replace("/", "_")


def _one(shape: Any) -> list[int]:
    return [1 if size is None else int(size) for size in shape]
