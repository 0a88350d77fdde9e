"""What the tests of both sequence models need: histories, and weights that show."""

import numpy as np

N_ITEMS, LENGTH = 120, 6


def shown(model, seed=0):
    """The model with weights large enough that every part of it shows in the outputs."""
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.4, w.shape).astype(np.float32) for w in model.weights])
    return model


def histories(n, seed=0):
    """Histories int32 `[n, LENGTH]` of so many events as chance gives, padding before them."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, N_ITEMS + 1, (n, LENGTH)).astype(np.int32)
    for row, events in zip(rows, random.integers(0, LENGTH + 1, n), strict=True):
        row[: LENGTH - events] = 0
    return rows


def sees_every_real_event(model):
    """Asserts that the last row follows every event before it."""
    rows = np.arange(1, LENGTH + 1, dtype=np.int32)[None].repeat(LENGTH, 0)
    changed = rows + 50 * np.eye(LENGTH, dtype=np.int32)
    difference = np.abs(model(changed).numpy() - model(rows).numpy())[:, -1].max(axis=1)
    assert difference.min() > 1e-4
