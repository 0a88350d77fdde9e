"""Tables of ids whose vectors are made, not trained: synthetic, and to be called so.

There are no public tables of hundreds of millions of trained weights. What compression and a device
have to do with one depends on its size, its spectrum and its norms, and these are made like those
of a trained table of 64 columns, the items of this project's retrieval teacher
(`benchmarks/results/catalogue.json`): its first 8, 16 and 32 axes have 40, 59 and 81 % of the
variance, and its norms are log-normal. Ids become rows by hashing, so that two may share one
(Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.data.movielens import cache_folder
from tfcompress import streaming
from tfcompress.whole import beside

_POWER = 0.37  # singular value k is k ** -_POWER: 42, 58 and 77 % of the variance
_NORM_SPREAD = 0.15  # of the logarithm; a row's own draw spreads it further
_CHUNK_BYTES = 64 << 20


def table(rows: int, columns: int, seed: int, folder: Path | None = None) -> Path:
    """A made table in a `.npy` file, float32 `[rows, columns]`; written once, by chunks of rows.

    Args:
      rows, columns: its shape.
      seed: decides every number.
      folder: where it is kept; by default the cache folder.
    """
    path = (folder or cache_folder()) / f"made-{rows}x{columns}-{seed}.npy"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.standard_normal((columns, columns)))[0]
    sizes = np.arange(1.0, columns + 1) ** -_POWER
    spread = (sizes[:, None] / np.linalg.norm(sizes) * basis).astype(np.float32)
    with beside(path) as place, place.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in streaming.row_slices((rows, columns), _CHUNK_BYTES):
            shape = (part.stop - part.start, columns)
            norms = np.exp(_NORM_SPREAD * random.standard_normal((shape[0], 1), np.float32))
            file.write((norms * (random.standard_normal(shape, np.float32) @ spread)).tobytes())
    return path


def hashed(ids: npt.NDArray[np.integer], rows: int) -> npt.NDArray[np.int32]:
    """The rows of ids, int32 of the same shape.

    The mixing of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators", 2014): every bit of an id changes half of those of its hash.

    Args:
      ids: whole numbers from 0. rows: of the table.

    >>> hashed(np.array([0, 1, 2]), rows=1000).tolist()
    [535, 465, 110]
    """
    mixed = np.asarray(ids).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(rows)).astype(np.int32)
