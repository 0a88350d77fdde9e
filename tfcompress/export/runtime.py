"""Running TFLite files with LiteRT: outputs, and latency side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfcompress.errors import ExportError

Array = np.ndarray[Any, Any]
_WARM_UP = 3


class LiteModel:
    """A TFLite file, loaded and ready to run.

    Args:
        path: the file.
        threads: how many threads LiteRT may use.

    Raises:
        ExportError: the file does not load.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.path = Path(path)
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._signatures: dict[str, Any] = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"LiteRT could not load {path}: {error}. Expected a TFLite file whose operators "
                "and weight formats this LiteRT knows."
            ) from error
        self._runners: dict[str, Any] = {}

    @property
    def signatures(self) -> list[str]:
        """Names of what the file can be asked."""
        return list(self._signatures)

    def inputs(self, signature: str) -> list[str]:
        """Names of a signature's inputs."""
        return list(self._signatures[signature]["inputs"])

    def input_shape(self, signature: str, name: str) -> list[int]:
        """Shape of an input, as it stands in the file."""
        return [int(size) for size in self._runner(signature).get_input_details()[name]["shape"]]

    def input_type(self, signature: str, name: str) -> Any:
        """NumPy's type of an input."""
        return np.dtype(self._runner(signature).get_input_details()[name]["dtype"])

    def _runner(self, signature: str) -> Any:
        if signature not in self._signatures:
            raise ExportError(
                f"{self.path} has no signature {signature!r}; expected one of {self.signatures}."
            )
        if signature not in self._runners:
            self._runners[signature] = self._interpreter.get_signature_runner(signature)
        return self._runners[signature]

    def prepared(self, signature: str, inputs: Mapping[str, Any]) -> Callable[[], Any]:
        """A call with these inputs in place, that does nothing but run the graph.

        Raises:
            ExportError: the signature is unknown.
        """
        runner = self._runner(signature)
        self.run(signature, inputs)  # gives the tensors their shapes, memory and values
        interpreter, graph = runner._interpreter_wrapper, runner._subgraph_index
        return lambda: interpreter.Invoke(graph)

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """The named outputs for these inputs.

        Raises:
            ExportError: the signature is unknown, or LiteRT could not run it.
        """
        runner = self._runner(signature)
        try:
            outputs = runner(**{name: np.asarray(value) for name, value in inputs.items()})
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"LiteRT could not run {signature!r} of {self.path}: {error}"
            ) from error
        return {name: np.array(value) for name, value in outputs.items()}


def compare_latency(
    files: Mapping[str, str | Path],
    signature: str,
    inputs: Mapping[str, Sequence[Mapping[str, Any]]],
    rounds: int = 30,
    threads: int = 1,
) -> dict[str, float]:
    """Median time of running the graph once, in microseconds, the files taking turns.

    Handing inputs in and outputs out is not counted: it is Python's work here, not the file's.

    Args:
        files: name to file.
        signature: what to call.
        inputs: for each file the calls of one round; a file makes all of them before the next one's
            turn.
        rounds: how many rounds are counted, after three that are not.
        threads: how many threads LiteRT may use.
    """
    models = {name: LiteModel(path, threads) for name, path in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for round_number in range(rounds + _WARM_UP):
        for name, model in models.items():
            taken = [_timed(model.prepared(signature, one)) for one in inputs[name]]
            if round_number >= _WARM_UP:
                times[name].extend(taken)
    return {name: float(np.median(taken) * 1e6) for name, taken in times.items()}


def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
