"""Layers whose matrix is a product of two thin ones."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.table import IN_KERAS, Operators, TableLayer
from tfcompress.layers.weights import register_weights


@keras.utils.register_keras_serializable("tfcompress")
class FactorizedDense(keras.layers.Layer):  # type: ignore[misc]
    """`activation(x @ left @ right + bias)`: a Dense layer of limited rank.

    Denil et al., "Predicting Parameters in Deep Learning" (2013); Sainath et al. (2013).

    Args:
        units: width of the output.
        rank: width between the factors: `left` is `[inputs, rank]`, `right` is `[rank, units]`.
        activation: as for Dense.
        use_bias: as for Dense.

    Example:
        >>> import tensorflow as tf
        >>> FactorizedDense(8, rank=2)(tf.ones((1, 4))).shape.as_list()
        [1, 8]
    """

    def __init__(
        self, units: int, rank: int, activation: Any = None, use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.rank = rank
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        """Adds the factors and the bias."""
        width = int(input_shape[-1])
        self.left = self.add_weight(name="left", shape=(width, self.rank))
        self.right = self.add_weight(name="right", shape=(self.rank, self.units))
        self.bias = (
            self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
            if self.use_bias
            else None
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Inputs `[..., inputs]` to outputs `[..., units]`."""
        outputs = _matmul(_matmul(inputs, self.left), self.right)
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs) if self.activation is not None else outputs

    @property
    def kernel(self) -> Any:
        """The matrix `[inputs, units]` that the factors stand for."""
        return tf.matmul(self.left, self.right)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with `units` in the last place."""
        return tf.TensorShape(input_shape)[:-1].concatenate(self.units)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "rank": self.rank,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }


def _matmul(inputs: Any, kernel: Any) -> Any:
    return tf.matmul(inputs, kernel) if inputs.shape.rank == 2 else tf.tensordot(inputs, kernel, 1)


@keras.utils.register_keras_serializable("tfcompress")
class FactorizedEmbedding(TableLayer):
    """A table of limited rank: row `i` is `left[i] @ right`.

    Lan et al., "ALBERT" (2019), section 3.1.

    Args:
        input_dim: number of ids.
        output_dim: width of a row.
        rank: width of a stored row: `left` is `[input_dim, rank]`, `right` `[rank, output_dim]`.
        mask_zero: as for Embedding.

    Example:
        >>> import tensorflow as tf
        >>> FactorizedEmbedding(10, 8, rank=2)(tf.constant([[1, 2, 3]])).shape.as_list()
        [1, 3, 8]
    """

    def __init__(
        self, input_dim: int, output_dim: int, rank: int, mask_zero: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(input_dim, output_dim, mask_zero, **kwargs)
        self.rank = rank

    def build(self, input_shape: Any = None) -> None:
        """Adds the factors."""
        self.left = self.add_weight(name="left", shape=(self.input_dim, self.rank))
        self.right = self.add_weight(name="right", shape=(self.rank, self.output_dim))
        super().build(input_shape)

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids, int32 `[n]`."""
        return tf.matmul(using.gather(self.left, ids), self.right)

    @property
    def embeddings(self) -> Any:
        """The table `[input_dim, output_dim]` that the factors stand for."""
        return tf.matmul(self.left, self.right)

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, never the whole table."""
        return tf.matmul(
            tf.matmul(vectors, self.right, transpose_b=True), self.left, transpose_b=True
        )

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "rank": self.rank}


register_weights(FactorizedDense, left=1, right=1)
register_weights(FactorizedEmbedding, left=0, right=None)  # rows are made with it, and scored
