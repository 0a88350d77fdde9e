"""How each system makes a file of a trained Keras model, at the settings its documents give.

A system is a function of a `Subject` and of a float32 file that TensorFlow's converter made of it;
it returns the content of a file, or something else to ask and time, or raises what the user of the
system would see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
from litert_quantizer import quantizer, recipe
from litert_quantizer.algorithm_manager import AlgorithmName

from benchmarks.peers.made import Made
from benchmarks.peers.subject import Subject
from tfcompress import Signature
from tfcompress.keras import tf

System = Callable[[Subject, bytes], bytes | Made]


def saved(subject: Subject, folder: Path) -> Path:
    """The model as a SavedModel with its signatures, which is what converters take."""
    functions = {name: _traced(subject.model, one) for name, one in subject.signatures.items()}
    tf.saved_model.save(subject.model, str(folder), signatures=functions)
    return folder


def _traced(model: Any, signature: Signature) -> Any:
    named = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.inputs.items()
    }
    return tf.function(lambda **inputs: signature(model, **inputs)).get_concrete_function(**named)


def plainly(converter: Any, _: Subject) -> None:
    """Leaves a converter as it is: float32."""


def converted(subject: Subject, setting: Callable[[Any, Subject], None] = plainly) -> bytes:
    """What `tf.lite.TFLiteConverter` makes of the model."""
    with tempfile.TemporaryDirectory() as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved(subject, Path(folder) / "model")), signature_keys=list(subject.signatures)
        )
        setting(converter, subject)
        content: bytes = converter.convert()
    return content


def float16(converter: Any, _: Subject) -> None:
    """Weights in float16."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic_range(converter: Any, _: Subject) -> None:
    """Weights in int8, one scale a matrix or a channel as the converter chooses."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _full_integer(converter: Any, subject: Subject) -> None:
    def examples() -> Any:
        for name, batches in subject.calibration.items():
            for batch in batches:
                yield name, {key: np.asarray(value) for key, value in batch.items()}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples


def _only_integers(converter: Any, subject: Subject) -> None:
    _full_integer(converter, subject)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


def _tflite(setting: Callable[[Any, Subject], None]) -> System:
    return lambda subject, _: converted(subject, setting)


def _litert(chosen: Any) -> System:
    """A recipe of litert-quantizer, on the plain conversion."""

    def made(subject: Subject, plain: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "float32.tflite"
            path.write_bytes(plain)
            maker = quantizer.Quantizer(str(path), chosen)
            found = None
            if maker.need_calibration:
                data = {name: list(batches) for name, batches in subject.calibration.items()}
                found = maker.calibrate(data, num_threads=1)
            return bytes(maker.quantize(found).quantized_model)

    return made


def _tfmot(taken: Callable[[Any], Any]) -> System:
    """A way of TF-MOT, all of which train the model that they took. They take no subclassed one."""

    def made(subject: Subject, _: bytes) -> bytes:
        taken(subject.model)
        raise RuntimeError("it takes the model, which then is to be trained; not done here")

    return made


def _pruned(model: Any) -> Any:
    sparsity = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0)
    return tfmot.sparsity.keras.prune_low_magnitude(model, sparsity)


def _clustered(model: Any) -> Any:
    start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    return tfmot.clustering.keras.cluster_weights(model, 16, start)


def _keras(scheme: str) -> System:
    def made(subject: Subject, _: bytes) -> bytes:
        subject.model.quantize(scheme)
        return converted(subject)

    return made


SYSTEMS: Mapping[str, System] = {
    "TFLite, float32": lambda _, plain: plain,
    "TFLite, float16": _tflite(float16),
    "TFLite, dynamic range": _tflite(dynamic_range),
    "TFLite, int8 with float fallback": _tflite(_full_integer),
    "TFLite, int8 only": _tflite(_only_integers),
    "litert-quantizer, dynamic int8": _litert(recipe.dynamic_wi8_afp32()),
    "litert-quantizer, dynamic int8, OCTAV": _litert(recipe.dynamic_wi8_afp32(AlgorithmName.OCTAV)),
    "litert-quantizer, weights int8": _litert(recipe.weight_only_wi8_afp32()),
    "litert-quantizer, static int8": _litert(recipe.static_wi8_ai8()),
    "litert-quantizer, static int8/int16": _litert(recipe.static_wi8_ai16()),
    "litert-quantizer, dynamic int4": _litert(recipe.dynamic_wi4_afp32()),
    "litert-quantizer, dynamic int4, OCTAV": _litert(recipe.dynamic_wi4_afp32(AlgorithmName.OCTAV)),
    "litert-quantizer, dynamic int4, GPTQ": _litert(recipe.dynamic_wi4_afp32(AlgorithmName.GPTQ)),
    "litert-quantizer, dynamic int4, Hadamard": _litert(recipe.dynamic_wi4c_hr_afp32()),
    "litert-quantizer, weights int4": _litert(recipe.weight_only_wi4_afp32()),
    "litert-quantizer, dynamic int4, blocks of 32": _litert(recipe.dynamic_wi4b32_afp32()),
    "litert-quantizer, dynamic int4, blocks of 64": _litert(recipe.dynamic_wi4b64_afp32()),
    "litert-quantizer, dynamic int2": _litert(recipe.dynamic_wi2c_afp32()),
    "litert-quantizer, dynamic int2, Hadamard": _litert(recipe.dynamic_wi2c_hr_afp32()),
    "litert-quantizer, dynamic int2, blocks of 32": _litert(recipe.dynamic_wi2b32_afp32()),
    "TF-MOT, pruning": _tfmot(_pruned),
    "TF-MOT, clustering": _tfmot(_clustered),
    "TF-MOT, quantization-aware training": _tfmot(tfmot.quantization.keras.quantize_model),
    "Keras, quantize int8": _keras("int8"),
    "Keras, quantize int4": _keras("int4"),
}
