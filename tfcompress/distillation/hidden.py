"""Learning from features: what layers of student and teacher compute, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.distillation.losses import DistillationLoss
from tfcompress.distillation.mathematics import mean_squared_error
from tfcompress.distillation.recorder import Recorder
from tfcompress.distillation.taught import Answers, Pair, widened
from tfcompress.errors import SpecError
from tfcompress.keras import keras, tf
from tfcompress.surgery.probe import example_arguments


@dataclass(frozen=True)
class Hidden(DistillationLoss):
    """Mean squared difference of features: outputs `[n, ..., width]` of layers, pair by pair.

    Romero et al., "FitNets: Hints for Thin Deep Nets" (2015). Where the widths of a pair differ, a
    linear projection from the student's to the teacher's is learnt along; it is saved with the
    `Distiller`, and is no part of the student. Of a layer that is called several times in a pass
    the last output counts.

    Args:
        layers: pairs of paths (student's layer, teacher's layer), such as
            `("tower.blocks.0", "tower.blocks.2")`; a single text stands for both.

    Raises:
        SpecError: no pairs; in `distill`, a path that is not in the model, a model that was never
            called (its widths are then unknown), several teachers or stored ones; in training, a
            layer that is not called, and shapes that differ in more than their width.

    Example:
        >>> Hidden((("hidden", "hidden"), ("block.0", "block.2"))).layers[1]
        ('block.0', 'block.2')
    """

    layers: tuple[Pair, ...]

    def __post_init__(self) -> None:
        given = (self.layers,) if isinstance(self.layers, str) else tuple(self.layers)
        pairs = tuple((p, p) if isinstance(p, str) else tuple(p) for p in given)
        for pair in pairs:
            if len(pair) != 2 or not all(isinstance(path, str) for path in pair):
                raise SpecError(
                    f"Hidden received the pair {pair!r}; expected two paths: (student's layer, "
                    "teacher's layer)."
                )
        if not pairs:
            raise SpecError("Hidden received no layers; expected at least one pair of paths.")
        object.__setattr__(self, "layers", pairs)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The layers, in pairs."""
        return self.layers

    @property
    def compares_logits(self) -> bool:
        """False: only features are compared."""
        return False

    def value(self, answers: Answers, step: Any) -> Any:
        """The mean over pairs of the mean squared difference of a batch."""
        errors = [mean_squared_error(*answers.hidden[pair]) for pair in self.layers]
        return tf.add_n(errors) / len(errors)


class Hints(keras.layers.Layer):  # type: ignore[misc]
    """The projections of a student's features to its teacher's widths.

    Args:
        pairs: paths of student's and teacher's layers.
        widths: of each pair, the student's and the teacher's.
    """

    def __init__(self, pairs: Sequence[Pair], widths: Sequence[Sequence[int]]) -> None:
        super().__init__(name="hints", dtype="float32")
        self.__dict__["pairs"] = tuple(pairs)  # past Keras's tracking, which would wrap it
        self.__dict__["widths"] = tuple((int(own), int(taught)) for own, taught in widths)
        self.projections = []
        for own, taught in self.__dict__["widths"]:
            if own != taught:
                projection = keras.layers.Dense(taught, dtype="float32")
                projection.build((None, own))
                self.projections.append(projection)
        self.built = True

    def compared(self, student: dict[str, Any], teacher: dict[str, Any]) -> dict[Pair, Any]:
        """For each pair the projected feature of the student, and the teacher's.

        Args:
            student: features `[n, ..., width]` by path.
            teacher: the same.

        Raises:
            SpecError: a layer that was not called, or shapes that do not fit.
        """
        found, projections = {}, iter(self.projections)
        for pair, (own_width, width) in zip(self.pairs, self.widths, strict=True):
            own, taught = (
                _feature("student", student, pair[0]),
                _feature("teacher", teacher, pair[1]),
            )
            if own_width != width:
                own = next(projections)(own)
            if not own.shape.is_compatible_with(taught.shape):
                raise SpecError(
                    f"Hidden received features {own.shape} of the student's {pair[0]!r} and "
                    f"{taught.shape} of the teacher's {pair[1]!r}; expected shapes that differ in "
                    "their last axis alone."
                )
            found[pair] = (own, taught)
        return found


def hints_between(student: Any, teacher: Any, pairs: Sequence[Pair]) -> Hints:
    """The hints of these pairs, their widths found by calling both models on an example.

    Raises:
        SpecError: a path that is not in the model, a model that was never called, or an output
            that is no single tensor.
    """
    own = _widths("student", student, [pair[0] for pair in pairs])
    taught = _widths("teacher", teacher, [pair[1] for pair in pairs])
    return Hints(pairs, [(own[a], taught[b]) for a, b in pairs])


def _widths(owner: str, model: Any, paths: Sequence[str]) -> dict[str, int]:
    recorder = Recorder(owner, model, paths)
    arguments = example_arguments(model)
    if arguments is None:
        raise SpecError(
            f"The {owner} {model.name!r} was never called, and the widths of its layers are "
            "unknown; expected a model in use. Call it on a batch first."
        )
    args, kwargs = arguments
    with recorder.listening() as heard:
        model(*args, **kwargs)
    return {path: int(_feature(owner, heard, path).shape[-1]) for path in paths}


def _feature(owner: str, heard: dict[str, Any], path: str) -> Any:
    feature = heard.get(path)
    if feature is None:
        raise SpecError(
            f"The {owner}'s layer {path!r} was not called in its forward pass; expected a layer "
            "that is called there, not one whose weights alone are read, or whose call a "
            "tf.function of its own holds."
        )
    if not tf.is_tensor(feature) or not feature.dtype.is_floating or feature.shape.rank < 2:
        kinds = [getattr(one, "dtype", type(one).__name__) for one in tf.nest.flatten(feature)]
        raise SpecError(
            f"The {owner}'s layer {path!r} gave {kinds}; expected one float tensor [n, ..., width]."
        )
    if not _is_within_reach(feature):
        raise SpecError(
            f"The {owner}'s layer {path!r} is called inside a tf.function or loop of its own, "
            "whose tensors end with it; expected a call in the model's own pass. Choose the layer "
            "or network around it."
        )
    return widened(feature)


def _is_within_reach(tensor: Any) -> bool:
    if isinstance(tensor, tf.__internal__.EagerTensor):
        return True
    return not tf.executing_eagerly() and tensor.graph is tf.compat.v1.get_default_graph()
