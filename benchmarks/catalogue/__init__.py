"""A million items, the best hundred of them, and what it takes: python -m benchmarks.catalogue."""
