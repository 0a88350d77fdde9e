"""Small files of every mode that the export writes, to try on run times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfcompress.apply import apply, finalize
from tfcompress.calibration import observe
from tfcompress.errors import TfcompressError
from tfcompress.export import flatbuffer
from tfcompress.export.convert import convert
from tfcompress.export.export import export
from tfcompress.export.signature import Signature, default_signatures
from tfcompress.keras import keras, tf
from tfcompress.layers import DoubleHash, scores
from tfcompress.spec import Rule, Spec, Technique
from tfcompress.surgery import walk
from tfcompress.techniques import (
    Code,
    Factorize,
    PerBlock,
    PerTensor,
    Prune,
    Quantize,
    QuantizeActivations,
    Share,
)
from tfcompress.where import by_type

_layers = keras.layers
_ANY = 1e9  # weights that nothing was trained for are far off, and it does not matter here
_IDS, _LENGTH, _WIDTH = 64, 5, 32
_Techniques = tuple[Technique, ...]

SETTINGS: dict[str, _Techniques] = {
    "float32": (),
    "float16": (Quantize(16),),
    "8 bits": (Quantize(8),),
    "8 bits, one scale": (Quantize(8, PerTensor()),),
    "4 bits": (Quantize(4),),
    "4 bits, one scale": (Quantize(4, PerTensor()),),
    "4 bits, blocks": (Quantize(4, PerBlock(32)),),
    "2 bits": (Quantize(2),),
    "2 bits, one scale": (Quantize(2, PerTensor()),),
    "8 bits, integers": (Quantize(8), QuantizeActivations()),
    "4 bits, integers": (Quantize(4), QuantizeActivations()),
}
_TABLES: dict[str, _Techniques] = {
    "factorized": (Factorize(4),),
    "factorized, 4 bits": (Factorize(32), Quantize(4, PerTensor())),
    "coded": (Code(4, 8),),
    "coded, 8 bits": (Code(4, 8), Quantize(8)),
    "shared": (Share(DoubleHash(7), keep=2),),
    "shared, 8 bits": (Share(DoubleHash(7), keep=2), Quantize(8)),
}


class Retrieval(keras.Model):  # type: ignore[misc]
    """Histories int32 `[1, n]` to the best items over the table that they were looked up in."""

    def __init__(self) -> None:
        super().__init__(name="retrieval")
        self.table = _layers.Embedding(_IDS, _WIDTH)
        self.hidden = _layers.Dense(_WIDTH, "relu")

    def call(self, ids: Any) -> Any:
        """Scores and numbers of the best."""
        seen = tf.cast(ids != 0, tf.float32)[:, :, tf.newaxis]
        mean = tf.reduce_sum(self.table(ids) * seen, 1) / (tf.reduce_sum(seen, 1) + 1.0)
        best, items = tf.math.top_k(scores(self.hidden(mean), self.table), 3)
        return {"scores": best, "items": items}


def _retrieval() -> Any:
    model = Retrieval()
    model(np.zeros((1, _LENGTH), np.int32))
    return _with_biases(model)


def _dense() -> Any:
    layers = [_layers.Dense(64, "relu"), _layers.Dense(64), _layers.Dense(32, "sigmoid")]
    return _with_biases(keras.Sequential([keras.Input((64,)), *layers], name="dense"))


def _with_biases(model: Any) -> Any:
    """The model with every other bias not zero; the converter leaves those out that are."""
    for variable in [v for v in model.trainable_variables if "bias" in v.name][::2]:
        variable.assign(np.random.default_rng(0).normal(0.0, 0.1, variable.shape))
    return model


def _images() -> Any:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 32)),
            _layers.Conv2D(32, 3, padding="same", use_bias=False),
            _layers.BatchNormalization(),
            _layers.ReLU(),
            _layers.MaxPool2D(),
            _layers.DepthwiseConv2D(3, activation="relu6"),
            _layers.Conv2DTranspose(8, 2, strides=2),
            _layers.AveragePooling2D(),
            _layers.Flatten(),
            _layers.Dense(8),
        ],
        name="images",
    )
    return _with_biases(model)


def _sequences() -> Any:
    history = keras.Input((3, 32))
    attended = _layers.MultiHeadAttention(2, 16)(history, history)
    normed = _layers.LayerNormalization()(history + attended)
    projected = _layers.EinsumDense("abc,bcd->abd", (3, 32))(normed)
    read = _layers.GRU(32, unroll=True)(projected)
    again = _layers.LSTM(32)(projected)
    both = _layers.Concatenate()([read, again])
    model = keras.Model(history, _layers.Dense(4, "tanh")(both), name="sequences")
    return _with_biases(model)


MODELS: dict[str, Callable[[], Any]] = {
    "dense": _dense,
    "images": _images,
    "sequences": _sequences,
    "retrieval": _retrieval,
}


def _functions(x: Any) -> list[Any]:
    """What operators a model's own code may call, of x `[1, 4, 8]` between 0 and 1."""
    ids = tf.cast(x * 4.0, tf.int32)
    pairs = [x + 1.5, x - 0.5, x * 1.5, x / 1.5, tf.maximum(x, 0.5), tf.minimum(x, 0.5)]
    pairs += [x**1.5, tf.math.squared_difference(x, 0.5), tf.math.floormod(x, 0.3), x // 0.3]
    single = (
        "abs ceil cos elu exp floor negative relu relu6 round rsqrt sigmoid sign sin "
        "softplus sqrt square tanh"
    )
    found = [*pairs, *(_function(name)(x) for name in single.split())]
    found += [tf.math.log(x), tf.nn.leaky_relu(x - 0.5), tf.nn.gelu(x, True)]
    found += [tf.nn.log_softmax(x), tf.nn.softmax(x), tf.nn.l2_normalize(x[0], -1), tf.nn.silu(x)]
    found += [f(x, 1) for f in (tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_min)]
    found += [tf.reduce_prod(x, 1), tf.argmax(x, -1), tf.argmin(x, -1, tf.int32)]
    found += [tf.concat([x, x], 1), tf.stack([x, x]), *tf.unstack(x, axis=1)]
    found += [tf.pad(x, [[0, 0], [1, 0], [0, 0]]), tf.tile(x, [1, 2, 1]), tf.reverse(x, [1])]
    found += [tf.transpose(x, [0, 2, 1]), tf.squeeze(x, 0), tf.expand_dims(x, 2), x[:, 1:3]]
    found += [tf.split(x, 2, -1)[0], tf.slice(x, [0, 1, 0], [1, 2, 8]), tf.cumsum(x, 1)]
    found += [tf.gather(x, [1, 0], axis=1), tf.gather_nd(x, [[0, 1], [0, 2]])]
    found += [tf.gather(x[0], ids[0, :, :2], batch_dims=1), tf.where(x > 0.5, x, 0.0)]
    found += [tf.one_hot(ids[0, 0], 4), tf.matmul(x, x, transpose_b=True), tf.cast(ids, tf.float32)]
    found += [tf.cast(x > 0.5, tf.float32), tf.cast(ids, tf.int64), ids + 1, ids * 2, ids - 1]
    found += [ids == 1, ids != 1, x < 0.5, x <= 0.5, x >= 0.5, tf.equal(x, 0.5), ids < 2, ids > 1]
    found += [tf.logical_and(x > 0.2, x < 0.8), tf.logical_or(x < 0.2, x > 0.8)]
    found += [tf.logical_not(x > 0.2), tf.math.top_k(x, 2).values, tf.math.top_k(x, 2).indices]
    found += [
        tf.where(ids > 1, ids, 1),
        tf.maximum(ids, 1),
        tf.minimum(ids, 1),
        tf.reduce_sum(ids, 1),
    ]
    found += [tf.reduce_any(x > 0.5)]
    return found


def _function(name: str) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] = getattr(tf.math, name, None) or getattr(tf.nn, name)
    return found


def _plain_functions() -> bytes:
    model = keras.Sequential([keras.Input((1,)), _layers.Dense(1)])

    def call(model: Any, x: Any) -> dict[str, Any]:
        return {f"output_{i}": one for i, one in enumerate(_functions(x))}

    spec = tf.TensorSpec([1, 4, 8], tf.float32)
    return flatbuffer.compact(convert(model, {"serve": Signature(call, {"x": spec})}))


def _compressed(model: Any, techniques: _Techniques) -> Any:
    if not techniques:
        return model
    kinds = {type(held.layer).__name__ for held in walk(model)}
    rules = [Rule(by_type(kind), techniques) for kind in sorted(kinds)]
    compressed = apply(model, Spec(rules))
    if QuantizeActivations() in techniques:
        observe(compressed, [_batch(model)])
    return compressed


def _batch(model: Any) -> Any:
    rng = np.random.default_rng(0)
    if isinstance(model, Retrieval):
        return rng.integers(0, _IDS, (8, _LENGTH)).astype(np.int32)
    return rng.normal(size=(8, *model.input_shape[1:])).astype(np.float32)


def _exported(model: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return export(model, folder + "/model", tolerance=_ANY).model.read_bytes()


def _sparse(block: tuple[int, int]) -> bytes:
    rule = Rule(by_type("Dense") | by_type("Conv2D"), (Prune(0.9, block),))
    model = finalize(apply(_dense(), Spec([rule])))
    return flatbuffer.compact(convert(model, default_signatures(model), sparse=True))


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents; what a model cannot be exported in is left out."""
    yield "functions", _plain_functions()
    for block in ((1, 1), (4, 1), (16, 1)):
        yield f"dense, sparse in blocks of {block[0]}", _sparse(block)
    for name, build in MODELS.items():
        settings = {**SETTINGS, **(_TABLES if name == "retrieval" else {})}
        for setting, techniques in settings.items():
            keras.utils.set_random_seed(0)
            try:
                yield f"{name}, {setting}", _exported(_compressed(build(), techniques))
            except TfcompressError as error:
                print(f"{name}, {setting}: {error}")
