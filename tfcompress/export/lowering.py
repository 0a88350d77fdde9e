"""Tables in the form that LiteRT stores in a few bits.

A Keras Embedding converts to GATHER, whose table no quantizer makes small row by row. The same
look-up under the name `embedding_matmul` converts to EMBEDDING_LOOKUP, whose table can be shared
with a score and stored in 2, 4 or 8 bits.
"""

from __future__ import annotations

from typing import Any

from tfcompress.errors import ExportError
from tfcompress.keras import Layer, keras, tf
from tfcompress.layers import FactorizedEmbedding, Operators, TableLayer, TieredEmbedding
from tfcompress.layers.tiers import Tiers
from tfcompress.surgery import Replacements, replace_layers, walk


def look_up(table: Any, ids: Any) -> Any:
    """Rows of a table as EMBEDDING_LOOKUP.

    Args:
        table: float `[n, width]`.
        ids: int `[...]`.

    Returns:
        float `[n, width]`, a row for each id; see `like_ids`.
    """
    flat = tf.reshape(as_int32(ids), [-1])
    signature = [tf.TensorSpec(table.shape, tf.float32), tf.TensorSpec(flat.shape, tf.int32)]

    @tf.function(experimental_implements="embedding_matmul", input_signature=signature)
    def embedding_matmul(table: Any, ids: Any) -> Any:
        return tf.gather(table, ids)

    return embedding_matmul(table, flat)


def as_int32(ids: Any) -> Any:
    """Ids as int32; where they were made int64 of int32, as lookups do, those it was made of."""
    made_by: Any = getattr(ids, "op", None)
    cast = made_by is not None and made_by.type == "Cast" and ids.dtype == tf.int64
    if cast and made_by.inputs[0].dtype == tf.int32:
        return made_by.inputs[0]
    return tf.cast(ids, tf.int32)


def like_ids(rows: Any, ids: Any) -> Any:
    """Rows `[n, width]` in the shape of the ids they were looked up for: `[..., width]`."""
    if ids.shape.rank == 1:
        return rows
    sizes = [-1 if size is None else size for size in ids.shape]
    if sizes.count(-1) > 1:
        sizes = tf.unstack(tf.shape(ids))
    return tf.reshape(rows, [*sizes, rows.shape[-1]])


class Lowered(Layer):  # type: ignore[misc]
    """An Embedding, or the layer in its place, that looks its rows up with `look_up`."""

    def __init__(self, table: Any) -> None:
        super().__init__(name=table.name)
        self.table = table
        self.built = True

    def call(self, ids: Any) -> Any:
        """Rows of the ids."""
        if isinstance(self.table, TableLayer):
            rows = self.table.rows(tf.reshape(as_int32(ids), [-1]), _IN_FILE)
        else:
            rows = look_up(self.table.embeddings, ids)
        return like_ids(rows, ids)

    def __getattr__(self, name: str) -> Any:
        table = self.__dict__.get("table")
        if table is None or name.startswith("_"):
            raise AttributeError(name)
        return getattr(table, name)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that the table passes on."""
        return self.table.compute_mask(inputs, mask)


def count_below(ascending: Any, numbers: Any) -> Any:
    """How many of the numbers `[k]` are less than each of `[n]`; LiteRT has no bisection.

    Example:
        >>> import tensorflow as tf
        >>> count_below(tf.constant([2, 5]), tf.constant([2, 3, 9])).numpy().tolist()
        [0, 1, 2]
    """
    below = ascending[tf.newaxis] < numbers[:, tf.newaxis]
    return tf.reduce_sum(tf.cast(below, tf.int32), 1)


def codes_by_column(codes: Any, ids: Any) -> Any:
    """Codes `[n, codes]` of ids `[n]`, read from the order in which scores want them stored."""
    return tf.transpose(tf.gather(tf.transpose(codes), ids, axis=1))


_IN_FILE = Operators(look_up, count_below, codes_by_column)


class LoweredTable(Lowered):
    """A table of codes or of shared rows, scored with operators that LiteRT has."""

    @property
    def embeddings(self) -> Any:
        """Not in a file: the converter would work the whole table out, and store it."""
        raise ExportError(
            f"{self.name} is read as a whole table (`embeddings`), which would be stored beside "
            f"what {type(self.table).__name__} is made of. Score with tfcompress.scores(vectors, "
            "layer), and look rows up by calling the layer on ids."
        )

    def scores(self, vectors: Any) -> Any:
        """Scores of vectors with every row."""
        return self.table.scores_in_file(vectors)


class LoweredTiers(LoweredTable):
    """A table of tiers, its codes as floats, which litert-quantizer makes codes again."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.fine_ids = table.fine_ids().numpy()
        self.codes = tf.Variable(table.codes(), trainable=False)
        self.second = tf.Variable(table.second_codes(), trainable=False)

    @property
    def _tiers(self) -> Tiers:
        return Tiers(self.table, self.codes, self.second, _IN_FILE)

    def call(self, ids: Any) -> Any:
        """Rows of the ids."""
        return like_ids(self._tiers.rows(tf.reshape(as_int32(ids), [-1])), ids)

    def scores(self, vectors: Any) -> Any:
        """Scores of vectors with every row."""
        return self._tiers.scores(vectors, self.fine_ids)

    def top_k(self, vectors: Any, k: int, among: int) -> tuple[Any, Any]:
        """Ids and scores of the best rows."""
        return self._tiers.top_k(vectors, k, among)


def lowered(model: Any) -> Any:
    """`model`, changed: every table looked up as EMBEDDING_LOOKUP."""
    replacements = Replacements()
    for held in walk(model):
        if isinstance(held.layer, (keras.layers.Embedding, FactorizedEmbedding)):
            replacements.put(held.layer, Lowered(held.layer))
        elif isinstance(held.layer, TieredEmbedding):
            replacements.put(held.layer, LoweredTiers(held.layer))
        elif isinstance(held.layer, TableLayer):
            replacements.put(held.layer, LoweredTable(held.layer))
    return replace_layers(model, replacements)
