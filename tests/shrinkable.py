"""Models that Shrink can follow, each with what it should do written down by hand.

A case names the layers that lose units together, the weights that make those units, and the
weights that read them: enough to say with NumPy alone which units go, and to zero the readers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras as keras

import tfcompress as tfc

L = keras.layers
Sizes = dict[str, int]


@dataclass(frozen=True)
class Reads:
    """An axis of a weight (`layer.attribute`) that has entries for the units of a layer."""

    weight: str
    axis: int
    of: str
    tile: int = 1
    repeat: int = 1


@dataclass(frozen=True)
class Case:
    """A model with its groups.

    Attributes:
        build: makes it, with other widths where asked.
        sizes: the width of every layer that can lose units.
        makes: for each group, (layer, attribute, axis, tile) of the weights that make its units.
        reads: who reads them.
        inputs: makes a batch.
    """

    name: str
    build: Callable[[Sizes], Any]
    sizes: Sizes
    makes: tuple[tuple[tuple[str, str, int, int], ...], ...]
    reads: tuple[Reads, ...]
    inputs: Callable[[], Any]


def floats(*shape: int) -> Callable[[], Any]:
    return lambda: np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)


def ids() -> Any:
    return np.random.default_rng(0).integers(0, 40, (6, 5)).astype(np.int32)


def mlp(n: Sizes) -> Any:
    return keras.Sequential(
        [
            L.Dense(n["first"], activation="relu", input_shape=(7,), name="first"),
            L.BatchNormalization(name="norm"),
            L.Dropout(0.5),
            L.Dense(n["second"], activation="tanh", input_shape=(n["first"],), name="second"),
            L.PReLU(name="slopes"),
            L.Dense(3, name="head"),
        ],
        name="mlp",
    )


def residual(n: Sizes) -> Any:
    x = keras.Input((7,), name="x")
    first = L.Dense(n["first"], name="first")(x)
    branch = L.Dense(n["inner"], activation="relu", name="inner")(first)
    both = L.Add(name="both")([first, L.Dense(n["first"], name="second")(branch)])
    return keras.Model(x, L.Dense(3, name="head")(L.Activation("relu")(both)), name="residual")


def convolutions(n: Sizes) -> Any:
    x = keras.Input((8, 8, 3), name="x")
    y = L.Conv2D(n["conv"], 3, padding="same", name="conv")(x)
    y = L.ReLU()(L.BatchNormalization(name="norm")(y))
    y = L.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(y)
    y = L.SeparableConv2D(n["separable"], 3, activation="relu", name="separable")(y)
    y = L.Flatten(name="flat")(L.MaxPooling2D()(y))
    return keras.Model(x, L.Dense(3, name="head")(y), name="convolutions")


def branches(n: Sizes) -> Any:
    x = keras.Input((8, 4), name="x")
    left = L.GlobalMaxPooling1D()(L.Conv1D(n["left"], 3, name="left")(x))
    right = L.Dense(n["right"], activation="relu", name="right")(L.Reshape((32,))(x))
    both = L.Concatenate(name="both")([left, right])
    return keras.Model(x, L.Dense(3, name="head")(both), name="branches")


def recurrent(n: Sizes) -> Any:
    x = keras.Input((5,), dtype="int32", name="x")
    y = L.Embedding(40, n["table"], name="table")(x)
    y = L.GRU(n["gru"], return_sequences=True, name="gru")(y)
    y = L.LSTM(n["lstm"], name="lstm")(y)
    return keras.Model(x, L.Dense(3, name="head")(y), name="recurrent")


def attention(n: Sizes) -> Any:
    x = keras.Input((5,), dtype="int32", name="x")
    rows = L.Embedding(40, n["table"], name="table")(x)
    y = L.MultiHeadAttention(n["heads"], 3, output_shape=12, name="heads")(rows, rows)
    return keras.Model(x, L.Dense(3, name="head")(L.GlobalAveragePooling1D()(y)), name="attention")


_KERNEL = ("kernel", 1, 1)
CASES = {
    case.name: case
    for case in [
        Case(
            "mlp", mlp, {"first": 16, "second": 10},
            ((("first", *_KERNEL),), (("second", *_KERNEL),)),
            (Reads("second.kernel", 0, "first"), Reads("head.kernel", 0, "second")),
            floats(7),
        ),
        Case(
            "residual", residual, {"first": 16, "inner": 8},
            ((("first", *_KERNEL), ("second", *_KERNEL)), (("inner", *_KERNEL),)),
            (
                Reads("inner.kernel", 0, "first"), Reads("second.kernel", 0, "inner"),
                Reads("head.kernel", 0, "first"),
            ),
            floats(7),
        ),
        Case(
            "convolutions", convolutions, {"conv": 8, "separable": 6},
            ((("conv", "kernel", 3, 1),), (("separable", "pointwise_kernel", 3, 1),)),
            (
                Reads("separable.pointwise_kernel", 2, "conv", repeat=2),
                Reads("head.kernel", 0, "separable", tile=4),
            ),
            floats(8, 8, 3),
        ),
        Case(
            "branches", branches, {"left": 8, "right": 6},
            ((("left", "kernel", 2, 1),), (("right", *_KERNEL),)),
            (Reads("head.kernel", 0, "left,right"),),
            floats(8, 4),
        ),
        Case(
            "recurrent", recurrent, {"table": 12, "gru": 8, "lstm": 6},
            (
                (("table", "embeddings", 1, 1),),
                (("gru", "cell.kernel", 1, 3), ("gru", "cell.recurrent_kernel", 1, 3)),
                (("lstm", "cell.kernel", 1, 4), ("lstm", "cell.recurrent_kernel", 1, 4)),
            ),
            (
                Reads("gru.cell.kernel", 0, "table"), Reads("gru.cell.recurrent_kernel", 0, "gru"),
                Reads("lstm.cell.kernel", 0, "gru"),
                Reads("lstm.cell.recurrent_kernel", 0, "lstm"),
                Reads("head.kernel", 0, "lstm"),
            ),
            ids,
        ),
        Case(
            "attention", attention, {"table": 12, "heads": 4},
            (
                (("table", "embeddings", 1, 1),),
                (
                    ("heads", "_query_dense.kernel", 1, 1), ("heads", "_key_dense.kernel", 1, 1),
                    ("heads", "_value_dense.kernel", 1, 1), ("heads", "_output_dense.kernel", 0, 1),
                ),
            ),
            (
                *(Reads(f"heads._{n}_dense.kernel", 0, "table") for n in ("query", "key", "value")),
                Reads("heads._output_dense.kernel", 0, "heads"),
            ),
            ids,
        ),
    ]
}  # fmt: skip


def built(name: str) -> Any:
    """The model of a case, with weights that no initializer would give it."""
    case = CASES[name]
    keras.utils.set_random_seed(1)
    return moved(case.build(case.sizes))


def moved(model: Any) -> Any:
    rng = np.random.default_rng(2)
    for variable in model.variables:
        variable.assign(np.asarray(variable) + rng.uniform(0.05, 0.5, variable.shape))
    return model


def at(model: Any, path: str) -> Any:
    """`layer.attribute` of a model."""
    name, *attributes = path.split(".")
    value = model.get_layer(name)
    for attribute in attributes:
        value = getattr(value, attribute)
    return value


def kept(case: Case, model: Any, keep: float, order: int = 2) -> dict[str, Any]:
    """Which units stay, bool, by the norms of the weights that make them: NumPy alone."""
    found = {}
    for group in case.makes:
        by_layer: dict[str, Any] = {}
        for layer, attribute, axis, tile in group:
            weight = np.abs(np.moveaxis(np.array(at(model, f"{layer}.{attribute}")), axis, 0))
            powers = (weight**order).reshape(tile, len(weight) // tile, -1).sum(axis=(0, 2))
            by_layer[layer] = by_layer.get(layer, 0) + powers
        scores = sum(powers ** (1 / order) for powers in by_layer.values())
        count = int(np.ceil(keep * len(scores)))
        mask = np.zeros(len(scores), bool)
        mask[np.argsort(-scores)[:count]] = True
        found.update({layer: mask for layer, *_ in group})
    return found


def masked(case: Case, model: Any, masks: dict[str, Any]) -> Any:
    """A copy in which whatever reads a unit that goes multiplies it by zero."""
    new = case.build(case.sizes)
    new.set_weights(model.get_weights())
    for one in case.reads:
        weight = at(new, one.weight)
        mask = np.concatenate([masks[name] for name in one.of.split(",")])
        mask = np.tile(np.repeat(mask, one.repeat), one.tile)
        shape = [-1 if axis == one.axis else 1 for axis in range(len(weight.shape))]
        weight.assign(np.array(weight) * mask.reshape(shape))
    return new


def spec_of(names: Any, *techniques: Any) -> Any:
    """These techniques for the layers of these names."""
    return tfc.Spec([tfc.rule(tfc.by_name(name), *techniques) for name in names])


def plans(model: Any, *rules: Any) -> Any:
    """The rows of a plan by path."""
    return {row.path: row for row in tfc.plan(model, tfc.Spec(rules)).layers}


def network(*layers: Any, width: int = 4) -> Any:
    """Input, a Dense layer of 8 named `d`, these layers, and a Dense head."""
    x = keras.Input((width,), name="x")
    y = L.Dense(8, name="d")(x)
    for layer in layers:
        y = layer(y)
    return keras.Model(x, L.Dense(3, name="head")(y), name="net")
