"""Calls at the edges: the first and the last id, ids that are repeated, other batch sizes.

Examples seldom have them, and a file may be wrong in them alone: in the last row of a table, or
where a size that may vary was written down as the one that it was converted with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.fed_tables import ids_read_by_tables
from tfcompress.export.lookups import Lifted
from tfcompress.export.parting import Call, explained
from tfcompress.export.signature import Signature
from tfcompress.export.tracing import tracing_for_a_file
from tfcompress.export.verify import Agreement, Asked, Inputs, answers, differences
from tfcompress.export.vocabularies import Vocabulary

Array = np.ndarray[Any, Any]
Ends = Mapping[str, tuple[Any, Any]]
SIZES = (1, 3)


@dataclass(frozen=True)
class Edge:
    """A call at an edge, and what came of it.

    Attributes:
        signature: which function.
        call: in words what is asked, e.g. "every id the last".
        deviation: of the output that is furthest off, see `Agreement`; None: it was not compared.
        reason: why not.
    """

    signature: str
    call: str
    deviation: float | None
    reason: str = ""


@dataclass(frozen=True)
class Edges:
    """Where a model's edges are; to be found before its tables are lowered.

    Attributes:
        lifted: what the file is made of.
        given: for each signature a call, of which everything but ids and sizes is kept.
        ends: for each signature its inputs that are ids, each with the first and the last one (of
            an input with a lookup these are tokens); or why they were not found.
    """

    lifted: Lifted
    given: Mapping[str, Inputs]
    ends: Mapping[str, Ends | str]

    @classmethod
    def of(cls, lifted: Lifted, batches: Mapping[str, Sequence[Inputs]]) -> Edges:
        """The edges of a model that is called so."""
        return cls(
            lifted,
            {name: batches[name][0] for name in lifted.signatures},
            {name: _ends(lifted, name) for name in lifted.signatures},
        )

    def verify(
        self,
        lite: Asked,
        model: Any,
        signatures: Mapping[str, Signature],
        agreed: Sequence[Agreement],
        tolerance: float,
    ) -> list[Edge]:
        """Runs a file at the edges and compares it with the model, where that gives numbers.

        What the Keras model itself refuses, or answers by what is no number, is not asked of the
        file, and the result says so. Floats that are small at an edge are measured by the size that
        they have elsewhere. Ids are compared where a signature gives nothing else: at an edge many
        scores may be equal.

        Args:
            lite: runs the file.
            model: the model as it was trained.
            signatures: the functions of both.
            agreed: what was found of other calls.
            tolerance: the largest deviation.

        Raises:
            ExportError: the file does not run at an edge, or deviates further.
        """
        found = []
        for name, signature in signatures.items():
            sizes = {one.output: one.size for one in agreed if one.signature == name}
            if isinstance(self.ends[name], str):
                found.append(Edge(name, "ids at their ends", None, str(self.ends[name])))
            for words, inputs in edge_calls(signature, self.given[name], self.ends[name]):
                call = Call(name, inputs, self.lifted.calls({name: [inputs]})[name][0])
                one = _tried(lite, model, signature, call, words, sizes)
                if one.deviation is not None and not one.deviation <= tolerance:
                    raise ExportError(
                        f"The file's outputs of {name} deviate from the Keras model's by "
                        f"{one.deviation:.4f} of their size with {words}; expected at most "
                        f"{tolerance}. {explained(lite.path, model, signatures, call, tolerance)}"
                    )
                found.append(one)
        return found


def _ends(lifted: Lifted, name: str) -> Ends | str:
    try:
        with tracing_for_a_file():  # a network that looks tokens up takes their ids so
            rows = ids_read_by_tables(lifted.model, lifted.signatures[name])
    except Exception as error:  # whatever it is, it says why ids are not tried
        return f"the model does not take inputs of 0 and 1: {type(error).__name__}"
    tokens = lifted.inputs.get(name, {})
    return {k: (0, n - 1) for k, n in rows.items()} | {k: _tokens(v) for k, v in tokens.items()}


def _tokens(vocabulary: Vocabulary) -> tuple[Any, Any]:
    """Tokens of the lowest and the highest id that a vocabulary gives."""
    terms = getattr(vocabulary, "terms", ())
    drawn = vocabulary.examples(np.random.default_rng(2), [200], object).tolist()
    pool = [*drawn, *terms[:1], *terms[-1:]]
    ids = vocabulary(np.array(pool, object))
    return pool[int(np.argmin(ids))], pool[int(np.argmax(ids))]


def edge_calls(
    signature: Signature, given: Inputs, ends: Ends | str
) -> Iterator[tuple[str, Inputs]]:
    """The calls at the edges of a signature, in words and as inputs.

    Example:
        >>> import tensorflow as tf
        >>> specs = {"ids": tf.TensorSpec([None, 2], tf.int32)}
        >>> given = {"ids": np.array([[5, 6]], np.int32)}
        >>> for words, call in edge_calls(Signature(print, specs), given, {"ids": (0, 9)}):
        ...     print(words, call["ids"].tolist())
        every id the first [[0, 0]]
        every id the last [[9, 9]]
        ids repeated [[9, 9]]
        a size of 3 [[5, 6], [5, 6], [5, 6]]
    """
    if isinstance(ends, Mapping) and ends:
        patterns: dict[str, tuple[int, ...]] = {"every id the first": (0,)}
        patterns["every id the last"] = (1,)
        if any(np.size(given[name]) > 1 for name in ends):
            patterns["ids repeated"] = (1, 1, 0)
        for words, pattern in patterns.items():
            yield words, {**given, **{k: _of(given[k], ends[k], pattern) for k in ends}}
    axes = {k: list(s.shape).index(None) for k, s in signature.inputs.items() if None in s.shape}
    now = {np.shape(given[name])[axis] for name, axis in axes.items()}
    for size in SIZES if axes and 0 not in now else ():
        if now != {size}:
            yield (
                f"a size of {size}",
                {**given, **{name: _resized(given[name], axes[name], size) for name in axes}},
            )


def _of(value: Any, ends: tuple[Any, Any], pattern: Sequence[int]) -> Array:
    old = np.asarray(value)
    kind = object if old.dtype.kind in "SU" else old.dtype  # text of any length
    return np.resize(np.array([ends[place] for place in pattern], kind), old.shape)


def _resized(value: Any, axis: int, size: int) -> Array:
    old = np.asarray(value)
    return np.take(old, np.arange(size) % old.shape[axis], axis)


def _tried(
    lite: Asked,
    model: Any,
    signature: Signature,
    call: Call,
    words: str,
    sizes: Mapping[str, float],
) -> Edge:
    try:
        expected = answers(model, signature, call)
    except Exception as error:  # whatever it is, the model is not for such a call
        reason = f"the Keras model does not take it: {type(error).__name__}"
        return Edge(call.signature, words, None, reason)
    for name, value in expected.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            reason = f"the Keras model's {name} is no finite number there"
            return Edge(call.signature, words, None, reason)
    try:
        found = differences(lite, expected, call, sizes)
    except ExportError as error:
        raise ExportError(f"With {words}, which the Keras model takes: {error}") from error
    floats = [found[name].deviation for name, value in expected.items() if value.dtype.kind == "f"]
    far = max(floats or [one.deviation for one in found.values()], default=0.0)
    return Edge(call.signature, words, far)
