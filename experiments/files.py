"""Writing files completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tfcompress.whole import beside


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside `path`, and moves it there when the block ends without an exception.

    The folder is made if need be. After an exception `path` is what it was before.
    """
    with beside(path) as place, place.open("wb") as file:
        yield file


def save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes an .npz file whose keys are those of `arrays`, in their order."""
    with replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # a key could be "allow_pickle"
