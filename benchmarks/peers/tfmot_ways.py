"""What TF-MOT does to a Functional model: its three ways, each wrapping the layers it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.functional import LAYERS
from tfcompress.keras import keras, tfmot

_END = "item_table"
_MOVES = 20  # of the masks; the last one is at half of the steps and reaches the whole sparsity


@dataclass(frozen=True)
class Pruning:
    """Magnitude pruning of every matrix along TF-MOT's polynomial schedule, then stripped.

    Attributes:
        sparsity: the share of zeros at the end, 0 to below 1.
    """

    sparsity: float

    def wrap(self, graph: Any, steps: int) -> Any:
        """The graph with wrappers around the layers of matrices; half of the steps prune."""
        ways = tfmot.sparsity.keras
        often = max(1, steps // (2 * _MOVES))
        schedule = ways.PolynomialDecay(0.0, self.sparsity, 0, _MOVES * often, frequency=often)
        return _around(graph, lambda layer: ways.prune_low_magnitude(layer, schedule))

    def callbacks(self) -> list[Any]:
        """What `fit` has to be given."""
        return [tfmot.sparsity.keras.UpdatePruningStep()]

    def strip(self, graph: Any) -> Any:
        """The graph without wrappers."""
        return tfmot.sparsity.keras.strip_pruning(graph)


@dataclass(frozen=True)
class Clustering:
    """Weights of each matrix shared among so many values, then stripped.

    Attributes:
        clusters: how many, at least 2.
    """

    clusters: int

    def wrap(self, graph: Any, steps: int) -> Any:
        """The graph with wrappers around the layers of matrices."""
        ways = tfmot.clustering.keras
        start = ways.CentroidInitialization.KMEANS_PLUS_PLUS
        return _around(graph, lambda layer: ways.cluster_weights(layer, self.clusters, start))

    def callbacks(self) -> list[Any]:
        """What `fit` has to be given."""
        return []

    def strip(self, graph: Any) -> Any:
        """The graph without wrappers."""
        return tfmot.clustering.keras.strip_clustering(graph)


@dataclass(frozen=True)
class QuantizationAware:
    """Fake-quantized weights and activations of the Dense layers; tables are refused."""

    def wrap(self, graph: Any, steps: int) -> Any:
        """The graph with TF-MOT's default 8 bits around its Dense layers."""
        ways = tfmot.quantization.keras
        annotated = _around(graph, ways.quantize_annotate_layer, (keras.layers.Dense,))
        with ways.quantize_scope(dict(LAYERS)):
            return ways.quantize_apply(annotated)

    def callbacks(self) -> list[Any]:
        """What `fit` has to be given."""
        return []

    def strip(self, graph: Any) -> Any:
        """The graph as it is: a converter reads the ranges off it."""
        return graph


Way = Pruning | Clustering | QuantizationAware
_MATRICES = (keras.layers.Dense, keras.layers.Embedding)


def _around(graph: Any, wrapped: Callable[[Any], Any], kinds: Sequence[type] = _MATRICES) -> Any:
    def chosen(layer: Any) -> Any:
        return wrapped(layer) if isinstance(layer, tuple(kinds)) else layer

    with keras.utils.custom_object_scope(dict(LAYERS)):
        return keras.models.clone_model(graph, clone_function=chosen)


def table(graph: Any) -> Any:
    """The item table of a graph as its wrapper has it now: float32 [items + 1, dim]."""
    for layer in graph.layers:
        inner = getattr(layer, "layer", layer)
        if inner.name == _END:
            return inner.embeddings
    raise ValueError(f"Received a graph of {len(graph.layers)} layers, expected one {_END!r}.")
