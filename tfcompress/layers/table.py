"""What every table that is not stored row by row has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfcompress.keras import keras, tf


@dataclass(frozen=True)
class Operators:
    """What a table is read with; the export brings operators that a device has.

    Attributes:
        gather: from a table `[rows, width]` and indices `[n]` to its rows `[n, width]`.
        search: from ascending numbers `[k]` and `[n]` others to how many of the former are less
            than each of the latter, int32 `[n]`.
        codes: from codes `[ids, codes]` and indices `[n]` to `[n, codes]`.
    """

    gather: Callable[[Any, Any], Any] = tf.gather
    search: Callable[[Any, Any], Any] = tf.searchsorted
    codes: Callable[[Any, Any], Any] = tf.gather


IN_KERAS = Operators()


class TableLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that stands for an Embedding; a subclass says how its rows are made.

    Args:
        input_dim: number of ids.
        output_dim: width of a row.
        mask_zero: as for Embedding.
    """

    def __init__(
        self, input_dim: int, output_dim: int, mask_zero: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero

    @abstractmethod
    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids, int32 `[n]`."""

    @abstractmethod
    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, never the whole table."""

    def scores_in_file(self, vectors: Any) -> Any:
        """The same, of operators that LiteRT has and litert-quantizer knows."""
        return self.scores(vectors)

    def call(self, inputs: Any) -> Any:
        """Ids `[...]` to rows `[..., output_dim]`."""
        flat = tf.reshape(tf.cast(inputs, tf.int32), [-1])
        shape = tf.concat([tf.shape(inputs), [self.output_dim]], 0)
        rows = tf.reshape(self.rows(flat), shape)
        return tf.ensure_shape(rows, self.compute_output_shape(inputs.shape))

    @property
    def embeddings(self) -> Any:
        """The table `[input_dim, output_dim]` that this layer stands for."""
        return self.rows(tf.range(self.input_dim))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Which ids are not 0, where `mask_zero` asks for it."""
        return tf.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The ids' shape with `output_dim` behind it."""
        return tf.TensorShape(input_shape).concatenate(self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "mask_zero": self.mask_zero,
        }
