"""A search ranker of 300 million parameters; pruning, distillation, low rank and sparsification."""

from __future__ import annotations

import functools
from pathlib import Path

import tfcompress as tfc
from experiments.data import letor
from experiments.models.letor import tower
from experiments.systems.judging import Ranked, Tables
from experiments.systems.system import Goal, System, Way
from experiments.training import TrainingConfig

TABLES = Tables(documents=3_750_000, queries=937_500)  # x 64 columns: 300 million in all
# As in the literature on all of MSLR; noise is what keeps so wide a network from learning a few
# queries by heart.
WIDTHS, DROPOUT, NOISE = (1024, 512, 256), 0.2, 1.0

IDS = tfc.by_name("documents") | tfc.by_name("queries")
DEEP = tfc.by_name("tower.deep*")
FIRST, HEAD = tfc.by_name("tower.deep1"), tfc.by_name("tower.head")


def subject(folder: Path | None) -> Ranked:
    """Ranking the documents of a fold of MSLR in a folder, or of a part that is fetched."""
    made = functools.partial(tower, widths=WIDTHS, dropout=DROPOUT)
    return Ranked(letor.load(folder), TABLES, made, NOISE)


TEACHING = TrainingConfig(seed=0, batch=8, epochs=60, peak_learning_rate=1e-3, warmup_steps=20)
STUDYING = TrainingConfig(seed=0, batch=8, epochs=120, peak_learning_rate=1e-3, warmup_steps=20)

LOW_RANK = tfc.Spec(
    [
        tfc.rule(IDS, tfc.Factorize(rank=16)),
        tfc.rule(DEEP & ~FIRST, tfc.Factorize(tfc.Fraction(1 / 8))),
        tfc.rule(FIRST, tfc.Factorize(tfc.Fraction(1 / 4))),
    ]
)
# What sparsification and pruning look at is there once the factors are.
SPARSE = tfc.Spec(
    [
        tfc.rule(DEEP & ~FIRST, tfc.Sparsify(tfc.OfMean(0.5))),
        tfc.rule(FIRST, tfc.Prune(sparsity=0.5)),
    ]
)
PUBLISHED = Way(
    name="published",
    specs=(LOW_RANK, SPARSE),
    training=STUDYING,
    temperature=1.0,
    weight=0.9,
)

# One scale in 16 bits for the 32 numbers of a row; a scale for each row takes six times as much.
NARROW = tfc.Spec(
    [
        tfc.rule(IDS, tfc.Factorize(rank=32), tfc.Quantize(4, tfc.PerBlock(32))),
        tfc.rule(DEEP, tfc.Shrink(keep=0.25, multiple=8)),
        tfc.rule(DEEP | HEAD, tfc.Quantize(bits=8)),
    ]
)
# Of the three teachers it is measured against the first. The last epoch counts: which one is best
# by a handful of validation queries is chance. See docs/design.md for how this was chosen.
OWN = Way(
    name="own",
    specs=(NARROW,),
    training=STUDYING,
    temperature=1.0,
    weight=0.9,
    teachers=3,
    deciding="epoch",
)

SYSTEM = System(
    name="search_ranker",
    published="pruning, distillation, low rank, sparsification",
    load=subject,
    goal=Goal(
        size_reduction=0.9,
        speedup=2.0,
        quality_loss=0.005,
        multiply_adds_reduction=0.7,
        relative=True,
    ),
    teaching=TEACHING,
    ways=(PUBLISHED, OWN),
)
