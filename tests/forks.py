"""Processes that need not import TensorFlow again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """The id of a process that does it; the one that calls must not have computed anything."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
