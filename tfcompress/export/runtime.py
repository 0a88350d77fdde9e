"""Running TFLite files with LiteRT: outputs, and latency side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfcompress.errors import ExportError

Array = np.ndarray[Any, Any]


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

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """The named outputs for these inputs.

        Raises:
            ExportError: the signature is unknown, or LiteRT could not run it.
        """
        if signature not in self._signatures:
            raise ExportError(
                f"{self.path} has no signature {signature!r}; expected one of {self.signatures}."
            )
        try:
            if signature not in self._runners:
                self._runners[signature] = self._interpreter.get_signature_runner(signature)
            outputs = self._runners[signature](**{k: np.asarray(v) for k, v in inputs.items()})
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"LiteRT could not run {signature!r} of {self.path}: {error}") from error
        return {name: np.array(value) for name, value in outputs.items()}


def compare_latency(
    files: Mapping[str, str | Path],
    signature: str,
    inputs: Sequence[Mapping[str, Any]],
    rounds: int = 30,
    threads: int = 1,
) -> dict[str, float]:
    """Median time of one call in microseconds, the files taking turns in one run.

    Args:
        files: name to file.
        signature: what to call.
        inputs: the calls of one round; each file makes all of them before the next one's turn.
        rounds: how many rounds are counted, after three that are not.
        threads: how many threads LiteRT may use.
    """
    models = {name: LiteModel(path, threads) for name, path in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for round_number in range(rounds + 3):
        for name, model in models.items():
            for one in inputs:
                start = time.perf_counter()
                model.run(signature, one)
                if round_number >= 3:
                    times[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken) * 1e6) for name, taken in times.items()}
