"""Faithful copies of models that Keras itself cannot copy.

`copy.deepcopy` takes a built Keras model through serialization, which subclassed and TFRS models
do not survive. Here the state of every layer is copied as it stands: Sequential and Functional
models along their graph, other objects attribute by attribute. The copy is not compiled.
"""

from __future__ import annotations

import copy
import functools
import weakref
from typing import Any

from tfcompress.errors import CopyError
from tfcompress.keras import Model, keras, tf
from tfcompress.surgery.datasets import rebound
from tfcompress.surgery.leaks import find_leak
from tfcompress.surgery.probe import outputs_differ
from tfcompress.surgery.replace import rebuild_network
from tfcompress.surgery.walk import held_layers, is_network, layers_in, own_attributes, variables

# What `compile` and `fit` leave on a model; closures over the old model are among it.
_COMPILED = {
    "_is_compiled": False, "optimizer": None, "loss": None, "compiled_loss": None,
    "compiled_metrics": None, "train_function": None, "test_function": None,
    "predict_function": None, "train_tf_function": None, "_cluster_coordinator": None,
}  # fmt: skip
_AutoCast = keras.src.mixed_precision.autocast_variable
_NODES = ("_inbound_nodes_value", "_outbound_nodes_value")
_COUNTS = "_obj_reference_counts_dict"
_DEPENDENCIES = "_self_unconditional_checkpoint_dependencies"
_DEPENDENCY_NAMES = "_self_unconditional_dependency_names"


def copy_model(model: Any) -> Any:
    """A new model with the same layers, weights and outputs, sharing nothing with the old one.

    Raises:
        CopyError: the copy would still use a part of the original, or computes something else;
            the message names the attribute.
    """
    copier = _Copier()
    try:
        new = copier.layer(model)
    except CopyError:
        raise
    except Exception as error:
        raise CopyError(
            f"Could not copy {type(model).__name__} {model.name!r} at the attribute "
            f"{copier.at}: {type(error).__name__}: {error}. Expected layers and attributes that "
            "can be copied. Use apply(..., in_place=True) to change the model itself."
        ) from error
    _check(model, new)
    return new


def _check(model: Any, new: Any) -> None:
    leak = find_leak(new, [model, *model._flatten_layers(include_self=False), *variables(model)])
    if leak:
        raise CopyError(
            f"A copy of {type(model).__name__} {model.name!r} would still use the original: "
            f"{leak}. Expected layers that are reached through attributes, lists or dicts. "
            "Hold the layer as an attribute, or use apply(..., in_place=True)."
        )
    differs = outputs_differ(model, new)
    if differs:
        raise CopyError(
            f"The copy of {type(model).__name__} {model.name!r} computes something else: "
            f"{differs}. Use apply(..., in_place=True) to change the model itself."
        )


class _Copier:
    """Copies layers, each once; `at` says where it was when something failed."""

    def __init__(self) -> None:
        self._memo: dict[int, Any] = {}
        self._keep: list[Any] = []  # an id in the memo stays valid while its object lives
        self.at = ""

    def layer(self, old: Any) -> Any:
        """The copy of a layer or model."""
        if id(old) not in self._memo:
            self._keep.append(old)
            if is_network(old):
                self._memo[id(old)] = rebuild_network(
                    old, self.layer, functools.partial(self._attribute, type(old).__name__)
                )
            elif _rebuilds_from_config(old):
                self._memo[id(old)] = _from_config(old)
            else:
                self._copy_state(old)
        return self._memo[id(old)]

    def _copy_state(self, old: Any) -> None:
        cls: Any = type(old)
        new = cls.__new__(cls)
        self._memo[id(old)] = new
        for _, child in held_layers(old):
            self.layer(child)
        state = old.__getstate__()
        if isinstance(old, Model):
            self._forget(state, _COMPILED)
            scoped = tf.distribute.has_strategy()
            state["_distribution_strategy"] = tf.distribute.get_strategy() if scoped else None
        self._forget(state, {name: [] for name in _NODES})
        counts = state.pop(_COUNTS, None)
        for value in [*state.values(), *old._trainable_weights, *old._non_trainable_weights]:
            self._foresee(value)
        copied = {name: self._value(type(old).__name__, name, v) for name, v in state.items()}
        _drop_forgotten_dependencies(copied)
        if counts is not None:
            copied[_COUNTS] = _recounted(counts, state, copied)
        new.__setstate__(copied)

    def _forget(self, state: dict[str, Any], instead: dict[str, Any]) -> None:
        for name, value in instead.items():
            if name in state:
                if hasattr(state[name], "__dict__"):
                    self._memo[id(state[name])] = None
                state[name] = value

    def _foresee(self, value: Any) -> None:
        """Notes the copy of what `copy.deepcopy` would copy wrongly."""
        if id(value) in self._memo:
            return
        if isinstance(value, tf.Variable):
            self._memo[id(value)] = _new_variable(value)
        elif isinstance(value, tf.distribute.Strategy):
            self._memo[id(value)] = tf.distribute.get_strategy()
        elif isinstance(value, tf.data.Dataset):
            self._memo[id(value)] = rebound(value, self.layer)
        elif isinstance(value, _TracedFunction):
            # A traced function holds graphs over the old variables; its copy is traced anew.
            python_function = copy.deepcopy(value.python_function, self._memo)
            self._memo[id(value)] = value._clone(python_function)
        elif isinstance(value, weakref.WeakKeyDictionary):
            self._memo[id(value)] = weakref.WeakKeyDictionary()

    def _attribute(self, owner: str, name: str, value: Any) -> Any:
        for _, layer in layers_in(name, value):
            self.layer(layer)
        self._foresee(value)
        return self._value(owner, name, value)

    def _value(self, owner: str, name: str, value: Any) -> Any:
        self.at = f"{owner}.{name}"
        return copy.deepcopy(value, self._memo)


def _new_variable(variable: Any) -> Any:
    # Made anew rather than deep-copied, so that it belongs to the distribution strategy in scope.
    casts = isinstance(variable, _AutoCast.AutoCastVariable)
    with _AutoCast.enable_auto_cast_variables(None):
        new = tf.Variable(
            variable.read_value(),
            trainable=variable.trainable,
            name=variable.name.split(":")[0],
            dtype=variable.dtype,
            constraint=getattr(variable, "constraint", None),
            synchronization=variable.synchronization,
            aggregation=variable.aggregation,
        )
    return _AutoCast.create_autocast_variable(new) if casts else new


def _recounted(counts: Any, old: dict[str, Any], new: dict[str, Any]) -> Any:
    # Keras counts, by identity, under how many attributes a layer is held.
    recounted = type(counts)()
    for name, value in old.items():
        if value in counts:
            recounted[new[name]] = recounted.get(new[name], 0) + 1
    return recounted


_TracedFunction = type(tf.function(lambda: None))


_OPERATORS = "tf_keras.src.layers.core.tf_op_layer"


def _rebuilds_from_config(layer: Any) -> bool:
    # Operators such as `a + b` in a graph are closures over themselves, and have no state.
    if type(layer).__module__ == _OPERATORS:
        return True
    # Look-up tables are handles of a resource that must not be owned twice; their layers carry the
    # whole vocabulary in their config.
    return type(layer).__module__.startswith(keras.__name__) and any(
        isinstance(value, tf.lookup.experimental.MutableHashTable | tf.lookup.StaticHashTable)
        or type(value).__name__.endswith("HashTable")
        for value in own_attributes(layer).values()
    )


def _from_config(layer: Any) -> Any:
    new = type(layer).from_config(layer.get_config())
    if hasattr(layer, "get_vocabulary") and layer.vocabulary_size() > new.vocabulary_size():
        weights = getattr(layer, "idf_weights", None)  # learnt by `adapt`, not in the config
        terms = layer.get_vocabulary(include_special_tokens=False)
        new.set_vocabulary(terms, *([] if weights is None else [weights]))
    return new


def _drop_forgotten_dependencies(state: dict[str, Any]) -> None:
    if "_self_tracked_trackables" in state:
        tracked = state["_self_tracked_trackables"]
        state["_self_tracked_trackables"] = [item for item in tracked if item is not None]
    dependencies = state.get(_DEPENDENCIES)
    if dependencies is not None:
        state[_DEPENDENCIES] = [d for d in dependencies if d.ref is not None]
        state[_DEPENDENCY_NAMES] = {d.name: d.ref for d in state[_DEPENDENCIES]}
