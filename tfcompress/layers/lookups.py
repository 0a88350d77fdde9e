"""Keras's layers that turn tokens into ids, which an exported file leaves to the app."""

from __future__ import annotations

from tfcompress.keras import keras

LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup, keras.layers.Hashing)
OUTSIDE = "a file takes its ids: export leaves the lookup to the app, with its vocabulary"
