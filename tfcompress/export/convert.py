"""From Keras to a float32 TFLite model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from tfcompress.errors import ExportError
from tfcompress.export.signature import Signature
from tfcompress.export.tracing import tracing_for_a_file
from tfcompress.keras import tf
from tfcompress.surgery.walk import variables


def convert(model: Any, signatures: Mapping[str, Signature], sparse: bool = False) -> bytes:
    """A TFLite model in float32 with these signatures, made of built-in operators only.

    With `sparse` kernels that are mostly zero are written with indices and without their zeros.

    Raises:
        ExportError: the converter refused it; its message is kept.
    """
    module = tf.Module()
    # The variables and not the model: saving a Keras model would trace its call as well.
    module.kept = variables(model)
    with tracing_for_a_file():
        functions = {name: _traced(model, name, one) for name, one in signatures.items()}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(signatures)
        )
        if sparse:
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise ExportError(
                f"TFLite could not convert {type(model).__name__} {model.name!r}: {error}. "
                "Expected operators that LiteRT has built in."
            ) from error


def _traced(model: Any, name: str, signature: Signature) -> Any:
    specs = {name: tf.TensorSpec(s.shape, s.dtype, name) for name, s in signature.inputs.items()}

    def call(**inputs: Any) -> dict[str, Any]:
        return signature(model, **inputs)

    try:
        return tf.function(call).get_concrete_function(**specs)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"The signature {name!r} cannot be called with {specs}: {error}. Expected a function "
            "that takes these. Where a lookup reads an input, the file takes its ids, int32, and "
            "nothing else can read it as text."
        ) from error
