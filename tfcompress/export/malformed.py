"""Ids that no lookup gives: the file takes each of them as the documented default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.export.attachments import Inputs, read_vocabularies
from tfcompress.export.verify import Asked

_ENDS = np.iinfo(np.int32)


def check_lookups(
    lite: Asked, inputs: Inputs, calls: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """That a file says what its ids mean, and takes malformed ones as the default.

    Args:
        lite: runs the file.
        inputs: for each signature and input its vocabulary.
        calls: for each signature the inputs of some calls, with ids.

    Raises:
        ExportError: the vocabularies read back differ, or an id outside of them gives something
            else than the default id does.
    """
    if not inputs:
        return
    if read_vocabularies(lite.path) != inputs:
        raise ExportError(
            f"The vocabularies read back from {lite.path} differ from the model's; expected the "
            "same. Name the lookups otherwise: two of them may have the same file."
        )
    for signature, vocabularies in inputs.items():
        for name, vocabulary in vocabularies.items():
            call = dict(calls[signature][0])
            default = lite.run(signature, _filled(call, name, vocabulary.default))
            for wrong in (-1, vocabulary.size, _ENDS.min, _ENDS.max):
                given = lite.run(signature, _filled(call, name, wrong))
                if any(not np.array_equal(given[k], default[k], equal_nan=True) for k in default):
                    raise ExportError(
                        f"The id {wrong} for {signature}.{name} gives something else than the "
                        f"default id {vocabulary.default}; expected the same. The model uses ids "
                        "past the lookup; let it read the lookup's output alone."
                    )


def _filled(call: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    return {**call, name: np.full(np.shape(call[name]), number, np.int32)}
