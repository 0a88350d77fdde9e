"""What systems make: a TFLite file, or a file and an index behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import tfcompress as tfc
from benchmarks.peers.subject import Subject

Call = Callable[[], Any]
Preparation = Callable[[], Call]  # puts inputs in place; what it returns is timed


class Made(Protocol):
    """What a system made, ready to be asked and timed."""

    def contents(self) -> bytes:
        """All bytes that a device has to hold."""
        ...

    def quality(self) -> float:
        """On the test split, in the subject's metric."""
        ...

    def preparations(self) -> Sequence[Preparation]:
        """One for each call of a round."""
        ...


class LiteFile:
    """A TFLite file that can be asked whatever the subject's files can.

    Args:
        subject: whose model is in it. path: where it is.
    """

    def __init__(self, subject: Subject, path: Path) -> None:
        self._subject, self._path = subject, path

    def contents(self) -> bytes:
        """See `Made`."""
        return self._path.read_bytes()

    def quality(self) -> float:
        """See `Made`."""
        return self._subject.quality(self._path)

    def preparations(self) -> Sequence[Preparation]:
        """See `Made`; a timed call does nothing but run the graph."""
        model, signature = tfc.LiteModel(self._path), self._subject.timed

        def preparation(call: Any) -> Preparation:
            return lambda: model.prepared(signature, call)

        return [preparation(call) for call in self._subject.calls(self._path)]
