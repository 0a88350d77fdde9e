"""Files that are broken on purpose: exports whose content is changed before it is verified."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import tfcompress  # noqa: F401
from tfcompress.export import flatbuffer
from tfcompress.export.contents import Whole

_EXPORT = sys.modules["tfcompress.export.export"]
Change = Callable[[Any], None]


@contextmanager
def broken(change: Change) -> Iterator[None]:
    """While it is open, files are exported after `change` of their `ModelT`."""
    real = _EXPORT.contents

    def contents(*args: Any) -> Any:
        content, kernels = real(*args)
        model = flatbuffer.read(content.outline)
        change(model)
        return Whole(flatbuffer.pack(model)), kernels

    _EXPORT.contents = contents
    try:
        yield
    finally:
        _EXPORT.contents = real


def in_constants(shape: tuple[int, ...], how: Callable[[Any], Any]) -> Change:
    """Changes the bytes of every constant of this shape: uint8 `[rows, bytes of a row]`."""

    def change(model: Any) -> None:
        done = set()
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                data = model.buffers[tensor.buffer].data
                if data is None or not len(data) or tuple(tensor.shape) != shape:
                    continue
                if tensor.buffer not in done:
                    done.add(tensor.buffer)
                    values = np.array(data, np.uint8).reshape(shape[0], -1)
                    model.buffers[tensor.buffer].data = how(values).reshape(-1)
        assert done, f"there is no constant of the shape {shape}"

    return change


def turned(values: Any) -> Any:
    """The rows the other way round."""
    return values[::-1].copy()


def last_row_as_first(values: Any) -> Any:
    """The last row is another one."""
    changed = values.copy()
    changed[-1] = values[0]
    return changed
