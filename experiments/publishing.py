"""A trained teacher as a folder among the saved models."""

from __future__ import annotations

from pathlib import Path

import tfcompress as tfc
from experiments import compression, quality
from experiments.data import movielens
from experiments.models import files, store


def publish(run: Path, out: Path, data: movielens.MovieLens) -> tfc.Exported:
    """Exports the model of a training run to `out`, with what made it."""
    model = store.load_model(run)
    return tfc.export(
        model,
        out,
        signatures=files.signatures(model.config),
        verify_with=files.verification_calls(data, model.config.length),
        files={files.ITEMS: compression.items_text(data), **store.kept(run)},
        evaluate=lambda path: quality.quality(quality.file_ranks(path, data, "test")),
    )
