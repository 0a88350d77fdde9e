"""MultiHeadAttention: its units are heads."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.surgery.dependencies.kinds import Axes, Axis, Kind
from tfcompress.surgery.dependencies.trace import Call, Trace
from tfcompress.surgery.dependencies.units import Labels


def _heads(trace: Trace, call: Call) -> list[Labels]:
    query, value, key = _attended(call)
    if len(call.widths) != 1:  # scores are returned too, with heads among their axes
        return trace.unknown(call)
    for port, labels in (("query", query), ("value", value), ("key", key)):
        trace.bind(call, port, labels)
    trace.own(call, "heads", call.layer._num_heads)
    reason = f"{trace.at(call.layer)} writes them, of which Shrink removes heads only"
    return [trace.units.fresh(call.widths[0], reason)]


def _attended(call: Call) -> tuple[Labels, Labels, Labels]:
    names = ("query", "value", "key")
    given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    query, value = call.labels_of(given["query"]), call.labels_of(given["value"])
    return query, value, value if given.get("key") is None else call.labels_of(given["key"])


def _projections(layer: Any) -> dict[str, Axes]:
    heads = Axis("heads")
    found: dict[str, Axes] = {"_output_dense.kernel": (heads, None, None)}
    for port in ("query", "value", "key"):
        found[f"_{port}_dense.kernel"] = (Axis(port), heads, None)
        found[f"_{port}_dense.bias"] = (heads, None)
    return found


def _attention_config(layer: Any, left: dict[str, int]) -> dict[str, Any]:
    config = layer.get_config()
    shapes = {port: list(config[f"{port}_shape"]) for port in ("query", "value", "key")}
    width = config["output_shape"] or shapes["query"][-1]  # else it would follow the query's
    for port, shape in shapes.items():
        shape[-1] = left[port]
    return {"output_shape": width, **{f"{p}_shape": tuple(s) for p, s in shapes.items()}}


def _build_projections(layer: Any) -> None:
    shapes = {port: layer.get_config()[f"{port}_shape"] for port in ("query", "value", "key")}
    for port, shape in shapes.items():
        _build(getattr(layer, f"_{port}_dense"), shape)
    _build(layer._output_dense, (*shapes["query"][:-1], layer._num_heads, layer._value_dim))


def _build(layer: Any, shape: Any) -> None:
    with tf.name_scope(layer.name):
        layer.build(tf.TensorShape(shape))


ATTENTION: dict[type, Kind] = {
    keras.layers.MultiHeadAttention: Kind(
        _heads,
        _projections,
        "heads",
        {"heads": "num_heads"},
        _attention_config,
        _build_projections,
    ),
}
