"""Hearing what layers compute inside somebody else's forward pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.keras import tf
from tfcompress.surgery.walk import walk


class Recorder:
    """Notes what some layers of a model compute while somebody listens.

    Replicas of a distribution strategy are threads that take turns, each with its own notes.

    Raises:
        SpecError: a path that is not in the model.
    """

    def __init__(self, owner: str, model: Any, paths: Sequence[str]) -> None:
        held = {path: found.layer for found in walk(model) for path in found.paths}
        for path in paths:
            if path not in held:
                raise SpecError(
                    f"Hidden received the layer {path!r}, which the {owner} {model.name!r} does "
                    f"not have; expected one of {sorted(held)}."
                )
        self._layers = {path: held[path] for path in paths}
        self._lock, self._listeners = threading.Lock(), 0
        self._notes = threading.local()
        self._before: dict[str, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[dict[str, Any]]:
        """Outputs by path; they are there once the block's calls are done."""
        heard: dict[str, Any] = {}
        before, self._notes.heard = getattr(self._notes, "heard", None), heard
        self._enter()
        try:
            yield heard
        finally:
            self._leave()
            self._notes.heard = before

    def _enter(self) -> None:
        with self._lock:
            self._listeners += 1
            if self._listeners == 1:
                for path, layer in self._layers.items():
                    # Past Keras's attribute tracking; a layer's class keeps its own call.
                    self._before[path] = vars(layer).get("call")
                    vars(layer)["call"] = _noted(layer.call, self._note(path))

    def _leave(self) -> None:
        with self._lock:
            self._listeners -= 1
            if self._listeners == 0:
                for path, layer in reversed(self._layers.items()):
                    vars(layer).pop("call", None)
                    if self._before[path] is not None:
                        vars(layer)["call"] = self._before[path]

    def _note(self, path: str) -> Callable[[Any], None]:
        @tf.autograph.experimental.do_not_convert
        def note(outputs: Any) -> None:
            heard = getattr(self._notes, "heard", None)
            if heard is not None:
                heard[path] = outputs

        return note


def _noted(call: Callable[..., Any], note: Callable[[Any], None]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        note(outputs)
        return outputs

    return noted
