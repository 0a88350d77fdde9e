"""What a trial does with a student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tfcompress.export import Exported, compare_latency, export


class Work(ABC):
    """How a search trains a student, exports it and asks its file.

    `Examples` does it for models of (x, y); a subclass of your own for any other model.

    Attributes:
        parts: in how many parts a student is trained; behind each a trial may be ended.
    """

    parts: int = 1

    def prepare(self, model: Any, folder: Path) -> None:
        """Called once in every process, before its first trial.

        Args:
            model: the model as it was.
            folder: to keep what all trials need, such as a teacher's answers; it is this worker's
                own, and still there when the search goes on.
        """
        del model, folder

    def scope(self) -> AbstractContextManager[Any]:
        """Where students are made: a `tf.distribute` strategy's scope, if they train in one."""
        return nullcontext()

    @abstractmethod
    def train(self, student: Any, parts: range, seed: int) -> Iterator[float]:
        """Trains these parts, and yields the quality on validation data behind each.

        The same student, parts and seed should come to the same; a search that was killed then
        ends where it would have.
        """

    def export(self, student: Any, folder: Path) -> Exported:
        """Writes and verifies the student's folder."""
        return export(student, folder)

    @abstractmethod
    def quality(self, file: Path) -> float:
        """On validation data, by the file alone; the more the better."""

    @abstractmethod
    def calls(self) -> tuple[str, Sequence[Mapping[str, Any]]]:
        """A signature of the file and inputs of some calls of it, to time."""

    def latency_us(self, file: Path) -> float:
        """Median microseconds of a call, on one thread of this machine."""
        signature, calls = self.calls()
        return compare_latency({"file": file}, signature, {"file": calls}, rounds=10)["file"]
