"""What teachers said about a batch: all their logits, or the largest with their items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcompress.distillation.mathematics import (
    cross_entropy,
    listed_cross_entropy,
    mean_distribution,
)
from tfcompress.errors import SpecError
from tfcompress.keras import tf

Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Whole:
    """The logits of one teacher, or of several.

    Attributes:
        logits: `[..., classes]` of one, or `[teachers, ..., classes]` of several.
        weights: how much each of several teachers counts; None for equally.
    """

    logits: Any
    weights: tuple[float, ...] | None = None

    def beside(self, student: Any) -> Whole:
        """The same as `[n, classes]` or `[teachers, n, classes]`, in the student's type.

        Args:
            student: logits `[..., classes]`.

        Raises:
            SpecError: another number of classes than the student's.
        """
        several = self.logits.shape.rank > student.shape.rank
        check_widths(student.shape[-1], self.logits.shape[-1])
        logits = tf.stop_gradient(tf.cast(self.logits, student.dtype))
        return Whole(rows(logits, above=1 if several else 0), self.weights)

    def entropies(self, student: Any, temperature: Any) -> tuple[Any, Any]:
        """Cross-entropy `[n]` to softened student logits `[n, classes]`, and the own entropy."""
        return cross_entropy(student, self._softened(temperature))

    def paired(self, student: Any) -> tuple[Any, Any]:
        """Logits of the student and of the teachers' mean, of one shape."""
        if self.logits.shape.rank == student.shape.rank:
            return student, self.logits
        shares = self._shares(student.dtype)
        return student, tf.tensordot(shares, self.logits, 1)

    def best(self, top: int, temperature: Any) -> tuple[Any, Any]:
        """The largest softened logits `[n, top]` and their items, int32 `[n, top]`."""
        softened = self._softened(temperature)
        _check_top(top, softened.shape[-1])
        found = tf.math.top_k(softened, top)
        return found.values, found.indices

    def _softened(self, temperature: Any) -> Any:
        softened = self.logits / temperature
        several = softened.shape.rank > 2
        return mean_distribution(softened, self.weights) if several else softened

    def _shares(self, dtype: Any) -> Any:
        count = self.logits.shape[0]
        weights = tf.constant(self.weights or (1.0,) * count, dtype)
        return weights / tf.reduce_sum(weights)


@dataclass(frozen=True, eq=False)
class Listed:
    """The largest logits of a teacher, and whose they are; what it says of the rest is unknown.

    Attributes:
        logits: `[..., k]`, the largest first.
        items: int32 `[..., k]`.
        classes: of how many classes.
    """

    logits: Any
    items: Any
    classes: int

    def beside(self, student: Any) -> Listed:
        """The same as `[n, k]`, in the student's type; raises SpecError as `Whole.beside` does."""
        check_widths(student.shape[-1], self.classes)
        logits = tf.stop_gradient(tf.cast(self.logits, student.dtype))
        return Listed(rows(logits), rows(self.items), self.classes)

    def entropies(self, student: Any, temperature: Any) -> tuple[Any, Any]:
        """Cross-entropy `[n]` to softened student logits `[n, classes]`, and the own entropy."""
        return listed_cross_entropy(student, self.logits / temperature, self.items)

    def paired(self, student: Any) -> tuple[Any, Any]:
        """Logits `[n, k]` of the student and of the teacher, for the teacher's items."""
        return tf.gather(student, self.items, batch_dims=1), self.logits

    def best(self, top: int, temperature: Any) -> tuple[Any, Any]:
        """The largest softened logits `[n, top]` and their items, int32 `[n, top]`."""
        _check_top(top, self.logits.shape[-1])
        return self.logits[:, :top] / temperature, self.items[:, :top]


Taught = Whole | Listed


@dataclass(frozen=True, eq=False)
class Answers:
    """What a loss compares.

    Attributes:
        student: its logits `[..., classes]`.
        taught: the teachers' answers to the same.
        hidden: for each pair of layer paths, the student's features (projected where widths
            differ) and the teacher's, of one shape.
    """

    student: Any
    taught: Taught
    hidden: dict[Pair, tuple[Any, Any]]

    def logits(self) -> tuple[Any, Taught]:
        """Student `[n, classes]` and teachers, in float32 at least.

        Raises:
            SpecError: numbers of classes that differ.
        """
        student = widened(self.student)
        taught = self.taught.beside(student)
        return rows(student), taught


def rows(tensor: Any, above: int = 0) -> Any:
    """`[..., classes]` as `[n, classes]`, behind so many first axes that stay."""
    if tensor.shape.rank == above + 2:
        return tensor
    shape = tf.shape(tensor)
    flat = tf.reshape(tensor, tf.concat([shape[:above], [-1], shape[-1:]], axis=0))
    flat.set_shape((*tensor.shape[:above], None, tensor.shape[-1]))
    return flat


def widened(tensor: Any) -> Any:
    """A tensor in float32 where it has half that precision, for losses to be summed up in."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor


def check_widths(student: int | None, teacher: int | None) -> None:
    """Raises SpecError where the known numbers of classes of student and teacher differ."""
    if None not in (student, teacher) and student != teacher:
        raise SpecError(
            f"Received logits of {student} classes from the student and of {teacher} from its "
            "teacher; expected the same classes in the same order. Compare them in a forward of "
            "your own, or learn from features with Hidden(...)."
        )


def _check_top(top: int, held: int | None) -> None:
    if held is not None and top > held:
        raise SpecError(
            f"ListWise received top={top}, and the teacher's answers hold {held} items; expected "
            f"top <= {held}."
        )
