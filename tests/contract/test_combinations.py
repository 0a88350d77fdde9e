"""The laws for random combinations of techniques over every kind of layer and of model.

Each example is held to all the laws at once: what costs time is making models, not looking at them.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import kind_models
import numpy as np
import pytest
import tf_keras as keras
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kind_models import FAMILIES
from layer_kinds import KINDS

import tfcompress as tfc
from tfcompress.export.find import stored_weights
from tfcompress.layers import Compressed, FakeQuantizer, HalfPrecision, Mask
from tfcompress.surgery import walk
from tfcompress.techniques import TECHNIQUES

SETTINGS: dict[type, list[Any]] = {
    tfc.Factorize: [
        tfc.Factorize(4),
        tfc.Factorize(tfc.Fraction(0.5), tfc.Spatial()),
        tfc.Factorize(tfc.BudgetShare(0.6)),
        tfc.Factorize(4, error=tfc.OutputError()),
    ],
    tfc.Code: [tfc.Code(4, 8), tfc.Code(8, 16)],
    tfc.Share: [tfc.Share(tfc.QuotientRemainder(8), keep=4), tfc.Share(tfc.DoubleHash(7))],
    tfc.Tier: [tfc.Tier(wide=2), tfc.Tier(fine=0.3, wide=0)],
    tfc.Shrink: [tfc.Shrink(0.5), tfc.Shrink(0.6, multiple=4)],
    tfc.Prune: [
        tfc.Prune(0.5),
        tfc.Prune(0.75, (4, 1)),
        tfc.Prune(0.5, schedule=tfc.ConstantSparsity(begin_step=0, frequency=1)),
        tfc.Prune(0.5, tfc.NofM(2, 4)),
        tfc.Prune(tfc.OfMean(0.8), scope=tfc.Global()),
    ],
    tfc.Sparsify: [
        tfc.Sparsify(tfc.OfMean(0.7)),
        tfc.Sparsify(tfc.ByProbability(0.5, seed=3, rescale=True)),
    ],
    tfc.Quantize: [
        tfc.Quantize(8),
        tfc.Quantize(8, tfc.PerTensor()),
        tfc.Quantize(4, tfc.PerTensor(), tfc.Deviations(2.0)),
        tfc.Quantize(4, tfc.PerBlock(32)),
        tfc.Quantize(4),
        tfc.Quantize(3, scale=tfc.Learned()),
        tfc.Quantize(2, scale=tfc.Deviations(1.5)),
        tfc.Quantize(4, scale=tfc.MeanSquare()),
        tfc.Quantize(8, rounding=tfc.ErrorCorrecting()),
        tfc.Quantize(8, scale=tfc.Fixed(1 / 64)),
        tfc.Quantize(16),
    ],
    tfc.AdaptiveBits: [
        tfc.AdaptiveBits(tfc.BudgetShare(0.6), granularity=tfc.PerTensor()),
        tfc.AdaptiveBits(tfc.BudgetShare(0.6), (2, 4, 8, 16)),
    ],
    tfc.QuantizeActivations: [
        tfc.QuantizeActivations(),
        tfc.QuantizeActivations(observer=tfc.MinMax()),
    ],
}
FOR_TABLES = (tfc.Code, tfc.Share, tfc.Tier)
FOLDED = tfc.by_type("BatchNormalization") | tfc.by_type("ReLU")
EAGER = ("functional", "subclassed")  # the others train in a graph, whose making takes its time
# How many examples of each kind in each family; asked for, they are drawn anew at every run.
ASKED = os.environ.get("TFCOMPRESS_EXAMPLES")


def able(kind: str) -> list[type]:
    """The techniques that such a layer may be asked for."""
    return [t for t in TECHNIQUES if kind == "Embedding" or t not in FOR_TABLES]


@st.composite
def combinations(draw: Any, kind: str) -> tuple[list[Any], list[Any]]:
    """Two or three techniques in their canonical order, and in any."""
    kinds = draw(st.lists(st.sampled_from(able(kind)), min_size=2, max_size=3, unique=True))
    chosen = [draw(st.sampled_from(SETTINGS[t])) for t in TECHNIQUES if t in kinds]
    return chosen, draw(st.permutations(chosen))


def spec_for(kind: str, techniques: list[Any], folded: bool) -> tfc.Spec:
    """Rules for the layer; the units of an attention are those of its heads.

    With `folded` there is one for what a converter makes part of its operator, too.
    """
    asked = KINDS[kind]
    units = [t for t in techniques if isinstance(t, tfc.Shrink)] if asked.units else []
    others = [t for t in techniques if t not in units]
    rounded = [t for t in techniques if isinstance(t, tfc.QuantizeActivations)] if folded else []
    several = [(asked.units, units), (asked.where, others)]
    rules = [tfc.rule(tfc.by_type(name), *some) for name, some in several if some]
    return tfc.Spec([*rules, *([tfc.rule(FOLDED, *rounded)] if rounded else [])])


def same(first: Any, second: Any) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def on_its_grid(value: Any, grid: FakeQuantizer) -> bool:
    """Whether no more magnitudes occur than the grid has levels, where it is a matrix's."""
    by_channel = grid.channel_axis is not None
    if isinstance(grid, HalfPrecision) or (by_channel and (grid.block or value.ndim > 2)):
        return True  # the export compares these
    axis = grid.channel_axis[0] if isinstance(grid.channel_axis, tuple) else grid.channel_axis
    rows = np.moveaxis(value, axis, 0) if by_channel else [value.ravel()]
    return all(magnitudes(row) <= 2 ** (grid.bits - 1) for row in rows)


def magnitudes(row: Any) -> int:
    """How many there are, apart from rounding."""
    sizes = np.abs(row)
    return len(np.unique((sizes / max(sizes.max(), 1e-9)).round(4)))


def holds_zeros_and_grids(student: Any) -> None:
    """Laws 7 and 8: what is read is what training saw, pruned and on its grid."""
    for layer in (held.layer for held in walk(student)):
        for name, chain in layer.transforms.items() if isinstance(layer, Compressed) else ():
            value, read = layer.effective(name).numpy(), layer
            for part in name.split("."):
                read = getattr(read, part)
            np.testing.assert_array_equal(read, value)
            for transform in chain:
                if isinstance(transform, Mask):
                    assert (value == 0).mean() >= transform.target - 0.15
                if isinstance(transform, FakeQuantizer):
                    assert on_its_grid(value, transform)


@cache
def original(family: str, kind: str) -> tuple[Any, Any, Any]:
    """A model, which no example may change, with inputs and what it sees of them."""
    model, x = kind_models.built(family, kind), kind_models.inputs(kind)
    return model, x, tfc.calibrate(model, [x])


def keeps_the_laws(family: str, kind: str, orders: Any, folded: bool, folder: Path) -> None:
    """All laws at once, for techniques in the canonical order and in another."""
    model, x, seen = original(family, kind)
    weights, outputs = model.get_weights(), np.asarray(model(x))
    folded = folded and family in ("sequential", "functional")
    spec, shuffled = (spec_for(kind, techniques, folded) for techniques in orders)
    planned = tfc.plan(model, spec, seen)
    assert all(row.steps or row.skipped or row.notes for row in planned.layers)  # 2
    student = tfc.apply(model, spec, calibration=seen)
    other = tfc.apply(model, shuffled, calibration=seen)
    assert same(other.get_weights(), student.get_weights())  # 6
    np.testing.assert_array_equal(other(x), student(x))
    assert tfc.Spec.from_json(spec.to_json()) == spec  # 4

    before = student.get_weights()
    kind_models.trained(student, x, eagerly=family in EAGER)
    assert not same(student.get_weights(), before)
    assert same(model.get_weights(), weights)  # 1
    np.testing.assert_array_equal(model(x), outputs)
    holds_zeros_and_grids(student)

    student.save(folder / "model.keras")  # 4
    loaded = keras.models.load_model(folder / "model.keras")
    np.testing.assert_array_equal(loaded(x), student(x))
    assert same(loaded.get_weights(), student.get_weights())
    ships(student, x, kind, folder)  # 7


def ships(student: Any, x: Any, kind: str, folder: Path) -> None:
    """Law 7: the file agrees on inputs that training did not see.

    A float16 that a BatchNormalization is folded into is rounded once more, and LiteRT rounds what
    weights of fewer bits are multiplied with.
    """
    stored = stored_weights(student)
    tolerance = 0.05 if any(one.codes is not None for one in stored) else 1e-3 if stored else 1e-4
    calls = {"serve": [{"x": row[None]} for row in kind_models.inputs(kind, seed=3)]}
    tfc.export(student, folder / "m", kind_models.signature(x), calls, tolerance)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=int(ASKED or 1),
    derandomize=ASKED is None,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_any_techniques_in_any_order_keep_the_laws(tmp_path_factory, kind, family, data):
    orders = data.draw(combinations(kind))
    folded = data.draw(st.booleans())
    keeps_the_laws(family, kind, orders, folded, tmp_path_factory.mktemp("combination"))
