"""How large the file of a spec is, known from its student before that is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tfcompress.apply import apply
from tfcompress.schedules import Once
from tfcompress.search.work import Work
from tfcompress.spec import Rule, Spec, Technique
from tfcompress.techniques import Prune


class Sizes:
    """Exports the students of specs as they are, each once.

    Training changes no shape, no bits and no number of zeros that a mask has in the end, and so not
    the bytes of a file.

    Args:
        model: the model as it was.
        work: how students are exported.
        folder: where; nothing is left there.
    """

    def __init__(self, model: Any, work: Work, folder: Path) -> None:
        self._model, self._work, self._folder = model, work, folder
        self._known: dict[str, int | None] = {}

    def of(self, spec: Spec) -> int | None:
        """Bytes of its file; None where it cannot be exported, which a trial will say."""
        key = spec.to_json(indent=None)
        if key not in self._known:
            try:
                self._known[key] = self._made(settled(spec))
            except Exception:
                self._known[key] = None
        return self._known[key]

    def known(self, spec: Spec) -> int | None:
        """The same where it was asked for before; nothing is exported."""
        return self._known.get(spec.to_json(indent=None))

    def _made(self, spec: Spec) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".size-", dir=self._folder) as folder:
            with self._work.scope():
                student = apply(self._model, spec)
            return self._work.export(student, Path(folder) / "student").model.stat().st_size


def settled(spec: Spec) -> Spec:
    """The same with all zeros that a schedule brings in training.

    Example:
        >>> import tfcompress as tfc
        >>> grows = tfc.Prune(0.5, schedule=tfc.PolynomialDecay(end_step=100))
        >>> settled(tfc.Spec([tfc.rule(tfc.by_name("head"), grows)])).rules[0].techniques
        (Prune(sparsity=0.5, block=(1, 1), schedule=Once()),)
    """
    return Spec([Rule(rule.where, tuple(map(_settled, rule.techniques))) for rule in spec.rules])


def _settled(technique: Technique) -> Technique:
    return replace(technique, schedule=Once()) if isinstance(technique, Prune) else technique
