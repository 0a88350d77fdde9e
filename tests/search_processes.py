"""Searches in processes that are killed: python tests/search_processes.py FOLDER.

Importing TensorFlow takes longer than all of the searches, so that it is done once: every process
is forked from this one, which itself runs nothing.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import tfcompress as tfc  # first: it chooses the Keras that everything else uses
import tfcompress.search.running  # before any fork

# isort: split
import searches
from forks import forked

KILLS, TRIALS = int(os.environ.get("TFCOMPRESS_KILLS", "3")), 7


def running(child: int) -> bool:
    """Whether it has not ended; it is not waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def written(folder: Path) -> int:
    """When the journal was written last."""
    journal = folder / "search.json"
    return journal.stat().st_mtime_ns if journal.exists() else 0


def search(folder: Path) -> None:
    """A search that says in a file which trials ended."""
    with (folder.parent / f"{folder.name}.ended").open("a") as log:
        tfc.search(
            searches.network(),
            searches.space(),
            searches.Pretended(parts=2, seconds=0.03),
            tfc.MaximizeQuality(),
            tfc.Budget(bytes=16_000),
            tfc.SearchSettings(
                folder,
                tfc.Bayesian(initial=4),
                trials=TRIALS,
                early=tfc.MedianRule(least=3),
                on_trial=lambda trial: print(trial.number, file=log, flush=True),
            ),
        )


def interrupted(folder: Path) -> None:
    """The same search, whole and killed at random moments."""
    whole = forked(lambda: search(folder / "whole"))
    os.waitpid(whole, 0)
    moments = random.Random(int(time.time()))
    landed = 0
    for _ in range(KILLS):
        before = written(folder / "killed")
        child = forked(lambda: search(folder / "killed"))
        while written(folder / "killed") == before and running(child):
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.2))
        landed += running(child)
        kill(child)
    (folder / "landed").write_text(f"{landed} of {KILLS}")
    os.waitpid(forked(lambda: search(folder / "killed")), 0)


def with_workers(folder: Path) -> None:
    """A chief and two workers, one of which is killed in the middle of a trial."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = folder / "started"

    def take_part(name: str, seconds: float, begun: Path | None) -> None:
        os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
        os.environ["KERASTUNER_ORACLE_PORT"] = port
        os.environ["KERASTUNER_TUNER_ID"] = name
        work = searches.Pretended(seconds=seconds, begun=begun)
        settings = tfc.SearchSettings(folder / "many", tfc.RandomDraws(), trials=6, lease=2.0)
        aim, limits = tfc.MaximizeQuality(), tfc.Budget()
        tfc.search(searches.network(), searches.space(), work, aim, limits, settings)

    chief = forked(lambda: take_part("chief", 0.0, None))
    lost = forked(lambda: take_part("lost", 60.0, started))
    other = forked(lambda: take_part("other", 0.05, None))
    while not started.exists():
        time.sleep(0.05)
    kill(lost)
    for child in (chief, other):
        os.waitpid(child, 0)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    interrupted(place)
    with_workers(place)
