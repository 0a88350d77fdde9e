"""A table of codes: each part of a row is one of a few centroids."""

from __future__ import annotations

from typing import Any

from tfcompress.keras import keras, tf
from tfcompress.layers.table import IN_KERAS, Operators, TableLayer
from tfcompress.layers.weights import register_weights
from tfcompress.value import from_data, to_data


def decode(assignments: Any, codebooks: Any, using: Operators = IN_KERAS) -> Any:
    """Rows put together from the centroids that their codes name.

    Args:
        assignments: integers `[n, codes]`, each below `centroids`.
        codebooks: float `[codes * centroids, part]`, the codebook of one code after the other.
        using: see `Operators`.

    Returns:
        float `[n, codes * part]`.

    Example:
        >>> import tensorflow as tf
        >>> books = tf.constant([[1.0], [2.0], [10.0], [20.0]])  # two codes, two centroids each
        >>> decode(tf.constant([[0, 1], [1, 1]]), books).numpy().tolist()
        [[1.0, 20.0], [2.0, 20.0]]
    """
    codes = assignments.shape[1]
    centroids = codebooks.shape[0] // codes
    places = tf.cast(assignments, tf.int32) + tf.range(codes) * centroids
    parts = using.gather(codebooks, tf.reshape(places, [-1]))
    return tf.reshape(parts, [-1, codes * codebooks.shape[1]])


def partial_scores(vectors: Any, codebooks: Any, codes: int) -> Any:
    """Products of each part of a vector with every centroid of that part.

    Args:
        vectors: float `[n, codes * part]`.
        codebooks: float `[codes * centroids, part]`.
        codes: number of parts.

    Returns:
        float `[n, codes, centroids]`.
    """
    part = codebooks.shape[1]
    books = tf.reshape(codebooks, [codes, -1, part])
    return tf.einsum("ncp,ckp->nck", tf.reshape(vectors, [-1, codes, part]), books)


def sum_by_codes(partial: Any, assignments: Any) -> Any:
    """The score of every id: the sum of the partial scores that its codes name.

    One code after the other, so that memory holds two results at a time and not `codes` of them.

    Args:
        partial: float `[n, codes, centroids]`.
        assignments: integers `[ids, codes]`.

    Returns:
        float `[n, ids]`.
    """
    by_code = tf.transpose(partial, [1, 2, 0])  # whole vectors of n are gathered
    codes = tf.cast(tf.transpose(assignments), tf.int32)
    total = tf.gather(by_code[0], codes[0])
    for code in range(1, by_code.shape[0]):
        total += tf.gather(by_code[code], codes[code])
    return tf.transpose(total)


def scores_in_file(vectors: Any, codebooks: Any, assignments: Any) -> Any:
    """`sum_by_codes` of `partial_scores`, in the operators that are fastest and smallest in a file.

    All parts of a vector are multiplied with all codebooks, and the products of a part with its own
    one are picked: the stacked codebooks are then the weight of one FULLY_CONNECTED, the very
    tensor that rows are looked up in. The codes are stored as bytes, and one CAST, one GATHER with
    a batch for each code and one SUM give the scores.

    Args:
        vectors: float `[n, codes * part]`.
        codebooks: float `[codes * centroids, part]`.
        assignments: uint8 `[ids, codes]`.

    Returns:
        float `[n, ids]`.
    """
    ids, codes = assignments.shape
    centroids = codebooks.shape[0] // codes
    parts = tf.reshape(vectors, [-1, codebooks.shape[1]])
    products = tf.matmul(parts, codebooks, transpose_b=True)
    blocks = tf.reshape(products, [-1, codes * codes, centroids])
    own = tf.gather(blocks, tf.range(codes) * (codes + 1), axis=1)
    by_code = tf.transpose(own, [1, 2, 0])
    numbers = tf.cast(unfolded(tf.transpose(assignments), vectors), tf.int32)
    scores = tf.reduce_sum(tf.gather(by_code, numbers, axis=1, batch_dims=1), 0)
    return tf.reshape(tf.transpose(scores), [-1, ids])


def unfolded(constant: Any, vectors: Any) -> Any:
    """A constant as it is, of which the converter does not know that it is one.

    Casting a constant is what the converter does beforehand, and so it would store four bytes for
    one.

    Args:
        constant: of any shape and type.
        vectors: float `[n, width]`, an input of the graph or made of one.
    """
    # That the largest of a single number is at place 0 it does not know, either.
    place = tf.argmax(vectors[:1, :1], axis=1, output_type=tf.int32)
    return tf.reshape(tf.gather(constant[tf.newaxis], place), constant.shape)


@keras.utils.register_keras_serializable("tfcompress")
class CodedEmbedding(TableLayer):
    """A table in which each of `codes` parts of a row is one of `centroids` vectors.

    Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (2011); trained
    jointly with the model by Petrov and Macdonald, "RecJPQ" (WSDM 2024). What an id is made of
    (`assignments`, uint8 `[input_dim, codes]`) stays; the centroids (`codebooks`, float
    `[codes * centroids, output_dim / codes]`) are trained.

    Args:
        input_dim: number of ids.
        output_dim: width of a row; `codes` divides it.
        codes: bytes stored for an id.
        centroids: vectors in a codebook, at most 256.
        mask_zero: as for Embedding.
        start: where the codes came from, a value; None: not known.

    Example:
        >>> import tensorflow as tf
        >>> table = CodedEmbedding(10, 8, codes=2, centroids=4)
        >>> table(tf.constant([[1, 2, 3]])).shape.as_list()
        [1, 3, 8]
        >>> table.scores(tf.ones((5, 8))).shape.as_list()
        [5, 10]
    """

    def __init__(
        self, input_dim: int, output_dim: int, codes: int, centroids: int = 256, **kwargs: Any
    ) -> None:
        self.start = kwargs.pop("start", None)
        super().__init__(input_dim, output_dim, **kwargs)
        self.codes = codes
        self.centroids = centroids

    def build(self, input_shape: Any = None) -> None:
        """Adds codes and codebooks."""
        self.assignments = self.add_weight(
            name="assignments",
            shape=(self.input_dim, self.codes),
            dtype="uint8",
            trainable=False,
            initializer="zeros",
        )
        part = self.output_dim // self.codes
        self.codebooks = self.add_weight(
            name="codebooks", shape=(self.codes * self.centroids, part), initializer="uniform"
        )
        super().build(input_shape)

    def rows(self, ids: Any, using: Operators = IN_KERAS) -> Any:
        """Rows `[n, output_dim]` of ids `[n]`."""
        return decode(using.codes(self.assignments, ids), self.codebooks, using)

    def scores(self, vectors: Any) -> Any:
        """`vectors [n, output_dim]` times every row: `[n, input_dim]`, by sums of partial scores.

        Compare `partial_scores` and `sum_by_codes`: `n * centroids * output_dim` products are made
        instead of `n * input_dim * output_dim`, and the table never is.
        """
        partial = partial_scores(vectors, self.codebooks, self.codes)
        return sum_by_codes(partial, self.assignments)

    def scores_in_file(self, vectors: Any) -> Any:
        """The same, see the function of this name."""
        return scores_in_file(vectors, self.codebooks, self.assignments)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        config = {**super().get_config(), "codes": self.codes, "centroids": self.centroids}
        return {**config, "start": to_data(self.start)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CodedEmbedding:
        """The table of such a config."""
        return cls(**{**config, "start": from_data(config.get("start"))})


register_weights(CodedEmbedding, codebooks=0)
