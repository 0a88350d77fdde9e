"""A report's rows on layers: what they are, what was done to them and why not, what it saved."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tfcompress.applied import Rows, notes_of
from tfcompress.export import activations
from tfcompress.export.done import done_to
from tfcompress.layers.compressed import raw
from tfcompress.layers.forms import form_of
from tfcompress.layers.spread import weight_histograms
from tfcompress.layers.table import TableLayer
from tfcompress.measure import FLOAT_BITS, LayerForm
from tfcompress.surgery import Held, walk
from tfcompress.value import brief


def asked_of(model: Any) -> dict[str, Any]:
    """For a report: under `asked` the rules that `apply` was given, where they were noted."""
    notes = notes_of(model)
    return {"asked": list(notes.asked)} if notes is not None else {}


def layer_rows(model: Any) -> list[dict[str, Any]]:
    """A row for each layer of a trained model that has parameters.

    `bytes_before`, `skipped`, `notes` and the histograms `before` are what `apply` noted. Of a
    model that was loaded from disk nothing is noted: the first is then what the layer takes in
    float32 that the present one stands for, and the others are not there.
    """
    notes = notes_of(model)
    rows = None if notes is None else notes.layers
    forms = ((held, form_of(held)) for held in walk(model))
    return [_row(held, form, rows) for held, form in forms if form.parameters]


def _row(held: Held, form: LayerForm, rows: Rows | None) -> dict[str, Any]:
    after = weight_histograms(held.layer)
    return {
        "path": held.path,
        "type": form.kind,
        "bytes": form.bytes,
        "sparse_bytes": form.sparse_bytes,
        "weights": [asdict(weight) for weight in form.weights],
        **activations.of_layer(held.layer),
        **_history(held, form, (rows or {}).get(held.path), after),
    }


def _history(
    held: Held, form: LayerForm, noted: dict[str, Any] | None, after: dict[str, Any]
) -> dict[str, Any]:
    if noted is None:
        return {
            "done": [brief(technique) for technique in done_to(held.layer)],
            "bytes_before": float_bytes(held.layer, form),
            "histograms": {"after": after},
        }
    kept = ("done", "skipped", "notes", "bytes_before", "multiply_adds_before")
    before = {"before": noted["histograms"]} if noted["histograms"] else {}
    return {
        **{name: noted[name] for name in kept},
        "multiply_adds": form.multiply_adds,
        "histograms": {**before, "after": after},
    }


def float_bytes(layer: Any, form: LayerForm) -> int:
    """Bytes in float32 of the layer that this one, or what is in its wrapper, stands for.

    Example:
        >>> from tfcompress.layers import FactorizedEmbedding
        >>> from tfcompress.surgery import Held
        >>> layer = FactorizedEmbedding(1000, 64, rank=4)
        >>> layer.build(None)
        >>> float_bytes(layer, form_of(Held("table", layer, ("table",))))
        256000
    """
    inner = raw(layer)
    if isinstance(inner, TableLayer):
        return inner.input_dim * inner.output_dim * FLOAT_BITS // 8
    count = form.parameters
    left, right = (getattr(inner, name, None) for name in ("left", "right"))
    if left is not None and right is not None:  # a convolution's right factor may have a kernel
        places = int(right.shape[0]) // inner.rank
        count = int(left.shape[0]) * places * int(right.shape[1]) + form.other
    return count * FLOAT_BITS // 8
