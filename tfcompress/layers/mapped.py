"""A table that stays in its file: looked up and scored in Keras, and streamed into what ships."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.layers.grid import levels, stored_bits
from tfcompress.layers.quantizer import FakeQuantizer
from tfcompress.layers.scales import AbsMax, Deviations, Fixed
from tfcompress.layers.table import IN_KERAS, Operators, TableLayer
from tfcompress.measure import FLOAT_BITS, LayerForm, WeightForm
from tfcompress.streaming import StoredTable, magnitudes, row_slices

Array = np.ndarray[Any, Any]
CHUNK_BYTES = 16 << 20  # of float64: some tens of thousands of rows, each step by TensorFlow


@keras.utils.register_keras_serializable("tfcompress")
class MappedEmbedding(TableLayer):
    """An Embedding whose trained table stays in a memory-mapped file and is never held whole.

    It holds no weights and is not trained. Rows are read where they are looked up, scores
    (`tfcompress.scores(vectors, layer)`, `tfcompress.top_k`) chunk by chunk, and `export` streams
    the table into the file. `Factorize` makes it the product of two factors, of which the tall one
    is computed where it is read; `Quantize` puts it on a grid, which then both Keras and the file
    compute with. So a table of any size ships in little memory, also one that is larger than what
    TFLite's converter can take (2 GB).

    Args:
        table: float `[ids, width]`: the path of a `.npy` file, a `numpy.memmap`, or see
            `streaming.StoredTable`. A model is saved with the place of the file, not with the rows.
        quantizer: the grid; None: the table is stored in float32.
        mask_zero: as for Embedding.
        right: float `[rank, width]`: rows are those of the table, `[ids, rank]`, times this.

    Raises:
        SpecError: a right factor that does not fit, or see `streaming.StoredTable`.

    Example:
        >>> import tempfile
        >>> import tfcompress as tfc
        >>> folder = tempfile.mkdtemp()
        >>> np.save(folder + "/table.npy", np.eye(500, 8, dtype=np.float32))
        >>> class Ranker(keras.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.items = tfc.MappedEmbedding(folder + "/table.npy")
        ...     def call(self, ids):
        ...         ids, scores = tfc.top_k(tf.reduce_mean(self.items(ids), 1), self.items, k=3)
        ...         return {"ids": ids, "scores": scores}
        >>> model = Ranker()
        >>> model(tf.constant([[4, 4]]))["ids"].numpy().tolist()
        [[4, 0, 1]]
        >>> spec = tfc.Spec([tfc.rule(tfc.by_name("items"), tfc.Quantize(bits=4))])
        >>> made = tfc.export(tfc.apply(model, spec), folder + "/small")
        >>> made.report["layers"][0]["bytes"]  # half a byte a weight, 12 bytes a row
        8000
    """

    def __init__(
        self,
        table: Any,
        quantizer: FakeQuantizer | dict[str, Any] | None = None,
        mask_zero: bool = False,
        right: Any = None,
        **kwargs: Any,
    ) -> None:
        stored = _stored(table)
        factor = None if right is None else _fitting(np.asarray(right, np.float32), stored)
        width = stored.shape[1] if factor is None else factor.shape[1]
        super().__init__(stored.shape[0], width, mask_zero, **{"trainable": False, **kwargs})
        self.table, self.right = stored, factor
        if isinstance(quantizer, dict):
            quantizer = keras.utils.deserialize_keras_object(quantizer)
        self.quantizer: FakeQuantizer | None = quantizer  # type: ignore[assignment]

    def quantized(self, quantizer: FakeQuantizer) -> MappedEmbedding:
        """The same table on a grid; where it has one scale, the table is read once to find it."""
        if quantizer.channel_axis is None:
            step = whole_step(self.table, quantizer)
            quantizer = FakeQuantizer(quantizer.bits, scale=Fixed(step))
        return self._like(self.table, quantizer, self.right)

    def factorized(self, rank: int) -> MappedEmbedding:
        """The best table of this rank; this one is read once to find it."""
        left, right = self.table.factors(rank)
        return self._like(left, None, right)

    def of_rank(self, rank: int) -> MappedEmbedding:
        """One with the shapes of `factorized`, and other rows: nothing is read."""
        return self._like(self.table.first_columns(rank), None, np.eye(rank, self.output_dim))

    def _like(
        self, table: StoredTable, quantizer: FakeQuantizer | None, right: Array | None
    ) -> MappedEmbedding:
        new = MappedEmbedding(table, quantizer, self.mask_zero, right, name=self.name)
        new.built = self.built
        return new

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids, int32 `[n]`, on the grid."""
        del using
        found = tf.numpy_function(self._rows, [ids], "float32")
        found = tf.ensure_shape(found, [ids.shape[0], self.table.shape[1]])
        return found if self.right is None else tf.matmul(found, self.right)

    def _rows(self, ids: Array) -> Array:
        return self.on_grid(self.table.rows(ids))

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, chunk by chunk."""
        found = tf.numpy_function(self._scores, [vectors], "float32")
        return tf.ensure_shape(found, [vectors.shape[0], self.input_dim])

    def _scores(self, vectors: Array) -> Array:
        if self.right is not None:
            vectors = vectors @ self.right.T
        result = np.empty((len(vectors), self.input_dim), np.float32)
        for rows in row_slices(self.table.shape, CHUNK_BYTES):
            result[:, rows] = vectors @ self.on_grid(self.table[rows]).T
        return result

    def on_grid(self, rows: Array) -> Array:
        """Rows of the table `[n, rank or width]` as they ship."""
        if self.quantizer is None:
            return rows
        return self.quantizer(tf.constant(rows)).numpy()

    @property
    def embeddings(self) -> Any:
        """Not to be had: the table may not fit into memory."""
        raise SpecError(
            f"{self.name} is read as a whole table (`embeddings`), which stays in its file. Score "
            "with tfcompress.scores(vectors, layer), and look rows up by calling the layer on ids."
        )

    def form(self, path: str) -> LayerForm:
        """How the table is stored; before it has a grid only what knows this class is for it."""
        kind, plain = type(self).__name__, self.weight_form()
        right = 0 if self.right is None else self.right.size
        if self.quantizer is None:
            return LayerForm(path, self, kind, (), other=plain.parameters + right)
        return LayerForm(path, self, kind, (self.quantizer.planned(plain),), other=right)

    def weight_form(self) -> WeightForm:
        """The table, or its left factor, in float32."""
        return WeightForm("table", self.table.shape, 0, lookup=True, operator="EMBEDDING_LOOKUP")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments, the table by the place of its file."""
        config = super().get_config()
        for name in ("input_dim", "output_dim"):
            del config[name]
        grid = self.quantizer
        if grid is not None:
            grid = keras.utils.serialize_keras_object(grid)
        right = None if self.right is None else self.right.tolist()
        return {**config, "table": self.table.to_data(), "quantizer": grid, "right": right}


def _stored(table: Any) -> StoredTable:
    if isinstance(table, StoredTable):
        return table
    return StoredTable.from_data(table) if isinstance(table, dict) else StoredTable(table)


def _fitting(right: Array, table: StoredTable) -> Array:
    if right.ndim != 2 or len(right) != table.shape[1]:
        raise SpecError(
            f"Received a right factor of shape {right.shape} for a table of shape {table.shape}; "
            f"expected [{table.shape[1]}, width]."
        )
    return right


def refusal(quantizer: FakeQuantizer, rounds_nearest: bool) -> str | None:
    """Why a mapped table cannot be put on a grid; None where it can."""
    if stored_bits(quantizer.bits) not in (2, 4, 8):
        return f"a mapped table is stored in 2, 3, 4 or 8 bits, or in {FLOAT_BITS} without Quantize"
    if quantizer.scale.trained or not rounds_nearest:
        return "a mapped table is not trained and is rounded row by row; choose Nearest() rounding"
    known = (AbsMax, Deviations, Fixed)
    if quantizer.channel_axis is None and not isinstance(quantizer.scale, known):
        return (
            f"one scale for a mapped table is found in one pass over its rows, "
            f"{type(quantizer.scale).__name__}() is not; choose AbsMax(), Deviations() or Fixed()"
        )
    return None


def whole_step(table: StoredTable, quantizer: FakeQuantizer) -> float:
    """The step that a table has where it has one, as the scale would find it on the whole."""
    scale = quantizer.scale
    if isinstance(scale, Fixed):
        return scale.size
    largest, deviation = magnitudes(table)
    multiple = scale.multiple if isinstance(scale, Deviations) else None
    end = largest if multiple is None else min(largest, multiple * deviation)
    return float(np.float32(max(end, 1e-9)) / np.float32(levels(quantizer.bits)))
