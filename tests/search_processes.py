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
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def take_part(name: str, port: str, work: searches.Pretended, settings: tfc.SearchSettings) -> None:
    """As the chief, or as a worker of that name."""
    os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
    os.environ["KERASTUNER_ORACLE_PORT"] = port
    os.environ["KERASTUNER_TUNER_ID"] = name
    aim, limits = tfc.MaximizeQuality(), tfc.Budget()
    tfc.search(searches.network(), searches.space(), work, aim, limits, settings)


def giving_up(log: Path, *part: Any) -> None:
    """Takes part, and notes why it gave up, and after how long."""
    started = time.monotonic()
    try:
        take_part(*part)
    except tfc.SearchError as error:
        log.write_text(f"{time.monotonic() - started:.1f} {error}")


def with_workers(folder: Path) -> None:
    """A chief and two workers, one killed in the middle of a trial; a third when all is over."""
    port, started = free_port(), folder / "started"
    settings = tfc.SearchSettings(folder / "many", tfc.RandomDraws(), trials=6, lease=2.0)
    slow, quick = searches.Pretended(seconds=60.0, begun=started), searches.Pretended(seconds=0.05)
    chief = forked(lambda: take_part("chief", port, quick, settings))
    lost = forked(lambda: take_part("lost", port, slow, settings))
    other = forked(lambda: take_part("other", port, quick, settings))
    while not started.exists():
        time.sleep(0.05)
    kill(lost)
    for child in (chief, other):
        os.waitpid(child, 0)
    short = replace(settings, directory=folder / "elsewhere", patience=0.5)
    late = forked(lambda: giving_up(folder / "late", "late", port, quick, short))
    os.waitpid(late, 0)


def without_a_chief(folder: Path) -> None:
    """A worker whose chief is killed in the middle of a trial."""
    port, begun = free_port(), folder / "begun"
    work = searches.Pretended(seconds=1.0, begun=begun)
    settings = tfc.SearchSettings(folder / "left", tfc.RandomDraws(), lease=2.0, patience=6.0)
    chief = forked(lambda: take_part("chief", port, work, settings))
    worker = forked(lambda: giving_up(folder / "alone", "worker", port, work, settings))
    while not begun.exists() and running(worker):
        time.sleep(0.02)
    kill(chief)
    os.waitpid(worker, 0)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    interrupted(place)
    with_workers(place)
    without_a_chief(place)
