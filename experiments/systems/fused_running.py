"""The multi-modal system from its data to its record: train, fold, compress, ship, measure.

It differs from `running` in what it compares: a file is asked about films that were seen and about
films that came since, and models without ids and without facts stand beside the teacher.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tfcompress as tfc
from experiments.models import tf
from experiments.models.multimodal import Multimodal, built, folded, signatures
from experiments.systems import multimodal
from experiments.systems.fused_measuring import MAIN, measured
from experiments.systems.fused_quality import K, validated
from experiments.systems.fusing import Fusing, FusingLearner, taught_on
from experiments.systems.learning import Trained, finished
from experiments.systems.measuring import TEACHER, Files
from experiments.systems.multimodal import Alone, CrossModal
from experiments.systems.running import SHIPPED, check_seeds, run_of, trained_for
from experiments.training import Trainer, TrainingConfig, Validation

N_CALLS = 8


@dataclass(frozen=True)
class Trainings:
    """What is trained, and how long.

    Attributes:
      teaching: of the teacher and of the models beside it. baselines: those models.
      ways: how the teacher is compressed; the last is shipped.
    """

    teaching: TrainingConfig
    baselines: Sequence[Alone]
    ways: Sequence[CrossModal]


TRAININGS = Trainings(multimodal.TEACHING, multimodal.BASELINES, multimodal.WAYS)


@dataclass(frozen=True)
class FusedRun:
    """One seed's run.

    Attributes:
      subject: the data. trainings: what is trained.
      seed: of weights, order and what is drawn.
      work: a folder; its checkpoints are what an earlier run has done.
      stop: asked between two steps.
    """

    subject: Fusing
    trainings: Trainings
    seed: int
    work: Path
    stop: Callable[[], bool]

    def alone(self, model: Alone) -> Trained:
        """A model without a teacher, trained to the end, then folded.

        Raises:
          Stopped: when stopped; the state is saved.
          ValueError: if the checkpoint belongs to other settings.
        """
        tf.keras.utils.set_random_seed(self.seed)
        network = built(multimodal.sizes(self.subject, model))
        learner = FusingLearner(network, self.subject)
        trained = self._trained(
            learner, network, self.trainings.teaching, model.name, asdict(model)
        )
        return replace(trained, network=folded(network, self.subject.warm_facts()))

    def student(self, teacher: Multimodal, way: CrossModal) -> Trained:
        """What a way makes of the folded teacher, trained with it to the end; raises as `alone`."""
        tf.keras.utils.set_random_seed(self.seed)
        network = way.student(teacher)
        forward = taught_on(self.subject, way.cross_modal)
        learner = tfc.distill(network, teacher, way.temperature, way.weight, forward)
        return self._trained(learner, network, way.training, way.name, way.to_data())

    def _trained(
        self, learner: Any, network: Any, config: TrainingConfig, name: str, made: dict[str, Any]
    ) -> Trained:
        validation = Validation(lambda: validated(network, self.subject), "both")
        made = {
            "system": multimodal.NAME,
            "data": dict(self.subject.described),
            "made": made,
            "drawn": [self.subject.positions, self.subject.without_id],
        }
        path, config = self.work / f"{name}.npz", replace(config, seed=self.seed)
        trainer = Trainer(learner, self.subject.windows, config, path, validation, made)
        return finished(trainer, network, self.stop)

    def all(self) -> dict[str, Trained]:
        """Everything trained, by name: the teacher, the models beside it, and the students."""
        models = {
            one.name: self.alone(one) for one in (multimodal.TEACHER, *self.trainings.baselines)
        }
        teacher = models[TEACHER].network
        return models | {way.name: self.student(teacher, way) for way in self.trainings.ways}

    def exported(self, models: Mapping[str, Trained]) -> Files:
        """Their files, in folders of their names."""
        asked = calls(self.subject)
        return {name: self._file(name, one.network, asked) for name, one in models.items()}

    def _file(self, name: str, network: Any, asked: Mapping[str, Sequence[Any]]) -> tfc.Exported:
        known = signatures(network.config)
        return tfc.export(
            network,
            self.work / name,
            signatures=known,
            verify_with={signature: asked[signature] for signature in known},
            files={"items.txt": "\n".join(titles(self.subject)) + "\n"},
        )


def titles(subject: Fusing) -> Sequence[str]:
    """Of the items that a file knows by their id, in the order of their numbers from 1."""
    return subject.data.whole.titles[1 : subject.data.n_warm + 1]


def calls(subject: Fusing) -> dict[str, list[dict[str, npt.NDArray[np.int32]]]]:
    """Inputs of a few calls by signature, none of which are from the test split."""
    history = subject.asked["validation"].warm.history[:N_CALLS]
    candidates = np.arange(1, subject.data.n_warm + 1, dtype=np.int32)
    items = subject.data.cold_items("validation")[:N_CALLS]
    tables = subject.facts.tables
    return {
        MAIN: [{"history": one[None]} for one in history],
        "score": [{"history": one[None], "candidates": candidates} for one in history],
        "describe": [{name: table[i : i + 1] for name, table in tables.items()} for i in items],
    }


def record(
    folder: Path | None,
    seeds: Sequence[int],
    work: Path,
    stop: Callable[[], bool] = lambda: False,
    trainings: Trainings = TRAININGS,
    load: Callable[[Path | None], Fusing] = multimodal.subject,
) -> dict[str, Any]:
    """Trains what is not trained yet, exports all files and measures them; see `running.record`.

    Returns:
      What `experiments/results/systems/multimodal.json` holds. `quality` is the NDCG@10 of films
      that were seen; each row has that of films that came since, too.
    """
    check_seeds(seeds)
    begun = time.monotonic()
    subject = load(folder)
    runs = [FusedRun(subject, trainings, seed, work / f"seed-{seed}", stop) for seed in seeds]
    trained = [run.all() for run in runs]
    files = [run.exported(models) for run, models in zip(runs, trained, strict=True)]
    rows = measured(subject, files, calls(subject))
    for row in rows[1:]:
        row["training"] = [models[row["way"]].record for models in trained]
    for way in trainings.ways:
        next(row for row in rows if row["way"] == way.name).update(way.to_data())
    shipped = rows[-1] | {"reached": {}}
    return {
        "system": multimodal.NAME,
        "published_techniques": "nothing was published for it",
        "goal": None,
        "metric": f"ndcg@{K}",
        "way": shipped["way"],
        **{name: shipped[name] for name in SHIPPED},
        "rows": rows,
        "seeds": list(seeds),
        "data": dict(subject.described),
        **run_of(trained_for(trained), time.monotonic() - begun),
    }
