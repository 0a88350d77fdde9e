"""Search: the best spec within a budget."""

from tfcompress.search.budget import Budget

__all__ = ["Budget"]
