"""A dense layer in einsum notation of limited rank: the projections of a MultiHeadAttention."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.keras import keras, tf
from tfcompress.layers.weights import register_weights

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Equation:
    """The labels of `inputs,kernel->outputs`, an ellipsis among those of inputs and outputs.

    Example:
        >>> one = Equation.of("abc,cde->abde")
        >>> one.contracted, one.free, one.shared
        ('c', 'de', '')
        >>> one.steps
        ('abc,cA->abA', 'abA,Ade->abde')
    """

    inputs: str
    kernel: str
    outputs: str

    @classmethod
    def of(cls, equation: str) -> Equation:
        """The labels of an equation as EinsumDense takes it."""
        left, outputs = equation.replace(" ", "").split("->")
        inputs, kernel = left.split(",")
        return cls(inputs, kernel, outputs)

    @property
    def contracted(self) -> str:
        """Labels of the kernel that are summed over."""
        return "".join(x for x in self.kernel if x not in self.outputs)

    @property
    def free(self) -> str:
        """Labels of the kernel that the inputs do not have."""
        return "".join(x for x in self.kernel if x not in self.inputs)

    @property
    def shared(self) -> str:
        """Labels of the kernel that inputs and outputs have: a matrix for each place of them."""
        return "".join(x for x in self.kernel if x in self.inputs and x in self.outputs)

    @property
    def steps(self) -> tuple[str, str]:
        """The same as two products: with the left factor, and of that with the right factor."""
        used = self.inputs + self.kernel + self.outputs
        rank = next(x for x in string.ascii_uppercase if x not in used)
        kept = "".join(x for x in self.inputs if x not in self.contracted) + rank
        return (
            f"{self.inputs},{self.contracted}{rank}->{kept}",
            f"{kept},{rank}{self.free}->{self.outputs}",
        )

    @property
    def order(self) -> list[int]:
        """The kernel's axes, those that are summed over before those that are free."""
        return [self.kernel.index(x) for x in self.contracted + self.free]

    def sizes(self, kernel_shape: Sequence[int]) -> tuple[list[int], list[int]]:
        """Sizes of the contracted and of the free axes."""
        size = dict(zip(self.kernel, kernel_shape, strict=True))
        return [size[x] for x in self.contracted], [size[x] for x in self.free]

    def matrix(self, kernel: Array) -> Array:
        """The kernel as one matrix, contracted axes by free axes."""
        return kernel.transpose(self.order).reshape(math.prod(self.sizes(kernel.shape)[0]), -1)


@keras.utils.register_keras_serializable("tfcompress")
class FactorizedEinsumDense(keras.layers.Layer):  # type: ignore[misc]
    """`activation(einsum(equation, x, kernel) + bias)` with a kernel of limited rank.

    Denil et al., "Predicting Parameters in Deep Learning" (2013), for the kernel as a matrix of
    its contracted axes by its free ones.

    Args:
        equation: as for EinsumDense; no label may stand in inputs, kernel and outputs alike.
        kernel_shape: shape of the kernel that the factors stand for.
        rank: width between the factors: `left` is `[contracted, rank]`, `right` `[rank, free]`.
        activation: as for EinsumDense.
        bias_shape: shape of the bias; None: none.

    Example:
        >>> import tensorflow as tf
        >>> heads = FactorizedEinsumDense("abc,cde->abde", (6, 2, 3), rank=2)
        >>> heads(tf.ones((1, 4, 6))).shape.as_list()
        [1, 4, 2, 3]
    """

    def __init__(
        self,
        equation: str,
        kernel_shape: Sequence[int],
        rank: int,
        activation: Any = None,
        bias_shape: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self.kernel_shape = tuple(kernel_shape)
        self.rank = rank
        self.activation = keras.activations.get(activation)
        self.bias_shape = None if bias_shape is None else tuple(bias_shape)
        self._labels = Equation.of(equation)

    def build(self, input_shape: Any) -> None:
        """Adds the factors and the bias."""
        rows, columns = (math.prod(sizes) for sizes in self._labels.sizes(self.kernel_shape))
        self.left = self.add_weight(name="left", shape=(rows, self.rank))
        self.right = self.add_weight(name="right", shape=(self.rank, columns))
        self.bias = (
            None
            if self.bias_shape is None
            else self.add_weight(name="bias", shape=self.bias_shape, initializer="zeros")
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Inputs and outputs in the shapes of the equation."""
        contracted, free = self._labels.sizes(self.kernel_shape)
        first, second = self._labels.steps
        hidden = tf.einsum(first, inputs, tf.reshape(self.left, [*contracted, self.rank]))
        outputs = tf.einsum(second, hidden, tf.reshape(self.right, [self.rank, *free]))
        if self.bias is not None:
            outputs = outputs + self.bias
        return self.activation(outputs) if self.activation is not None else outputs

    @property
    def kernel(self) -> Any:
        """The kernel that the factors stand for, in its own shape."""
        contracted, free = self._labels.sizes(self.kernel_shape)
        whole = tf.reshape(tf.matmul(self.left, self.right), [*contracted, *free])
        return tf.transpose(whole, np.argsort(self._labels.order))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            **super().get_config(),
            "equation": self.equation,
            "kernel_shape": list(self.kernel_shape),
            "rank": self.rank,
            "activation": keras.activations.serialize(self.activation),
            "bias_shape": None if self.bias_shape is None else list(self.bias_shape),
        }


register_weights(FactorizedEinsumDense, left=1, right=1)
