"""Making a subclassed model remember, in its config, which of its layers were replaced.

Keras loads a subclassed model by calling its class again, which knows nothing of the layers that
`apply` put in. A compressed model therefore gets a subclass of its own class that writes these
layers into the config and puts them back when it is read.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tfcompress.errors import SurgeryError
from tfcompress.keras import keras, tf
from tfcompress.surgery.late import make_layers, shapes_of
from tfcompress.surgery.replace import Replacements, replace_layers
from tfcompress.surgery.walk import children, inside, is_network, walk

_NAME = "Structured"
_serialize = keras.src.saving.serialization_lib.serialize_keras_object
_deserialize = keras.src.saving.serialization_lib.deserialize_keras_object


def _new_format() -> Any:
    # While a SavedModel is written or read Keras serializes in its old format, which knows an
    # object by its identity and would write the model in place of its own base.
    options = keras.src.saving.legacy.saved_model.utils
    return options.keras_option_scope(options.should_save_traces(), in_tf_saved_model_scope=False)


@keras.utils.register_keras_serializable("tfcompress", _NAME)
class Structured:
    """What a saved config names; reading it gives a model of the user's class."""

    def get_config(self) -> dict[str, Any]:
        """Keras asks for it; the subclasses that `remember` makes bring their own."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model, its replaced layers in place and built."""
        with keras.utils.custom_object_scope(_own() | (custom_objects or {})), _new_format():
            model = _deserialize(config["base"])
            layers = [(item["path"], _deserialize(item["layer"])) for item in config["layers"]]
            make_layers(model, config.get("late", {}), [path for path, _ in layers])
            model = put_layers(model, dict(layers))
            _build(model, config["builds"])
        return model


def _own() -> dict[str, Any]:
    # TimeDistributed reads the layer in it in Keras's old format, which knows no packages.
    registered = keras.utils.get_custom_objects().items()
    mark = "tfcompress>"
    return {n.removeprefix(mark): c for n, c in registered if n.startswith(mark)}


def put_layers(model: Any, layers: dict[str, Any]) -> Any:
    """`model` with other layers at these paths, remembered in its config.

    Raises:
        SurgeryError: a path that the model does not have.
    """
    at = {held.path: held.layer for held in walk(model)}
    missing = sorted(set(layers) - set(at))
    if missing:
        raise SurgeryError(
            f"{type(model).__name__} has no layer at {missing[0]!r}; expected one of {sorted(at)}. "
            "Make the model's layers in __init__, so that they are there before it is built."
        )
    replacements = Replacements()
    for path, layer in layers.items():
        replacements.put(at[path], layer)
    return remember(replace_layers(model, replacements), set(layers))


def remember(model: Any, paths: set[str]) -> Any:
    """Gives every outermost subclassed owner of a replaced layer a class that remembers it.

    Args:
        model: the model after the replacement.
        paths: where layers were replaced.
    """
    if is_network(model):
        for name, child in children(model):
            below = {p[len(name) + 1 :] for p in paths if p.startswith(f"{name}.")}
            if below:
                remember(child, below)
        return model
    if paths:
        for held in walk(model):  # a network is written whole, what is below it included
            below = {p[len(held.path) + 1 :] for p in paths if p.startswith(f"{held.path}.")}
            if below and is_network(held.layer):
                remember(held.layer, below)
        known = set(getattr(model, "_replaced_paths", ()))
        object.__setattr__(model, "_replaced_paths", tuple(sorted(known | paths)))
        model.__class__ = _structured(_base(type(model)))
    return model


def _base(cls: type) -> type:
    base: type = getattr(cls, "_base_class", cls)
    return base


@cache
def _structured(base: type) -> type:
    def get_config(self: Any) -> dict[str, Any]:
        with _new_format():
            return {
                "base": _base_config(self, base),
                "layers": _replaced_layers(self),
                "builds": _build_shapes(self),
                "late": shapes_of(self, self._replaced_paths),
            }

    def from_config(cls: type, config: dict[str, Any], custom_objects: Any = None) -> Any:
        return Structured.from_config(config, custom_objects)

    def build_from_config(self: Any, config: dict[str, Any]) -> None:
        if not self.built:  # a second build would make its layers anew, the plain ones
            try:
                base.build_from_config(self, config)  # type: ignore[attr-defined]
            except ValueError:
                # Keras builds by a call on floats, which lookups of tokens refuse. The layers that
                # had weights are built by now; where some are not, loading their weights says so.
                self.built = True

    body = {
        "get_config": get_config,
        "build_from_config": build_from_config,
        "from_config": classmethod(from_config),
        "_base_class": base,
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "__qualname__": base.__qualname__,
    }
    cls = type(base.__name__, (base,), body)
    keras.src.saving.object_registration._GLOBAL_CUSTOM_NAMES[cls] = f"tfcompress>{_NAME}"
    return cls


def _base_config(model: Any, base: type) -> dict[str, Any]:
    structured = model.__class__
    model.__class__ = base
    try:
        config: dict[str, Any] = _serialize(model)
    finally:
        model.__class__ = structured
    for part in ("build_config", "compile_config"):
        config.pop(part, None)
    return config


def _replaced_layers(model: Any) -> list[dict[str, Any]]:
    # A network inside the model is written whole: its graph names its layers.
    whole: dict[str, Any] = {}
    for held in walk(model):
        below = any(held.path.startswith(f"{path}.") for path in whole)
        touched = any(
            p == held.path or (is_network(held.layer) and p.startswith(f"{held.path}."))
            for p in model._replaced_paths
        )
        if touched and not below:
            whole[held.path] = held.layer
    return [{"path": path, "layer": _serialize(layer)} for path, layer in whole.items()]


def _build_shapes(model: Any) -> dict[str, Any]:
    shapes = {}
    for held in walk(model):
        shape = getattr(inside(held.layer), "_build_input_shape", None)
        ready = held.layer.built and held.layer.weights and not children(held.layer)
        if ready and shape is not None:
            shapes[held.path] = _serialize(
                tuple(shape) if not isinstance(shape, (dict, list)) else shape
            )
    return shapes


def _build(model: Any, shapes: dict[str, Any]) -> None:
    for held in walk(model):
        if held.path in shapes and not held.layer.built:
            shape = _deserialize(shapes[held.path])
            flat = all(size is None or isinstance(size, int) for size in shape)
            held.layer.build(tf.TensorShape(shape) if flat else shape)
            held.layer.built = True
