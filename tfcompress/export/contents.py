"""What a file holds: converted, quantized, compacted, and with what else belongs inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcompress.apply import finalize
from tfcompress.errors import ExportError
from tfcompress.export import activations, flatbuffer, sparse
from tfcompress.export.attachments import files_of, tensors_of
from tfcompress.export.convert import convert
from tfcompress.export.find import stored_weights
from tfcompress.export.lookups import Lifted
from tfcompress.export.lowering import lowered
from tfcompress.export.metadata import attach
from tfcompress.export.quantize import quantize
from tfcompress.export.recurrent import unfused
from tfcompress.export.runtime import LiteModel
from tfcompress.export.signature import Signature
from tfcompress.export.stand_in import mapped_tables
from tfcompress.export.stretched import Stretched, stretched


@dataclass(frozen=True)
class Whole:
    """A file that is in memory; `Stretched` is one that is not.

    Attributes:
        outline: its content.
    """

    outline: bytes

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return len(self.outline)

    def write(self, path: Path) -> None:
        """Writes the file."""
        path.write_bytes(self.outline)

    def run(self, path: Path) -> AbstractContextManager[LiteModel]:
        """What runs it once it is written."""
        return nullcontext(LiteModel(path))

    def counted(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Bytes by kind, which are those of the outline."""
        return dict(sizes)


def contents(
    model: Any,
    lifted: Lifted,
    check: Callable[[Path], object],
    calls: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[Whole | Stretched, sparse.Report | None]:
    """The file of a model, and what a report says of sparse kernels, if any weight is masked.

    Args:
        model: as it was trained.
        lifted: its finalized copy.
        check: loads, runs and compares a file; raises an ExportError.
        calls: for each signature the inputs of some calls, as the file takes them.

    Raises:
        ExportError: the model does not convert, or has both lookups of tokens and tables that stay
            in their files.
    """
    mapped, zeros = mapped_tables(model), sparse.has_zeros(model)
    if mapped and lifted.inputs:
        raise ExportError(
            f"Received a model with lookups of tokens and the table {next(iter(mapped))!r} that "
            "stays in its file, expected one or the other: export a model that takes ids."
        )
    if mapped:

        def build(given: Any) -> bytes:
            return _dense(given, unfused(lowered(finalize(given))), lifted.signatures)

        return stretched(model, mapped, build), sparse.STREAMED if zeros else None
    plain = unfused(lowered(lifted.model))
    content = _dense(model, plain, lifted.signatures)
    kernels = sparse.in_few_bits() if zeros else None
    if zeros and not stored_weights(model):
        content, kernels = sparse.chosen(
            content,
            lambda: flatbuffer.compact(convert(plain, lifted.signatures, sparse=True)),
            check,
            calls,
        )
    inside = files_of(lifted.inputs)
    return Whole(attach(content, inside, tensors_of(lifted.inputs))), kernels


def _dense(model: Any, plain: Any, signatures: Mapping[str, Signature]) -> bytes:
    stored, integers = stored_weights(model), activations.in_integers(model)
    return flatbuffer.compact(quantize(convert(plain, signatures), stored, integers))
