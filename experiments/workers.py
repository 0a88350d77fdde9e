"""Processes that work for this one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def watched(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Says which of them fails, waits for all at the end, and ends them after an exception here."""
    watches = [threading.Thread(target=_watch, args=pair) for pair in enumerate(workers)]
    for watch in watches:
        watch.start()
    try:
        yield
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        for watch in watches:
            watch.join()


def _watch(number: int, worker: subprocess.Popen[bytes]) -> None:
    code = worker.wait()
    if code:
        said = f"worker{number} ended with exit code {code}; the others go on."
        print(said, file=sys.stderr, flush=True)
