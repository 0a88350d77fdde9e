"""A recommender that learns from windows of a stream, and stays compressed while it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.models import tf
from experiments.models.student import loss_where_known
from tfcompress.layers import Compressed
from tfcompress.surgery import walk

FloatArray = npt.NDArray[np.float32]


class Learner(tf.keras.Model):  # type: ignore[misc]
    """Trains a retriever on windows with what is wanted behind each, see `Stream.lessons`.

    Args:
      network: a built model. positions: how many places of a batch are scored, at most: scoring all
        items is by far the largest part of a step.
    """

    def __init__(self, network: Any, positions: int) -> None:
        super().__init__(name=network.name)
        self.network = network
        self._positions = positions

    def train_step(self, rows: Any) -> dict[str, Any]:
        """One step on rows int32 [batch, 2 * length]."""
        histories, wanted = tf.split(rows, 2, axis=1)
        places = some_places(wanted, self._positions)
        wanted = tf.gather(tf.reshape(wanted, [-1]), places)
        with tf.GradientTape() as tape:
            hidden = self.network.hidden(histories, training=True)
            asked = tf.gather(tf.reshape(hidden, [-1, hidden.shape[-1]]), places)
            loss = loss_where_known(wanted, self.network.item_logits(asked))
        variables = self.network.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def some_places(wanted: Any, n: int) -> Any:
    """Where something is wanted, at random and by the batch alone, so that a run can go on.

    Args:
      wanted: int32 [batch, length], 0 where nothing is. n: how many, at most.

    Returns:
      int32 [at most n], into the flattened batch. Places where nothing is wanted come last.
    """
    flat = tf.reshape(wanted, [-1])
    seed = tf.stack([tf.reduce_sum(flat), flat[-1]])
    keys = tf.random.stateless_uniform(tf.shape(flat), seed)
    keys = tf.where(tf.equal(flat, 0), -1.0, keys)
    return tf.math.top_k(keys, tf.minimum(n, tf.size(flat))).indices


@dataclass(frozen=True)
class Held:
    """How a recommender is compressed so that training goes on: the grid stays where it is.

    Attributes:
      sparsity: share of the weights of each Dense kernel that are zero and stay it.
      bits: of kernels and tables, but for the table of positions.
      reach: the grid's end, in standard deviations of the float32 weights.
      position_bits, position_reach: the same for the table of positions.
    """

    sparsity: float = 0.5
    bits: int = 4
    reach: float = 2.4
    position_bits: int = 8
    position_reach: float = 4.0

    def spec(self, network: Any) -> tfc.Spec:
        """A rule for each layer of a trained float32 model, with the step of its grid."""
        found = [(held.path, held.layer) for held in walk(network) if _kind(held.layer) is not None]
        return tfc.Spec(
            [tfc.rule(tfc.by_name(path), *self._techniques(path, layer)) for path, layer in found]
        )

    def _techniques(self, path: str, layer: Any) -> list[Any]:
        positions = path == "position_table"
        bits = self.position_bits if positions else self.bits
        reach = self.position_reach if positions else self.reach
        size = reach * float(np.std(layer.get_weights()[0])) / (2 ** (bits - 1) - 1)
        quantize = tfc.Quantize(bits, tfc.PerTensor(), tfc.Fixed(size))
        return [tfc.Prune(self.sparsity), quantize] if _kind(layer) == "Dense" else [quantize]


def _kind(layer: Any) -> str | None:
    name = type(layer).__name__
    return name if name in ("Dense", "Embedding") else None


def shipped(student: Any) -> dict[str, FloatArray]:
    """The matrices that a file of a compressed model holds, masked and rounded, by their paths."""
    attributes = {"Dense": "kernel", "Embedding": "embeddings"}
    return {
        path: np.asarray(getattr(layer, attributes[type(layer.layer).__name__]))
        for path, layer in _compressed(student)
    }


def pruned(student: Any) -> dict[str, npt.NDArray[np.bool_]]:
    """Which weights of the pruned matrices are zeros by their mask, by their paths."""
    return {
        path: weight.numpy() == 0
        for path, layer in _compressed(student)
        for weight in layer.non_trainable_weights
        if weight.name.split("/")[-1].startswith("kernel_mask")
    }


def _compressed(student: Any) -> list[tuple[str, Any]]:
    return [(held.path, held.layer) for held in walk(student) if isinstance(held.layer, Compressed)]


@dataclass(frozen=True)
class Shape:
    """What updates have to keep of a compressed model.

    Attributes:
      zeros: see `pruned`. steps: of each layer's grid, by its path.
    """

    zeros: Mapping[str, npt.NDArray[np.bool_]]
    steps: Mapping[str, float]

    @classmethod
    def of(cls, student: Any, spec: tfc.Spec) -> Shape:
        """That of a model which `Held.spec` compressed."""
        data = json.loads(spec.to_json())["rules"]
        steps = {rule["where"]["pattern"]: rule["techniques"][-1]["scale"]["size"] for rule in data}
        return cls(pruned(student), steps)

    def moved(
        self, before: Mapping[str, FloatArray], after: Mapping[str, FloatArray]
    ) -> dict[str, Any]:
        """What an update did to the matrices of a file, see `shipped`.

        Returns:
          changed: share of the weights that stand on another level. filled: how many pruned weights
          are not zero any more. off_grid: how far a weight is from the nearest level, in steps.
        """
        sizes = sum(matrix.size for matrix in after.values())
        changed = sum(int((before[path] != matrix).sum()) for path, matrix in after.items())
        filled = sum(int(np.count_nonzero(after[path][zero])) for path, zero in self.zeros.items())
        levels = [matrix / self.steps[path] for path, matrix in after.items()]
        off = max(float(np.abs(level - np.round(level)).max()) for level in levels)
        return {"changed": changed / sizes, "filled": filled, "off_grid": off}
