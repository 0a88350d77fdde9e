"""Walking, copying and replacing the layers of any Keras model.

Sequential and Functional models are rebuilt from their graph of layers; every other object that
holds layers (subclassed models, TFRS models, custom layers) is changed attribute by attribute.
"""

from tfcompress.surgery.copying import copy_model
from tfcompress.surgery.listen import listening
from tfcompress.surgery.replace import Replacements, replace_layers
from tfcompress.surgery.walk import Held, children, is_network, walk

__all__ = [
    "Held",
    "Replacements",
    "children",
    "copy_model",
    "is_network",
    "listening",
    "replace_layers",
    "walk",
]
