"""Processes that work for this one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def watched(workers: Sequence[subprocess.Popen[bytes]], grace: float = 10.0) -> Iterator[None]:
    """Says which of them fails while the block runs; none of them outlives it for long.

    Args:
      workers: that were started.
      grace: seconds that each has to end by itself behind the block, before it is ended: one that
        came too late to hear that all is done would wait. After an exception there are none.
    """
    over = threading.Event()
    watches = [
        threading.Thread(target=_watch, args=(number, worker, over))
        for number, worker in enumerate(workers)
    ]
    for watch in watches:
        watch.start()
    try:
        yield
        over.set()
        for watch in watches:
            watch.join(grace)
    finally:
        over.set()
        for worker, watch in zip(workers, watches, strict=True):
            if watch.is_alive():
                worker.terminate()
            watch.join()


def _watch(number: int, worker: subprocess.Popen[bytes], over: threading.Event) -> None:
    code = worker.wait()
    if code and not over.is_set():
        said = f"worker{number} ended with exit code {code}; the others go on."
        print(said, file=sys.stderr, flush=True)
