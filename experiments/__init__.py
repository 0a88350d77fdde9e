"""Datasets, reference models and scripts around `tfcompress`."""
