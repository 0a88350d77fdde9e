"""Measurements that the documentation quotes; each writes its results, and how it made them."""
