"""Asking a file in another process, which holds LiteRT and its copy of the weights alone."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfcompress.errors import ExportError

Array = np.ndarray[Any, Any]
_WORKER = Path(__file__).with_name("worker.py")


class ApartModel:
    """A file that another process runs, to be used in a `with` block; see `LiteModel`.

    LiteRT packs weights anew when it loads a file, beside the pages of the file that it reads.
    There this adds nothing to what TensorFlow takes here, and a file that ends the process is an
    error.

    Args:
        path: the file.

    Attributes:
        peak_bytes: the most memory that the other process had, pages of the file included.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.peak_bytes = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs of a call.

        Raises:
            ExportError: the file does not load or run.
        """
        sent = signature, {name: np.asarray(value) for name, value in inputs.items()}
        try:
            pickle.dump(sent, self._process.stdin)  # type: ignore[arg-type]
            self._process.stdin.flush()  # type: ignore[union-attr]
            answer, self.peak_bytes = pickle.load(self._process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError) as error:
            raise ExportError(
                f"LiteRT ended its process on {signature!r} of {self.path} (exit code "
                f"{self._process.wait()}). It may have had too little memory: a file's weights are "
                "packed anew when it is loaded."
            ) from error
        if isinstance(answer, str):
            raise ExportError(f"LiteRT could not run {signature!r} of {self.path}: {answer}")
        found: dict[str, Array] = answer
        return found

    def __enter__(self) -> ApartModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.terminate()
        self._process.wait()
