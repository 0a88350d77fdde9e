"""What a sensitivity is worth to a search: python -m benchmarks.search_replay record, then replay.

`record` trains specs of the ranking model of MovieLens-1M that are drawn at random, measures their
files, and measures the model's sensitivity; killed at any moment, the same command goes on. It
writes `results/search_replay_trials.json`.

`replay` lets searches choose among the recorded specs, each with many seeds, and counts the trials
until their files cover 95 % of what all recorded files cover together: the area between the front
of bytes (in their logarithm) and AUC, the float32 file's bytes, and the AUC that films have by
their mean click alone. It writes `results/search_replay.json` after every run, goes on with what it
finds there, and draws a picture beside it.

`budgets` says what 20 random trials of the record are worth within a quarter, an eighth and a
sixteenth of the model's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from absl import app, flags
from rich.console import Console
from rich.table import Table

from benchmarks.records import origin, save
from benchmarks.search_replay import picture, recording, replaying, table
from benchmarks.search_replay.players import PLAYERS, Subject
from benchmarks.search_replay.space import space
from benchmarks.search_replay.trials import Clicked, Steps
from experiments.data import clicks
from experiments.models import store

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
TEACHER = ROOT / "saved_models" / "ml1m-ranking-teacher"
PACKAGES = ("numpy", "tensorflow", "tf-keras", "keras-tuner", "scikit-learn", "ai-edge-litert")
TRIALS, BUDGETS = 20, (1 / 4, 1 / 8, 1 / 16)
FLAGS = flags.FLAGS


def record() -> None:
    """Makes the record."""
    data = clicks.load(Path(FLAGS.data) if FLAGS.data else None)
    work = Clicked(data, store.load_model(TEACHER), Steps(steps=FLAGS.steps))
    least = recording.least_quality(data.rows("train"), work.validation)
    found = recording.record(work, space(), FLAGS.trials, FLAGS.seed, Path(FLAGS.work), least)
    said = {
        "seed": FLAGS.seed,
        "training": asdict(work.how),
        "space": json.loads(space().to_json()),
    }
    save({**origin("search_replay", PACKAGES), **said, **table.to_data(found)}, Path(FLAGS.record))
    print(f"{len(found.rows)} specs, {sum(row.seconds for row in found.rows):.0f} s")


def replay() -> None:
    """Replays searches on the record."""
    recorded, out = table.read(Path(FLAGS.record)), Path(FLAGS.out)
    subject = Subject.of(recorded, store.load_model(TEACHER), space())
    same = {"record": replaying.digest(recorded), "share": FLAGS.share}
    written = json.loads(out.read_text()) if out.exists() else {}
    runs = written["runs"] if all(written.get(k) == v for k, v in same.items()) else {}
    said = {**origin("search_replay", PACKAGES), **same, "specs": len(recorded.rows)}
    seeds = range(1, FLAGS.seeds + 1)
    players = {name: PLAYERS[name] for name in FLAGS.search or PLAYERS}
    replaying.replay(
        subject, players, seeds, FLAGS.share, runs,
        lambda runs: save(said | {"summary": replaying.summary(runs), "runs": runs}, out),
    )  # fmt: skip
    picture.draw(runs, recorded, FLAGS.share, out.with_suffix(".png"))
    Console(width=110).print(table_of(replaying.summary(runs), FLAGS.share))


def budgets() -> None:
    """Prints the best of random trials within budgets."""
    recorded = table.read(Path(FLAGS.record))
    shown = Table(title=f"Quality kept by the best of {TRIALS} random trials")
    for name in ("of the bytes", "median", "95 % of searches", "without a file", "seconds"):
        shown.add_column(name, justify="right")
    for share in BUDGETS:
        best = replaying.best_of_random(recorded, share, TRIALS)
        shown.add_row(
            f"1/{1 / share:.0f}",
            f"{best['median']:.2%}",
            f"{best['low']:.2%} to {best['high']:.2%}",
            f"{best['without']:.0%}",
            f"{best['seconds']:.0f}",
        )
    Console(width=110).print(shown)


def table_of(rows: Sequence[dict[str, Any]], share: float) -> Table:
    """The results to look at."""
    shown = Table(title=f"Trials until {share:.0%} of the area of the best front")
    shown.add_column("search")
    for name in ("seeds", "median", "95 % interval", "least", "most", "of random", "interval"):
        shown.add_column(name, justify="right")
    for row in rows:
        low, high = row["median_interval"]
        ends = row.get("share_interval", [float("nan")] * 2)
        shown.add_row(
            row["search"],
            str(row["seeds"]),
            f"{row['median_trials']:.1f}",
            f"{low:.1f} to {high:.1f}",
            str(row["least"]),
            str(row["most"]),
            f"{row.get('share_of_random', float('nan')):.2f}",
            f"{ends[0]:.2f} to {ends[1]:.2f}",
        )
    return shown


def define_flags() -> None:
    """Says what the command line may hold; not at import, where another script's might stand."""
    flags.DEFINE_string("record", str(RESULTS / "search_replay_trials.json"), "The record.")
    flags.DEFINE_string("out", str(RESULTS / "search_replay.json"), "What replay writes.")
    flags.DEFINE_string("work", "build/search-replay", "Where trials are kept while recording.")
    flags.DEFINE_string("data", None, "A folder with MovieLens-1M; by default it is fetched.")
    flags.DEFINE_integer("trials", 240, "Specs to train.", lower_bound=2)
    flags.DEFINE_integer("steps", Steps.steps, "Steps of a trial.", lower_bound=1)
    flags.DEFINE_integer("seed", 1, "Of the specs and of their training.", lower_bound=1)
    flags.DEFINE_integer("seeds", 20, "Of each search that is replayed.", lower_bound=1)
    flags.DEFINE_multi_enum("search", None, list(PLAYERS), "Which to replay; by default all.")
    flags.DEFINE_float("share", 0.95, "Of the best area, at which a search is over.")


def main(argv: Sequence[str]) -> None:
    """Does what the command says."""
    verbs = {"record": record, "replay": replay, "budgets": budgets}
    if len(argv) != 2 or argv[1] not in verbs:
        raise app.UsageError(f"Received {argv[1:]}, expected one of {list(verbs)}.")
    verbs[argv[1]]()


if __name__ == "__main__":
    define_flags()
    app.run(main)
