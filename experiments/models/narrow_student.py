"""A `NarrowSASRec` that starts as a `MobileSASRec`, in a basis in which its items are narrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.models import store
from experiments.models.mobile import MixingBlock, MobileSASRec, ReadingBlock
from experiments.models.narrow import NarrowConfig, NarrowSASRec

Array = npt.NDArray[np.float32]


def narrow_student_of(whole: MobileSASRec, config: NarrowConfig, counts: Any) -> NarrowSASRec:
    """A student that says what another one says, but for what its narrow rows cannot hold.

    Args:
      whole: of the same sizes, but for the rows.
      config: the student's sizes.
      counts: how often each item is seen, [n_items + 1]: frequent ones count for more.
    """
    student = store.build(config)
    items = whole.item_table.get_weights()[0]
    basis = basis_of(items, np.asarray(counts), config)
    first, (wide, narrow) = config.frequent + 1, config.widths
    none = np.zeros_like(items[:1])
    student.item_table.set_weights([np.vstack([items[:first], none]) @ basis[:, :wide]])
    student.rare_table.set_weights([np.vstack([none, items[first:]]) @ basis[:, :narrow]])
    student.position_table.set_weights([whole.position_table.get_weights()[0] @ basis])
    for new, old in zip(student.mixing, whole.mixing, strict=True):
        _turn_mixing(new, old, basis)
    _turn_reading(student.reading, whole.reading, basis)
    # What scales the old basis is a matrix in the new one, of which its diagonal is kept.
    student.scale.assign((whole.scale.numpy() @ basis**2)[:wide])
    student.shift.assign((whole.shift.numpy() @ basis)[:wide])
    return student


def basis_of(items: Array, counts: Any, config: NarrowConfig) -> Array:
    """An orthonormal basis of the trunk, what items need most first: float32 [dim, dim].

    The first column is the direction of a row's mean, which is the item's bias. Those behind it are
    the principal directions of rare rows, as many as these can have, then of what frequent rows
    have beside them; rows count as often as they are seen.
    """
    first, (wide, narrow) = config.frequent + 1, config.widths
    weighted = items.astype(np.float64) * np.sqrt(counts + 1.0)[:, None]
    basis = np.full((config.dim, 1), config.dim**-0.5)
    for rows, columns in ((weighted[first:], narrow), (weighted[:first], wide)):
        beside = rows - rows @ basis @ basis.T
        found = np.linalg.svd(beside, full_matrices=False)[2][: columns - basis.shape[1]]
        basis = np.hstack([basis, found.T])
    rest = np.linalg.svd(basis.T)[2][basis.shape[1] :]
    parts = basis[:, :narrow], basis[:, narrow:], rest.T
    return np.hstack([_evened(part) for part in parts]).astype(np.float32)


def _evened(basis: Any) -> Any:
    """Another basis of the same space, in which no direction is special.

    Along principal directions a few columns of a table are large and most are small: one scale for
    all of them would leave few levels to most (Ashkboos et al., "QuaRot", 2024).
    """
    turns = np.random.default_rng(0).normal(size=(basis.shape[1],) * 2)
    return basis @ np.linalg.qr(turns)[0]


def _turn_mixing(new: MixingBlock, old: MixingBlock, basis: Array) -> None:
    kernel, bias = old.attend.get_weights()
    new.attend.set_weights([basis.T @ kernel, bias])
    new.projection.set_weights([part @ basis for part in old.projection.get_weights()])
    _turn_feedforward(new, old, basis)


def _turn_reading(new: ReadingBlock, old: ReadingBlock, basis: Array) -> None:
    # It asks rows, and is answered in rows: of each head both are in the basis, too.
    dim = len(basis)
    kernel, bias = old.reader.get_weights()
    asking = (basis.T @ kernel).reshape(dim, -1, dim) @ basis
    new.reader.set_weights([asking.reshape(dim, -1), (bias.reshape(-1, dim) @ basis).ravel()])
    kernel, bias = old.writer.get_weights()
    answered = basis.T @ kernel.reshape(-1, dim, dim) @ basis
    new.writer.set_weights([answered.reshape(-1, dim), bias @ basis])
    _turn_feedforward(new, old, basis)


def _turn_feedforward(new: Any, old: Any, basis: Array) -> None:
    kernel, bias = old.ff1.get_weights()
    new.ff1.set_weights([basis.T @ kernel, bias])
    new.ff2.set_weights([part @ basis for part in old.ff2.get_weights()])
