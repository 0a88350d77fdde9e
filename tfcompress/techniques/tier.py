"""Tier: a table in 4 bits a weight, and more for the rows that are often found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfcompress.errors import SpecError
from tfcompress.layers import TieredEmbedding
from tfcompress.layers.tiers import GROUP
from tfcompress.measure import LayerForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.principal import best_rows, fitted_columns, most_found
from tfcompress.techniques.tables import (
    built_like,
    check_whole,
    common_arguments,
    if_smaller,
    planned,
    why_no_table,
)

Array = np.ndarray[Any, Any]
_MOST_ROWS, _PAIRS = 4_096, 400_000
_OTHERS = 0.3  # rows that ask for rows, for each pair of a vector and a row


@dataclass(frozen=True)
class Tier(Technique):
    """Stores a table in tiers: every row in 4 bits a weight, those that are often found in 8.

    Few rows of a large table are ever among the best for any vector: hubs (Radovanovic, Nanopoulos
    and Ivanovic, "Hubs in Space", JMLR 2010). So the vectors that will ask are looked at
    (`vectors`). The `fine` share of rows that they find most often gets a second code of 4 bits a
    weight for what the first leaves. All rows are coded along the principal axes of the scores they
    get: in coordinates in which these vectors are alike (as the score-aware loss of Guo et al.,
    "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML 2020, weighs
    errors by what they do to scores). The `wide` leading axes have codes of two digits, and as many
    of the last ones none.

    Ask the table with `tfcompress.top_k`, which multiplies with all first codes in one product of
    integers, and looks at second codes of few rows. Whoever asks otherwise than `vectors` do finds
    what 4 bits allow. The spec in an exported folder does not name vectors, `found` and seed, for
    what came of them is in the file.

    Args:
        vectors: path of a `.npy` file, float `[n, width]`: vectors as the table will be asked for,
            a few thousand. Empty: 4,096 rows of the table itself, as where alike ones are looked
            for.
        fine: share of the rows with second codes, above 0; with 1 all would have 8 bits, and the
            table stays as it is.
        wide: axes with codes of two digits, from 0; at most half of the width.
        found: how many rows of each vector count as found, from 1; five times as many as will be
            asked for, since other vectors find what these nearly found.
        seed: of what is drawn.

    Raises:
        SpecError: a field out of range; in `plan`, a file that is missing or does not fit the
            table.

    Example:
        >>> Tier("vectors.npy", fine=0.05).wide
        8
    """

    vectors: str = ""
    fine: float = 0.2
    wide: int = 8
    found: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        number = isinstance(self.fine, (int, float)) and not isinstance(self.fine, bool)
        if not number or not 0.0 < self.fine <= 1.0:
            raise SpecError(f"Tier received fine={self.fine!r}; expected a share above 0, up to 1.")
        for name, least in (("wide", 0), ("found", 1), ("seed", 0)):
            check_whole("Tier", name, getattr(self, name), least)

    def plan(self, form: LayerForm) -> LayerForm | Skip:
        """The form with codes, or why not."""
        reason = why_no_table(form, "Tier")
        if reason is not None:
            return reason
        ids, width = form.weights[0].shape
        if width % 2 or 2 * self.wide > width:
            return Skip(
                f"Tier wants an even width, of which wide={self.wide} is at most half; it has a "
                f"width of {width}"
            )
        if self.fine == 1.0:
            return Skip("every row would have two codes, of as many bits as Quantize(8) gives it")
        self._read(form.path, width)
        codes = ids * (width // 2 + 1) + self._fine(ids) * width // 2
        other = -(-ids // GROUP) + 2 * (width * width + width)
        after = replace(planned(form, TieredEmbedding, {}), codes=codes, other=other)
        return if_smaller(after, form)

    def _fine(self, ids: int) -> int:
        return max(1, round(self.fine * ids))

    def _read(self, path: str, width: int) -> Array | None:
        """The vectors `[n, width]`; None: they are the rows."""
        if not self.vectors:
            return None
        try:
            found = np.load(Path(self.vectors), mmap_mode="r")
        except (OSError, ValueError) as error:
            raise SpecError(
                f"Tier could not read {self.vectors!r} ({error}); expected a file that "
                "numpy.save(path, vectors) wrote."
            ) from error
        real = np.issubdtype(found.dtype, np.floating)
        if not real or found.ndim != 2 or found.shape[1] != width or not len(found):
            raise SpecError(
                f"{self.vectors} holds {found.dtype} {found.shape}; expected floats [n, {width}], "
                f"vectors that the table {path!r} is asked for."
            )
        return np.asarray(found)

    def apply(self, layer: Any) -> Any:
        """The table in tiers, as close to the layer's as its codes allow."""
        table = np.asarray(layer.embeddings, np.float32)
        fine = self._fine(len(table))
        arguments = {"fine": fine, "wide": self.wide, **common_arguments(layer)}
        new = built_like(TieredEmbedding(**arguments), layer)
        rng = np.random.default_rng(self.seed)
        asking = self._asking(layer.name, table, rng)
        found = best_rows(table, asking, min(self.found, len(table)))
        often = most_found(found, table, fine)
        vectors, rows = pairs(found, often, len(table), rng)
        meeting = with_others(asking[vectors], table[rows], table, rng)
        columns = fitted_columns(*meeting, self.wide)
        codes = columns.codes(table)
        new.packed.assign(packed(codes))
        new.columns.assign(columns.matrix)
        new.center.assign(columns.axes.center)
        left = table[often] - columns.rows(codes[often])
        few = rng.integers(0, fine, min(_PAIRS, 64 * fine))
        second = fitted_columns(asking[rng.integers(0, len(asking), len(few))], left[few], 0)
        new.second.assign(packed(second.codes(left)))
        new.second_columns.assign(second.matrix)
        new.second_center.assign(second.axes.center)
        local, before = places(often, len(table))
        new.local.assign(local)
        new.before.assign(before)
        return new

    def _asking(self, name: str, table: Array, rng: np.random.Generator) -> Array:
        """The vectors that the table is asked with, float32 `[n, width]`."""
        given = self._read(name, table.shape[1])
        if given is None:
            given = table[rng.permutation(len(table))[:_MOST_ROWS]]
        return np.asarray(given, np.float32)


def with_others(
    vectors: Array, rows: Array, table: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Pairs that meet, and some of rows that ask for rows: not all will ask as vectors do.

    Args:
        vectors: float `[pairs, width]`, and
        rows: float `[pairs, width]`, which they meet.
        table: float `[ids, width]`; rows that ask get the mean square of the vectors.
        rng: draws.

    Returns:
        Both with some more.
    """
    count = max(1, round(_OTHERS * len(vectors)))
    others = table[rng.integers(0, len(table), count)]
    size = np.sqrt(np.mean(vectors**2) / max(float(np.mean(others**2)), 1e-12))
    met = table[rng.integers(0, len(table), count)]
    return np.concatenate([vectors, others * np.float32(size)]), np.concatenate([rows, met])


def pairs(found: Array, often: Array, rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Vectors and rows that meet, for the first codes to be fitted to.

    Half of them are rows that are found and have no second code, half are drawn from all: one does
    not know all that will be found.

    Args:
        found: int `[n, k]`, rows of the table for each vector.
        often: int `[fine]`, those that have second codes.
        rows: of the table.
        rng: draws.

    Returns:
        int `[pairs]` from 0 to `n - 1`, and int `[pairs]` from 0 to `rows - 1`.
    """
    second = np.zeros(rows, bool)
    second[often] = True
    flat = rng.permutation(found.size)[:_PAIRS]
    flat = flat[~second[found.ravel()[flat]]]
    count = max(len(flat), min(rows, _PAIRS // 8))
    vectors = np.concatenate([flat // found.shape[1], rng.integers(0, len(found), count)])
    return vectors, np.concatenate([found.ravel()[flat], rng.integers(0, rows, count)])


def packed(codes: Array) -> Array:
    """Codes int8 `[n, width]` from -7 to 7 as bytes `[n, width / 2]`, see `layers.tiers`.

    Example:
        >>> packed(np.array([[1, -1]], np.int8)).tolist()
        [[121]]
    """
    shifted = (codes + 8).astype(np.uint8)
    return shifted[:, ::2] | shifted[:, 1::2] << np.uint8(4)


def places(often: Array, rows: int) -> tuple[Array, Array]:
    """Where the second codes of ascending ids are: for each id, and for each `GROUP` of ids.

    Args:
        often: int `[fine]`, ascending.
        rows: of the table.

    Returns:
        uint8 `[rows]`, 0 or from 1 on the place among those of the group, and int32 `[groups]`,
        how many come before the group.
    """
    has_one = np.zeros(-(-rows // GROUP) * GROUP, np.int32)
    has_one[often] = 1
    groups = has_one.reshape(-1, GROUP)
    local = (np.cumsum(groups, 1) * groups).ravel()[:rows].astype(np.uint8)
    before = np.concatenate([[0], np.cumsum(groups.sum(1))[:-1]]).astype(np.int32)
    return local, before
