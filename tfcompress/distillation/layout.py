"""How a teacher's answers lie on disk, and by what an example is known again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf

META, LOGITS, ITEMS, HASHES = "answers.json", "logits.bin", "items.bin", "hashes.bin"
VERSION = 1


@dataclass(frozen=True)
class Layout:
    """How a teacher's answers lie on disk, in rows one behind the other, least byte first.

    Attributes:
        shape: of a row of logits, `(..., classes)` or `(..., top)`.
        classes: how many the teacher has.
        top: how many of them are stored, the largest first, with their items; None for all.
        dtype: of the logits, "float16" or "float32".
    """

    shape: tuple[int, ...]
    classes: int
    top: int | None
    dtype: str

    def columns(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """For each file, the type and the shape of a row; hashes come last."""
        found = {LOGITS: (np.dtype(self.dtype).newbyteorder("<"), self.shape)}
        if self.top is not None:
            found[ITEMS] = (np.dtype("<i4"), self.shape)
        return {**found, HASHES: (np.dtype("<i8"), ())}

    def row_bytes(self, name: str) -> int:
        """How many bytes a row of a file has."""
        dtype, shape = self.columns()[name]
        return int(dtype.itemsize * np.prod(shape, dtype=np.int64))

    def written(self, folder: Path) -> int:
        """How many rows are whole in every file."""
        sizes = {n: (folder / n).stat().st_size if (folder / n).exists() else 0 for n in self.files}
        return min(size // self.row_bytes(name) for name, size in sizes.items())

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files with rows."""
        return tuple(self.columns())

    def to_json(self, rows: int | None) -> str:
        """What is written beside the rows; their number only once they are all there."""
        return json.dumps({"version": VERSION, "rows": rows, **asdict(self)}, indent=2)

    @classmethod
    def read(cls, folder: Path) -> tuple[Layout, int | None]:
        """The layout in a folder, and the number of rows."""
        content = json.loads((folder / META).read_text())
        version, rows = content.pop("version", None), content.pop("rows", None)
        if version != VERSION:
            raise SpecError(
                f"{folder} holds answers of version {version}; expected {VERSION}. Delete the "
                "folder, and run tfcompress.precompute again."
            )
        return cls(**{**content, "shape": tuple(content["shape"])}), rows


def row_hashes(x: Any) -> Any:
    """A hash of each example's features (FarmHash64, the same on every machine): int64 `[n]`.

    Args:
        x: a dense tensor `[n, ...]` of any type, or a structure of them.

    Raises:
        SpecError: no tensors, or one that is ragged or sparse, or has no axis of examples.

    Example:
        >>> import tensorflow as tf
        >>> one, other, again = row_hashes(tf.constant([[1, 2], [2, 1], [1, 2]])).numpy()
        >>> bool(one == again), bool(one == other)
        (True, False)
    """
    parts = []
    for leaf in tf.nest.flatten(x):
        if not isinstance(leaf, (tf.Tensor, np.ndarray)):
            raise SpecError(
                f"Received features with {type(leaf).__name__} among them; expected dense tensors "
                "[n, ...]. Make ragged or sparse ones dense first."
            )
        leaf = tf.convert_to_tensor(leaf)
        if leaf.shape.rank == 0:
            raise SpecError(
                "Received a feature without an axis of examples; expected batches [n, ...]."
            )
        parts.append(tf.raw_ops.Fingerprint(data=leaf, method="farmhash64"))
    if not parts:
        raise SpecError(f"Received the features {x!r}; expected tensors [n, ...].")
    if len(parts) > 1:
        parts = [tf.raw_ops.Fingerprint(data=tf.concat(parts, axis=1), method="farmhash64")]
    return tf.bitcast(parts[0], tf.int64)


def as_batches(data: Any, batch_size: int) -> Any:
    """A dataset as it is; arrays in batches."""
    if isinstance(data, tf.data.Dataset):
        return data
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)


def features(batch: Any) -> Any:
    """The features of a batch as `fit` understands it: x, (x,), (x, y) or (x, y, weights)."""
    while isinstance(batch, tuple) and len(batch) == 1:
        batch = batch[0]
    return keras.utils.unpack_x_y_sample_weight(batch)[0]
