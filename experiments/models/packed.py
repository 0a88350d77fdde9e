"""A ranking model for phones: what `ranking.Ranker` says, in half the operators.

On one pair of a user and an item a phone spends most of its time between operators, not in them.
So all fields share one table, which is asked once for all rows of a call, and in the place of
crosses and a wide deep part are two readings of the rows that are multiplied with one another (a
cross of low rank, Wang et al., "DCN V2", 2021, section 4) and a narrow deep part behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from experiments.models import tf, tfrs
from experiments.models.ranking import GENRES
from experiments.models.retriever import Tensor

_PACKAGE = "experiments"


@dataclass(frozen=True)
class PackedConfig:
    """The sizes of a `PackedRanker`.

    Attributes:
      sizes: as in `RankingConfig`; a model without "genres" has fewer rows to look up.
      slots: how many genres a row has room for.
      dim: width of the table.
      reading: width of each of the two readings that are multiplied.
      deep: widths of the layers behind them.

    Raises:
      ValueError: if a field is out of range.
    """

    sizes: dict[str, int]
    slots: int = 6
    dim: int = 16
    reading: int = 64
    deep: tuple[int, ...] = (32,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deep", tuple(self.deep))
        for field in ("slots", "dim", "reading"):
            if getattr(self, field) < 1:
                raise ValueError(f"Received {field}={getattr(self, field)}, expected at least 1.")
        if not self.sizes or min(self.sizes.values()) < 2:
            raise ValueError(f"Received sizes={self.sizes}, expected at least 2 for some fields.")
        if not self.deep or min(self.deep) < 1:
            raise ValueError(f"Received deep={self.deep}, expected widths of at least 1.")

    @property
    def plain(self) -> tuple[str, ...]:
        """The fields with one value each, in order."""
        return tuple(field for field in self.sizes if field != GENRES)

    @property
    def length(self) -> int:
        """How many numbers a row has: one for each plain field, and the genres' slots."""
        return len(self.offsets)

    @property
    def starts(self) -> dict[str, int]:
        """The first row of each field in the table."""
        ends = np.cumsum([0, *self.sizes.values()]).tolist()
        return dict(zip(self.sizes, ends, strict=False))

    @property
    def offsets(self) -> tuple[int, ...]:
        """What is added to each number of a row to find its place in the table."""
        starts = self.starts
        found = [starts[field] for field in self.plain]
        return (*found, *([starts[GENRES]] * self.slots if GENRES in starts else ()))


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class PackedRanker(tfrs.Model):  # type: ignore[misc]
    """One table, two readings, and one logit.

    >>> model = PackedRanker(PackedConfig({"user": 9, "item": 5, "genres": 4}, slots=2, deep=(8,)))
    >>> model(tf.constant([[3, 4, 1, 0]])).shape.as_list()
    [1]
    """

    def __init__(self, config: PackedConfig, name: str = "packed_ranker", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        dense, normal = tf.keras.layers.Dense, tf.keras.initializers.RandomNormal(stddev=0.05)
        self.table = tf.keras.layers.Embedding(
            sum(config.sizes.values()), config.dim, normal, name="table"
        )
        self.read = dense(2 * config.reading, name="read")
        self.deep = [
            dense(width, activation="relu", name=f"deep_{i}") for i, width in enumerate(config.deep)
        ]
        self.head = dense(1, name="head")

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Logits of rows as `Ranker.call` takes them: int32 [B, length] → float32 [B]."""
        # Two axes, as the features have: with one alone LiteRT adds them in a slower way.
        offsets = np.array([self.config.offsets], np.int32)
        places = tf.reshape(features + offsets, [-1])
        width = self.config.length * self.config.dim
        first, second = tf.split(self.read(tf.reshape(self.table(places), [-1, width])), 2, axis=-1)
        x = first * second
        for layer in self.deep:
            x = layer(x)
        return tf.reshape(self.head(x), [-1])

    def compute_loss(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Mean cross-entropy of the click, in nats: int32 [B, length + 1] → float32 []."""
        logits, clicks = self(inputs[:, :-1], training), tf.cast(inputs[:, -1], tf.float32)
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(clicks, logits))

    def click(self, **columns: Tensor) -> dict[str, Tensor]:
        """The probability of a click; see `Ranker.click`."""
        return {"probability": tf.sigmoid(self(self.rows(columns)))}

    def rows(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Named fields as rows: int32 [B] each, genres [B, slots] → int32 [B, length]."""
        features = tf.stack([columns[field] for field in self.config.plain], axis=1)
        if GENRES not in columns:
            return features
        return tf.concat([features, columns[GENRES]], axis=1)

    def get_config(self) -> dict[str, Any]:
        """The fields of `PackedConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> PackedRanker:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "packed_ranker")
        return cls(PackedConfig(**fields), name=name)
