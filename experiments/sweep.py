"""Searches for the best mix on MovieLens-1M: python -m experiments.sweep --out=DIR.

Every trial applies a spec of the space to a distilled student, distils for some steps more,
exports, and ranks all items by the file. Killed at any moment, the same command goes on. On many
machines: --role=chief on one of them and --role=worker on the others, with the chief's address.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from absl import app, flags, logging

import tfcompress as tfc
from experiments import quality, ranking
from experiments.compression import NARROW, K, provenance, read_recipe
from experiments.data import movielens
from experiments.files import replacing
from experiments.models import store
from experiments.models.linear import assisted
from experiments.probing import probe
from experiments.sweeping import MEASURED, Retrieval, Steps, distilled_student
from experiments.workers import watched
from tfcompress.page import PAGE, search_page
from tfcompress.whole import write_whole

DATASET = flags.DEFINE_enum("dataset", "ml1m", ["ml1m"], "What to train and validate on.")
DATA = flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
TEACHER = flags.DEFINE_string("teacher", "saved_models/ml1m-teacher", "What to learn from.")
RECIPE = flags.DEFINE_string(
    "recipe", "experiments/configs/mobile-wide.json", "The student, and how it is taught."
)
SPACE = flags.DEFINE_string("space", "experiments/specs/sweep.json", "The specs to choose from.")
OUT = flags.DEFINE_string("out", None, "The folder for the search and its files.")
RESULTS = flags.DEFINE_string("results", None, "The file for the results; by default in --out.")
OBJECTIVES: dict[str, Callable[[], tfc.Objective]] = {
    "quality": tfc.MaximizeQuality, "bytes": tfc.MinimizeBytes, "latency": tfc.MinimizeLatency,
    "front": tfc.ImproveFront,
}  # fmt: skip
OBJECTIVE = flags.DEFINE_enum("objective", "quality", list(OBJECTIVES), "What to optimize.")
BYTES = flags.DEFINE_integer("budget_bytes", None, "Bytes of the file, at most.")
LATENCY = flags.DEFINE_float("budget_latency_us", None, "Microseconds of a call, at most.")
PARAMETERS = flags.DEFINE_integer("budget_parameters", None, "Parameters, at most.")
ADDS = flags.DEFINE_integer("budget_multiply_adds", None, "Multiply-adds of a call, at most.")
QUALITY = flags.DEFINE_float("budget_quality", None, "Validation NDCG@10, at least.")
INITIAL = flags.DEFINE_integer("initial", None, "Trials before a bayesian oracle's own choice.")
ORACLES: dict[str, Callable[[], tfc.OracleChoice]] = {
    "random": tfc.RandomDraws,
    "bayesian": lambda: tfc.Bayesian(INITIAL.value),
    "hyperband": tfc.Hyperband,
}
IMPROVEMENT = "improvement"
ORACLE = flags.DEFINE_enum(
    "oracle", "bayesian", [*ORACLES, IMPROVEMENT],
    "Who chooses; improvement starts from a sensitivity, which takes some minutes.",
)  # fmt: skip
TRIALS = flags.DEFINE_integer("trials", 40, "How many trials, at most.", lower_bound=1)
HOURS = flags.DEFINE_float("hours", None, "Hours spent on trials, at most.")
SEED = flags.DEFINE_integer("seed", 1, "Of the choice and of the training.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 60, "Steps of a trial.", lower_bound=1)
PARTS = flags.DEFINE_integer("parts", 2, "Parts of a trial; it may be ended behind each.")
BEFORE = flags.DEFINE_integer("before", 300, "Steps of the student that trials start from.")
ROLE = flags.DEFINE_enum("role", "alone", ["alone", "chief", "worker"], "What this process does.")
CHIEF = flags.DEFINE_string("chief", "127.0.0.1:8765", "Where the chief is: address:port.")
WORKER = flags.DEFINE_string("worker", "worker0", "This worker's name, another one for each.")
WORKERS = flags.DEFINE_integer("workers", 0, "How many workers a chief starts on its own machine.")
PATIENCE = flags.DEFINE_float("patience", 300.0, "Seconds that a worker waits for its chief.")
RESUME = flags.DEFINE_bool("resume", True, "Whether to go on with a search that is in --out.")


def main(argv: list[str]) -> None:
    """Runs the command line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"Received {argv[1:]}, expected flags only.")
    out = Path(OUT.value)
    if not RESUME.value and (out / "search.json").exists():
        raise app.UsageError(f"{out} holds a search; expected another --out, or --resume.")
    _take_role()
    data = movielens.load(Path(DATA.value) if DATA.value else None)
    result = _search(out, data)
    if ROLE.value == "worker":
        return
    content = written(result, _teacher(data))
    target = Path(RESULTS.value) if RESULTS.value else out / "results.json"
    with replacing(target) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
    about = {**result.page_data(), "flags": content["flags"], "teacher": content["teacher"]}
    write_whole(out / PAGE, search_page(about, out.resolve().name))
    print(result)
    print(json.dumps({"results": str(target), "share_of_a_trial": content["share_of_a_trial"]}))
    if result.within:
        result.draw(out / "front.png")


def _take_role() -> None:
    """KerasTuner takes roles from the environment."""
    if ROLE.value == "alone":
        if WORKERS.value:
            raise app.UsageError("--workers is for --role=chief.")
        return
    address, _, port = CHIEF.value.rpartition(":")
    os.environ["KERASTUNER_ORACLE_IP"] = address
    os.environ["KERASTUNER_ORACLE_PORT"] = port
    os.environ["KERASTUNER_TUNER_ID"] = "chief" if ROLE.value == "chief" else WORKER.value


def _worker(number: int) -> subprocess.Popen[bytes]:
    given = {
        name: flags.FLAGS[name].value for name in (*_FLAGS, "out", "data", "chief", "patience")
    }
    given |= {"role": "worker", "worker": f"worker{number}", "workers": 0}
    own = [f"--{name}={value}" for name, value in given.items() if value is not None]
    return subprocess.Popen([sys.executable, "-m", "experiments.sweep", *own])


def _search(out: Path, data: movielens.MovieLens) -> tfc.SearchResult:
    recipe = read_recipe(Path(RECIPE.value))
    if any(name in recipe.student for name in NARROW):
        raise app.UsageError(f"{RECIPE.value} has two tables; expected a student of one.")
    teacher = store.load_model(Path(TEACHER.value))
    how = Steps(STEPS.value, PARTS.value, BEFORE.value)
    taught_by = assisted(teacher, data.train, recipe.linear)
    file = out / f"student-{BEFORE.value}.npz"
    student = distilled_student(data, teacher, taught_by, recipe, how, file)
    space = tfc.Space.from_json(Path(SPACE.value).read_text())
    oracle, most = _oracle(student, data, out), (TRIALS.value, HOURS.value)
    settings = tfc.SearchSettings(
        out, oracle, *most, SEED.value, patience=PATIENCE.value, on_trial=_said
    )
    budget = tfc.Budget(BYTES.value, LATENCY.value, PARAMETERS.value, ADDS.value, QUALITY.value)
    work = Retrieval(data, taught_by, recipe, how)
    # The student is there by now, and workers read it.
    with watched([_worker(number) for number in range(WORKERS.value)]):
        return tfc.search(student, space, work, OBJECTIVES[OBJECTIVE.value](), budget, settings)


def _oracle(student: Any, data: movielens.MovieLens, out: Path) -> tfc.OracleChoice:
    """Who chooses; what a sensitivity measured stays in `out`, also for the workers."""
    if ORACLE.value != IMPROVEMENT:
        return ORACLES[ORACLE.value]()
    asked = probe(data, student.config.length, users=512, quality=False)
    prior = tfc.sensitivity(student, asked, MEASURED, folder=out / "sensitivity")
    return tfc.ExpectedImprovement(prior, INITIAL.value or tfc.ExpectedImprovement.initial)


def _said(trial: tfc.Trial) -> None:
    figures = trial.figures
    shown = "" if figures is None else f" NDCG@10 {figures.quality:.4f} {figures.bytes:,} bytes"
    print(f"trial {trial.number}: {trial.ending}{shown} {trial.seconds:.0f} s", flush=True)


def _teacher(data: movielens.MovieLens) -> dict[str, Any]:
    """The teacher's quality by its file, and how long its training took."""
    folder = Path(TEACHER.value)
    trained = json.loads((folder / "results.json").read_text())
    ranks = quality.file_ranks(folder / "model.tflite", data, "validation")
    return {
        "validation_ndcg@10": ranking.hr_ndcg(ranks, K)[1],
        "bytes": (folder / "model.tflite").stat().st_size,
        "training_seconds": sum(row["seconds"] for row in trained["validation"]),
    }


def written(result: tfc.SearchResult, teacher: dict[str, Any]) -> dict[str, Any]:
    """What goes into the results: flags, versions, machine, and every trial."""
    seconds = [trial.seconds for trial in result.trials]
    mean = sum(seconds) / len(seconds) if seconds else None
    longest = max(seconds, default=None)
    trials = result.to_data()
    for trial in trials["trials"]:
        trial.pop("folder")  # where it lay on this machine; a traceback says as much
        trial["error"] = trial["error"] and trial["error"].strip().rpartition("\n")[2]
    return {
        "flags": {name: flags.FLAGS[name].value for name in _FLAGS},
        "steps": asdict(Steps(STEPS.value, PARTS.value, BEFORE.value)),
        **provenance(),
        "teacher": teacher,
        "seconds_of_a_trial": {"mean": mean, "longest": longest},
        "share_of_a_trial": None if mean is None else mean / teacher["training_seconds"],
        **trials,
    }


_FLAGS = (
    "dataset", "teacher", "recipe", "space", "objective", "budget_bytes", "budget_latency_us",
    "budget_parameters", "budget_multiply_adds", "budget_quality", "oracle", "initial", "trials",
    "hours", "seed", "steps", "parts", "before", "role", "workers",
)  # fmt: skip


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    app.run(main)
