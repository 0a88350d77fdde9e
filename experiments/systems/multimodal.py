"""Films known by id, words, people and genres; each tower is compressed by a technique of its own.

No headline was published for it, so that no figure is asked of it: it says what compressing the
towers costs, for films that were seen and for films that came since.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tfcompress as tfc
from experiments.data import film_facts, movielens
from experiments.data.cold import cold_start
from experiments.models.multimodal import MultimodalConfig
from experiments.systems.fusing import Fusing
from experiments.systems.system import Way
from experiments.training import TrainingConfig

NAME = "multimodal"
TOWERS = film_facts.KINDS_OF_FACTS


@dataclass(frozen=True)
class Alone:
    """A model that is trained without a teacher, and shipped in float32.

    Attributes:
      name: of its row. ids: whether it knows items by their id. facts: or by what is known of them.
    """

    name: str
    ids: bool = True
    facts: bool = True


@dataclass(frozen=True)
class CrossModal(Way):
    """A way to compress, in which the towers of facts may learn from the teacher's table of ids.

    Attributes:
      cross_modal: how much of that loss there is, see `fusing.taught_on`.
    """

    cross_modal: float = 0.0

    def to_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return super().to_data() | {"cross_modal": self.cross_modal}


def subject(folder: Path | None) -> Fusing:
    """MovieLens-1M from a folder, or fetched, with facts about its films."""
    data = movielens.load(folder)
    cold = cold_start(data)
    facts = film_facts.load(data, folder).renumbered(cold.old_numbers)
    return Fusing(cold, facts, length=48, positions=1024, without_id=0.2)


def sizes(of: Fusing, alone: Alone) -> MultimodalConfig:
    """Those of a model that is trained alone."""
    tables = of.facts.tables.items() if alone.facts else ()
    return MultimodalConfig(
        n_items=of.data.n_warm,
        length=of.length,
        dim=64,
        heads=2,
        feedforward=(128,),
        dropout=0.2,
        facts=tuple((name, of.facts.sizes[name], table.shape[1]) for name, table in tables),
        tower_dropout=0.3,
        ids=alone.ids,
    )


TEACHER = Alone("teacher")
BASELINES = (Alone("id_only", facts=False), Alone("content_only", ids=False))
TEACHING = TrainingConfig(seed=0, batch=64, epochs=8, peak_learning_rate=3e-3, warmup_steps=100)

TRUNK = tfc.by_name("attend") | tfc.by_name("projection") | tfc.by_name("reader")
TRUNK = TRUNK | tfc.by_name("writer") | tfc.by_name("ff1") | tfc.by_name("ff2")
# One scale for a whole table spends nothing on rows; what lies far out is cut off.
_CLIPPED = tfc.Quantize(bits=4, granularity=tfc.PerTensor(), scale=tfc.Deviations(2.4))
_BOOKS = tfc.Quantize(bits=8, granularity=tfc.PerTensor())
SPEC = tfc.Spec(
    [
        tfc.rule(tfc.by_name("item_table"), tfc.Factorize(rank=48), _CLIPPED),
        tfc.rule(tfc.by_name("towers.words.table"), _CLIPPED),
        tfc.rule(tfc.by_name("towers.people.table"), tfc.Code(codes=8), _BOOKS),
        tfc.rule(tfc.by_name("towers.kinds.table") | tfc.by_name("position_table"), _BOOKS),
        tfc.rule(tfc.by_name("inner"), tfc.Prune(sparsity=0.5), tfc.Quantize(bits=8)),
        tfc.rule(tfc.by_name("outer"), tfc.Quantize(bits=8)),
        tfc.rule(TRUNK, _CLIPPED),
    ]
)
_TRAINING = TrainingConfig(seed=0, batch=64, epochs=3, peak_learning_rate=2e-3, warmup_steps=100)
WITHOUT = CrossModal(
    name="without_cross_modal", specs=(SPEC,), training=_TRAINING, temperature=1.0, weight=0.7
)
OWN = CrossModal(
    name="own",
    specs=(SPEC,),
    training=_TRAINING,
    temperature=1.0,
    weight=0.7,
    cross_modal=1.0,
)
WAYS = (WITHOUT, OWN)
