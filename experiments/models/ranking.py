"""DCN-v2: would this user click on this item?

Wang et al., "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-Scale Learning to
Rank Systems", WWW 2021, with crosses and deep part side by side. Every matrix is a plain Dense or
Embedding, those of `tfrs.layers.dcn.Cross` included, so that a compressor can replace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from experiments.models import tf, tfrs
from experiments.models.replicated import mean_of_all, share
from experiments.models.retriever import Tensor, dropout

_PACKAGE = "experiments"
GENRES = "genres"


@dataclass(frozen=True)
class RankingConfig:
    """The sizes of a `Ranker`.

    Attributes:
      sizes: for each field that the model reads how many numbers it has, 0 for unknown included;
        "genres" has several in a row, padded with 0.
      slots: how many genres a row has room for.
      dim: width of every table.
      crosses: how many cross layers.
      deep: widths of the deep part's layers.
      projection: inner width of the crosses' matrices; None for whole ones.
      dropout: the rate behind each layer of the deep part, 0 ≤ dropout < 1.
      penalty: half of it, times the squared length of all tables, is added to the loss. It weighs
        on every row alike, so that rows seldom seen stay small.

    Raises:
      ValueError: if a field is out of range.
    """

    sizes: dict[str, int]
    slots: int = 6
    dim: int = 16
    crosses: int = 2
    deep: tuple[int, ...] = (256, 256)
    projection: int | None = None
    dropout: float = 0.2
    penalty: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "deep", tuple(self.deep))
        for field in ("slots", "dim", "crosses"):
            if getattr(self, field) < 1:
                raise ValueError(f"Received {field}={getattr(self, field)}, expected at least 1.")
        if not self.sizes or min(self.sizes.values()) < 2:
            raise ValueError(f"Received sizes={self.sizes}, expected at least 2 for some fields.")
        if not self.deep or min(self.deep) < 1:
            raise ValueError(f"Received deep={self.deep}, expected widths of at least 1.")
        if self.projection is not None and self.projection < 1:
            raise ValueError(f"Received projection={self.projection}, expected at least 1 or None.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Received dropout={self.dropout}, expected 0 <= dropout < 1.")
        if self.penalty < 0:
            raise ValueError(f"Received penalty={self.penalty}, expected at least 0.")

    @property
    def plain(self) -> tuple[str, ...]:
        """The fields with one value each, in order."""
        return tuple(field for field in self.sizes if field != GENRES)

    @property
    def length(self) -> int:
        """How many numbers a row has: one for each plain field, and the genres' slots."""
        return len(self.plain) + (self.slots if GENRES in self.sizes else 0)


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class Ranker(tfrs.Model):  # type: ignore[misc]
    """Crosses and a deep part over the fields' rows, and one logit from both.

    >>> model = Ranker(RankingConfig({"user": 9, "item": 5, "genres": 4}, slots=2, deep=(8,)))
    >>> model(tf.constant([[3, 4, 1, 0]])).shape.as_list()
    [1]
    """

    def __init__(self, config: RankingConfig, name: str = "ranker", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        self.tables = {
            field: tf.keras.layers.Embedding(
                size, config.dim, tf.keras.initializers.RandomNormal(stddev=0.05), name=field
            )
            for field, size in config.sizes.items()
        }
        self.crosses = [
            tfrs.layers.dcn.Cross(
                config.projection, kernel_initializer="glorot_uniform", name=f"cross_{i}"
            )
            for i in range(config.crosses)
        ]
        self.deep = [
            tf.keras.layers.Dense(width, activation="relu", name=f"deep_{i}")
            for i, width in enumerate(config.deep)
        ]
        self.drops = [dropout(config.dropout, f"drop_{i}") for i in range(len(config.deep))]
        self.head = tf.keras.layers.Dense(1, name="head")

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Logits of rows as `columns` reads them: int32 [B, fields] → float32 [B]."""
        return self.logits(self.rows_of(self.columns(features)), training)

    def columns(self, features: Tensor) -> dict[str, Tensor]:
        """The fields of rows that hold them in the order of `config.sizes`, genres last.

        Args:
          features: int32 [B, number of other fields + slots].

        Returns:
          int32 [B] for each field, and [B, slots] for "genres".
        """
        plain = self.config.plain
        found = {field: features[:, place] for place, field in enumerate(plain)}
        if GENRES in self.config.sizes:
            found[GENRES] = features[:, len(plain) :]
        return found

    def rows_of(self, columns: Mapping[str, Tensor]) -> Tensor:
        """The fields' rows side by side: float32 [B, fields * dim]; genres are their mean."""
        rows = [self._row(field, columns[field]) for field in self.config.sizes]
        return tf.concat(rows, axis=-1)

    def _row(self, field: str, values: Tensor) -> Tensor:
        if field != GENRES:
            return self.tables[field](values)
        slots, dim = self.config.slots, self.config.dim
        rows = tf.reshape(self.tables[field](tf.reshape(values, [-1])), [-1, slots, dim])
        # Padding has a row, too, which is learnt: the mean is over all slots.
        return tf.reduce_mean(rows, axis=1)

    def logits(self, x: Tensor, training: bool = False) -> Tensor:
        """What the rows say: float32 [B, fields * dim] → float32 [B]."""
        crossed, deep = x, x
        for cross in self.crosses:
            crossed = cross(x, crossed)
        for layer, drop in zip(self.deep, self.drops, strict=True):
            deep = drop(layer(deep), training=training)
        return tf.reshape(self.head(tf.concat([crossed, deep], axis=-1)), [-1])

    def compute_loss(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Mean cross-entropy of the click, and the penalty on the tables.

        Args:
          inputs: rows as `call` takes them, and behind them 1 for a click or 0: int32 [B, n + 1].
          training: whether to drop.

        Returns:
          float32 [], in nats.
        """
        x = self.rows_of(self.columns(inputs[:, :-1]))
        logits, clicks = self.logits(x, training), tf.cast(inputs[:, -1], tf.float32)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(clicks, logits)
        return mean_of_all(losses) + share(self.penalty())

    def penalty(self) -> Tensor:
        """What the tables' squared length adds to the loss: float32 []."""
        if not self.config.penalty:
            return 0.0
        tables = [table.embeddings for table in self.tables.values()]
        return 0.5 * self.config.penalty * tf.add_n([tf.reduce_sum(t * t) for t in tables])

    def click(self, **columns: Tensor) -> dict[str, Tensor]:
        """The probability of a click for each of B pairs of a user and an item.

        Args:
          columns: int32 [B] for each field, and [B, slots] for "genres".

        Returns:
          probability: float32 [B].
        """
        return {"probability": tf.sigmoid(self.logits(self.rows_of(columns)))}

    def get_config(self) -> dict[str, Any]:
        """The fields of `RankingConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Ranker:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "ranker")
        return cls(RankingConfig(**fields), name=name)
