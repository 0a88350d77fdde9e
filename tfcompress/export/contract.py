"""What an app relies on in a file: its signatures, with names, shapes and types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfcompress.export.runtime import LiteModel
from tfcompress.value import Value


@dataclass(frozen=True)
class Port(Value):
    """An input or output of a signature.

    Attributes:
        signature: which function.
        side: `input` or `output`.
        name: its name there.
        shape: its sizes; -1 where a size is open.
        dtype: as NumPy names it.
    """

    signature: str
    side: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.side} {self.signature}.{self.name} {self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Contract(Value):
    """Every port of a file, in the order of their names."""

    ports: tuple[Port, ...]

    def broken_by(self, other: Contract) -> list[str]:
        """What another file has otherwise; empty where an app would not see a difference."""
        gone = [f"{port} is gone" for port in self.ports if port not in other.ports]
        return [*gone, *(f"{port} is new" for port in other.ports if port not in self.ports)]


def contract_of(path: str | Path) -> Contract:
    """The contract of a TFLite file.

    Raises:
        ExportError: the file does not load.
    """
    model = LiteModel(path)
    ports = []
    for signature in model.signatures:
        runner = model._runner(signature)
        sides = {"input": runner.get_input_details(), "output": runner.get_output_details()}
        for side, details in sides.items():
            for name, detail in details.items():
                shape = tuple(int(size) for size in detail["shape_signature"])
                dtype = "str" if detail["dtype"] in (str, bytes) else np.dtype(detail["dtype"]).name
                ports.append(Port(signature, side, name, shape, dtype))
    return Contract(tuple(sorted(ports, key=lambda p: (p.signature, p.side, p.name))))
