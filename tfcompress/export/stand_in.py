"""Small tables in the place of those that stay in their files, for the converter to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.keras import keras, tf
from tfcompress.layers import Compressed, FactorizedEmbedding, FakeQuantizer, MappedEmbedding
from tfcompress.layers.grid import levels, stored_bits
from tfcompress.streaming import magnitudes
from tfcompress.surgery import Replacements, copy_model, replace_layers, walk

Array = np.ndarray[Any, Any]
MOST = 20_011  # rows of a stand-in: as many as any score is asked for, and few to convert
_SAMPLE = 1_000


@dataclass(frozen=True)
class Coded:
    """Rows of a table as a file holds them.

    Attributes:
        codes: bytes `[n, width * bits / 8]`, or floats as bytes.
        scales: float32 `[n]` for rows, float16 `[n, blocks]` for blocks; None: there is one.
    """

    codes: Array
    scales: Array | None


def coded(rows: Array, quantizer: FakeQuantizer | None) -> Coded:
    """Rows `[n, width]`, float32, on the grid that Keras computes with.

    Example:
        >>> coded(np.array([[7, -7, 1, 0]], np.float32), FakeQuantizer(4, 0)).codes.tolist()
        [[151, 1]]
    """
    if quantizer is None:
        return Coded(np.ascontiguousarray(rows).view(np.uint8), None)
    rows = tf.constant(rows)
    codes = pack(quantizer.codes(rows).numpy(), stored_bits(quantizer.bits))
    if quantizer.channel_axis is None:
        return Coded(codes, None)
    steps = quantizer.steps(rows).numpy()
    if quantizer.block:
        return Coded(codes, steps[:, :: quantizer.block].astype(np.float16))
    return Coded(codes, np.ascontiguousarray(steps[:, 0]))


def pack(codes: Array, bits: int) -> Array:
    """Integers `[n, width]` of a few bits in bytes, the first one in the lowest bits.

    Example:
        >>> pack(np.array([[1, -1, 0, 1]]), bits=2).tolist()
        [[77]]
    """
    per = 8 // bits
    parts = (codes.astype(np.int8).view(np.uint8) & (2**bits - 1)).reshape(len(codes), -1, per)
    packed = np.zeros(parts.shape[:2], np.uint8)
    for place in range(per):
        packed |= parts[:, :, place] << np.uint8(bits * place)
    return packed


def mapped_tables(model: Any) -> dict[str, MappedEmbedding]:
    """The layers of a model whose tables stay in their files, by path."""
    return {h.path: h.layer for h in walk(model) if isinstance(h.layer, MappedEmbedding)}


def stand_in_values(layer: MappedEmbedding, rows: int, seed: int) -> Array:
    """Random rows `[rows, width]` of about the size of the table's."""
    first = layer.table[0 : min(_SAMPLE, layer.input_dim)]
    size = magnitudes(first)[1] or 1.0
    values = np.random.default_rng(seed).normal(0.0, size, (rows, layer.table.shape[1]))
    grid = layer.quantizer
    if grid is not None and grid.channel_axis is None:
        # The largest code is in it, so that the quantizer of the file sees the whole grid.
        step = float(grid.steps(tf.zeros((1, 1))).numpy().max())
        values[0, 0] = levels(grid.bits) * step
    return values.astype(np.float32)


def with_stand_ins(
    model: Any, mapped: Mapping[str, MappedEmbedding], values: Mapping[str, Array]
) -> Any:
    """A copy of the model with Embeddings of these rows where the mapped tables are.

    Args:
        model: one that has the tables, or stand-ins for them.
        mapped: the tables by path.
        values: rows `[rows, width]` of a stand-in by path, or of its left factor.
    """
    new = copy_model(model)
    at = {held.path: held.layer for held in walk(new)}
    replacements = Replacements()
    for path, layer in mapped.items():
        replacements.put(at[path], _stand_in(layer, values[path]))
    return replace_layers(new, replacements)


def _stand_in(layer: MappedEmbedding, rows: Array) -> Any:
    common = {"mask_zero": layer.mask_zero, "name": layer.name}
    if layer.right is None:
        table = keras.layers.Embedding(*rows.shape, **common)
    else:
        table = FactorizedEmbedding(len(rows), layer.output_dim, rows.shape[1], **common)
    table.build((None,))
    table.set_weights([rows] if layer.right is None else [rows, layer.right])
    name = "embeddings" if layer.right is None else "left"
    return Compressed(table, {name: [layer.quantizer]}) if layer.quantizer else table
