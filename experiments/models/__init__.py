"""The reference models, and the one place where `experiments` gets TensorFlow from."""

from tfcompress.keras import tf, tfrs

__all__ = ["tf", "tfrs"]
