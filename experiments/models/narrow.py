"""A `MobileSASRec` whose items are narrower than its trunk, rare ones more so.

A table of rank 40 is one of 40 columns and a matrix behind it that makes 64 of them. The trunk has
a basis of its own choice, so that matrix can be the identity: rows are padded with zeros and need
no work at all. Rare items are narrower still (Baevski and Auli, "Adaptive input representations",
2019; Ginart et al., "Mixed Dimension Embeddings", 2019), and speak of the first columns alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from experiments.models import tf
from experiments.models.mobile import MobileConfig, MobileSASRec, lateness, places, unit
from experiments.models.retriever import Tensor, table
from tfcompress import scores

_PACKAGE = "experiments"


@dataclass(frozen=True, kw_only=True)
class NarrowConfig(MobileConfig):
    """The sizes of a `NarrowSASRec`, beside those of `MobileConfig`.

    Attributes:
      frequent: the last item with a wide row.
      widths: of the rows of items up to that one, and of all others.

    Raises:
      ValueError: if a field is out of range.
    """

    frequent: int
    widths: tuple[int, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "widths", tuple(self.widths))
        if not 1 <= self.frequent < self.n_items:
            raise ValueError(
                f"Received frequent={self.frequent}, expected 1 to {self.n_items - 1}."
            )
        if len(self.widths) != 2 or not self.dim >= self.widths[0] >= self.widths[1] >= 1:
            raise ValueError(
                f"Received widths={self.widths} with dim={self.dim}, expected two numbers from 1 "
                "to dim, that of frequent items first, which is not the smaller one."
            )


@tf.keras.utils.register_keras_serializable(_PACKAGE)
class NarrowSASRec(MobileSASRec):
    """Two narrow tables, and a trunk as wide as ever, whose first columns ask them.

    >>> sizes = {"length": 4, "dim": 8, "heads": 2, "feedforward": (16, 16)}
    >>> model = NarrowSASRec(NarrowConfig(n_items=150, **sizes, frequent=70, widths=(6, 3)))
    >>> model(tf.constant([[0, 0, 5, 7]])).shape.as_list()
    [1, 4, 6]
    """

    def __init__(self, config: NarrowConfig, name: str = "narrow", **kwargs: Any) -> None:
        super().__init__(config, name=name, **kwargs)
        wide, narrow = config.widths
        # Each table has one row for all items of the other: the first's last, and row 0.
        self.item_table = table(config.frequent + 2, wide, "item_table")
        self.rare_table = table(config.n_items - config.frequent + 1, narrow, "rare_table")

    @property
    def asked_width(self) -> int:
        """How many columns of the trunk ask items: as many as a frequent item has."""
        return self.config.widths[0]

    def hidden(self, history: Tensor, rows: int | None = None, training: bool = False) -> Tensor:
        """See `Retriever.hidden`; what it gives is as wide as a frequent item's row."""
        place = places(history)
        x = self._looked_up(tf.reshape(history, [-1]), tf.reshape(place, [-1]))
        x = tf.reshape(x, [-1, history.shape[1], self.config.dim])
        x = self.mixed(x, lateness(place), rows, training)
        return unit(x)[..., : self.asked_width] * self.scale + self.shift

    def last(self, history: Tensor) -> Tensor:
        """`hidden`'s last row alone."""
        return tf.reshape(self.hidden(history, rows=1), [-1, self.asked_width])

    def _looked_up(self, items: Tensor, place: Tensor) -> Tensor:
        """Rows of items and of where they stand, int32 [n] each: float32 [n, dim]."""
        last, (wide, narrow) = self.config.frequent, self.config.widths
        frequent = self.item_table(tf.minimum(items, last + 1))
        rare = self.rare_table(tf.maximum(items - last, 0))
        frequent = tf.pad(frequent, [[0, 0], [0, self.config.dim - wide]])
        rare = tf.pad(rare, [[0, 0], [0, self.config.dim - narrow]])
        return self.position_table(place) + frequent + rare

    def _matches(self, hidden: Tensor) -> Tensor:
        frequent = scores(hidden, self.item_table)[..., :-1]
        rare = scores(hidden[..., : self.config.widths[1]], self.rare_table)[..., 1:]
        return tf.concat([frequent, rare], -1)

    def get_config(self) -> dict[str, Any]:
        """The fields of `NarrowConfig`, and the model's name."""
        return {"name": self.name, **asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> NarrowSASRec:
        """Makes a model of these sizes, with new weights."""
        fields = dict(config)
        name = fields.pop("name", "narrow")
        return cls(NarrowConfig(**fields), name=name)
