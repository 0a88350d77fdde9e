"""How weights come onto their grid when a layer is quantized, before or without training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tfcompress.calibration import Inputs, SecondMoments, is_recorded
from tfcompress.errors import SpecError
from tfcompress.layers import Compressed, FakeQuantizer, HeldQuantizer, weight_roles
from tfcompress.layers.compressed import raw
from tfcompress.layers.grid import levels
from tfcompress.layers.matrix import from_matrix, to_matrix
from tfcompress.layers.weights import WeightRole, weight_of
from tfcompress.measure import LayerForm, WeightForm
from tfcompress.spec import Skip, Technique
from tfcompress.techniques.correct import corrected_rounding
from tfcompress.techniques.fitted import Fitted
from tfcompress.value import Value

if TYPE_CHECKING:
    from tfcompress.techniques.quantize import Quantize

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rounding(Value):
    """How weights come onto their grid.

    Attributes:
        quantizer: the transform that keeps them there, where their scale is not trained.
    """

    quantizer: ClassVar[type[FakeQuantizer]] = FakeQuantizer

    @abstractmethod
    def prepared(self, technique: Quantize, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """For each layer the technique that rounds so."""

    @abstractmethod
    def why_not(self, form: LayerForm) -> str | None:
        """Why the weights of this layer cannot be rounded so, or None."""

    @abstractmethod
    def carry_out(self, wrapper: Compressed, inputs: Inputs | None) -> None:
        """Rounds the weights of a layer that has just got its quantizers."""


@dataclass(frozen=True)
class Nearest(Rounding):
    """Every weight is rounded to the nearest level whenever it is used, and none is changed.

    Example:
        >>> from tfcompress import Quantize
        >>> Quantize(bits=4).rounding
        Nearest()
    """

    def prepared(self, technique: Quantize, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """The technique itself."""
        return [technique] * len(forms)

    def why_not(self, form: LayerForm) -> None:
        """It always can."""

    def carry_out(self, wrapper: Compressed, inputs: Inputs | None) -> None:
        """Nothing: the quantizers do."""


@dataclass(frozen=True)
class ErrorCorrecting(Rounding):
    """What the rounding of one weight does to a layer's outputs, the other weights make good.

    Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers" (2023), on the inputs that were recorded with `calibrate`, of Dense, EinsumDense
    and Conv2D layers. Of a table each number is read by itself, so that nothing is to be made good
    and its weights are rounded to the nearest. The weights then lie on the grid, which keeps the
    steps that its scale gave it; they may be trained on. Pruned weights stay 0: prune first.

    Args:
        damping: what every input weighs more than was seen, as a share of the mean; above 0.

    Raises:
        SpecError: a damping not above 0; and in `plan`, where no calibration is given.

    Example:
        >>> import tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(8, input_shape=(12,))])
        >>> seen = tfc.calibrate(model, [np.random.default_rng(0).normal(size=(50, 12))])
        >>> quantize = tfc.Quantize(bits=4, rounding=tfc.ErrorCorrecting())
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), quantize)])
        >>> student = tfc.apply(model, spec, calibration=seen)
    """

    damping: float = 0.01
    quantizer: ClassVar[type[FakeQuantizer]] = HeldQuantizer

    def __post_init__(self) -> None:
        if not self.damping > 0:
            raise SpecError(
                f"ErrorCorrecting received damping={self.damping}; expected a number above 0."
            )

    def prepared(self, technique: Quantize, forms: Sequence[LayerForm]) -> list[Technique | Skip]:
        """The technique with what each layer saw."""
        return [Fitted(technique, form.inputs) for form in forms]

    def why_not(self, form: LayerForm) -> str | None:
        """It is no layer whose inputs are recorded, or they were not.

        Raises:
            SpecError: there is no calibration of the layer.
        """
        if all(weight.lookup for weight in form.weights):
            return None
        if not is_recorded(raw(form.layer)) or form.kind != type(raw(form.layer)).__name__:
            return f"{form.kind} is no layer whose inputs calibrate records; round to Nearest()"
        if form.inputs is None:
            raise SpecError(
                f"Quantize received {self!r} for the layer {form.path!r}, and no calibration of "
                "it; expected what the layer sees. Call plan and apply with "
                "calibration=tfcompress.calibrate(model, batches)."
            )
        if form.inputs.count == 0:
            return "it was not called in the calibration, so that its inputs are not known"
        if any(_width(weight) != len(form.inputs.total) for weight in form.weights):
            return "its weight is no single matrix of its inputs; round to Nearest()"
        return None

    def carry_out(self, wrapper: Compressed, inputs: Inputs | None) -> None:
        """Puts every matrix on its grid.

        Raises:
            SpecError: nothing is known of the inputs.
        """
        for role in weight_roles(wrapper.layer):
            if role.lookup:
                continue
            if not isinstance(inputs, SecondMoments):
                raise SpecError(
                    f"{self!r} received {inputs!r} for the inputs of {wrapper.name!r}; expected "
                    "second moments. Use tfcompress.apply(model, spec, calibration=...)."
                )
            self._round(wrapper, role, inputs.total / max(inputs.count, 1))

    def _round(self, wrapper: Compressed, role: WeightRole, moment: Array) -> None:
        grid = wrapper.transforms[role.name][-1]
        value = wrapper.before(role.name, grid)
        turned = _by_outputs(role.channel_axis, len(value.shape))
        matrices = (to_matrix(x, role.channel_axis) for x in (value, grid.steps(value)))
        weights, steps = (np.asarray(x) if turned else np.asarray(x).T for x in matrices)
        rounded = corrected_rounding(weights, moment, steps, levels(grid.bits), self.damping)
        new = from_matrix(rounded if turned else rounded.T, tuple(value.shape), role.channel_axis)
        held = weight_of(wrapper.layer, role.name)
        held.assign(np.where(value == 0.0, held, new))  # what a mask hides stays beneath it


def _width(weight: WeightForm) -> int:
    rows, columns = weight.matrix
    return columns if _by_outputs(weight.channel_axis, len(weight.shape)) else rows


def _by_outputs(channel_axis: Any, rank: int) -> bool:
    """Whether the rows of a weight's matrix are its outputs, and not its inputs."""
    return rank == 2 and channel_axis in (0, (0,))
