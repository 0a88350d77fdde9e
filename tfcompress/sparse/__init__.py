"""Checkpoints that hold what is not zero."""

from tfcompress.sparse.checkpoint import load_sparse, save_sparse

__all__ = ["load_sparse", "save_sparse"]
