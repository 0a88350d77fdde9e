"""The callback that moves the masks of a `Followed` schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcompress.dynamic.controller import Controller, Decision
from tfcompress.dynamic.policies import Best, Reference, Stepping, Together
from tfcompress.errors import SpecError
from tfcompress.keras import keras
from tfcompress.layers import Compressed, Mask
from tfcompress.surgery import walk

Spot = tuple[Any, str, Mask]  # a wrapper, the name of a matrix, its mask
Kept = list[tuple[Any, np.ndarray[Any, Any]]]


class DynamicPruning(keras.callbacks.Callback):  # type: ignore[misc]
    """Prunes further in every epoch, while the validation metric holds.

    The first epoch trains what is there and gives the metric to hold against. Each later one begins
    with a step up; if the metric at its end is worse than the reference by more than `tolerance`,
    weights, masks and optimizer are again, bit for bit, what they were before the step, and that
    group of layers is pruned no further; epochs that are left train it as it is. Between two epochs
    a model therefore never holds a step that is not yet decided. Place this before callbacks that
    save or stop. `logs` and `History.history` get `pruning_sparsity` (the mean of the groups after
    the decision) and `pruning_kept` (1.0 or 0.0); `decisions` has all of them.

    The memory of one more copy of weights and optimizer is needed.

    Args:
        monitor: the metric in `logs`, such as "val_auc"; it must be there in every epoch.
        maximize: whether more of it is better.
        tolerance: by how much it may be worse than the reference, in its own unit, from 0.
        step: by how much the share of zeros rises, 0 < step < 1.
        reference: `Best()` metric so far, or that of the `Dense()` model.
        stepping: all layers `Together()`, or `OneByOne()`.

    Raises:
        SpecError: a setting out of range; in `fit`: a model without `Followed` masks, one whose
            masks belong to another state, or a metric that is not in `logs`.

    Example:
        >>> import tfcompress as tfc
        >>> prune = tfc.Prune(0.9, schedule=tfc.Followed())
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), prune)])
        >>> tfc.DynamicPruning("val_auc", maximize=True, tolerance=0.002, step=0.1).decisions
        []
    """

    def __init__(
        self,
        monitor: str,
        maximize: bool,
        tolerance: float,
        step: float,
        reference: Reference | None = None,
        stepping: Stepping | None = None,
    ) -> None:
        super().__init__()
        self.monitor, self.maximize = monitor, maximize
        self.tolerance, self.step = tolerance, step
        self.reference = Best() if reference is None else reference
        self.stepping = Together() if stepping is None else stepping
        self._check()
        self._controller: Controller | None = None
        self._state: Mapping[str, Any] | None = None
        self._groups: dict[str, list[Spot]] = {}
        self._kept: Kept = []

    def _check(self) -> None:
        expected = {
            "monitor": (isinstance(self.monitor, str) and self.monitor, "the name of a metric"),
            "maximize": (isinstance(self.maximize, bool), "True or False"),
            "tolerance": (_number(self.tolerance) and 0 <= self.tolerance < np.inf, "from 0"),
            "step": (_number(self.step) and 0 < self.step < 1, "0 < step < 1"),
            "reference": (isinstance(self.reference, Reference), "Best() or Dense()"),
            "stepping": (isinstance(self.stepping, Stepping), "Together() or OneByOne()"),
        }
        for name, (fine, what) in expected.items():
            if not fine:
                received = getattr(self, name)
                raise SpecError(f"DynamicPruning received {name}={received!r}; expected {what}.")

    @property
    def decisions(self) -> list[Decision]:
        """What was decided, epoch by epoch."""
        return [] if self._controller is None else list(self._controller.decisions)

    @property
    def levels(self) -> dict[str, float]:
        """For each group the share of zeros that was reached."""
        return {} if self._controller is None else dict(self._controller.levels)

    def state(self) -> dict[str, Any]:
        """Plain JSON data of where it stands; keep it beside a model saved between two epochs.

        Raises:
            SpecError: it has not yet seen a model.
        """
        if self._controller is None:
            raise SpecError(
                "DynamicPruning received a call of state() before any training; expected one after "
                "fit has begun. Without a state a model begins at its beginning."
            )
        return self._controller.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from such data in the next `fit`, which checks it against the model."""
        self._state, self._controller = state, None

    def on_train_begin(self, logs: Any = None) -> None:
        """Finds the masks, and goes on from the state that was given."""
        self._groups = self._found()
        if self._controller is None:
            ceilings = {n: max(s[2].target for s in some) for n, some in self._groups.items()}
            rest = self.step, self.tolerance, self.maximize, self.reference
            controller = Controller(ceilings, *rest)
            if self._state is not None:
                controller.restore(self._state)
            self._controller = controller
        self._check_levels(self._controller)
        for spots in self._groups.values():
            for _, _, mask in spots:
                mask.followed = True

    def _found(self) -> dict[str, list[Spot]]:
        spots = {held.path: followed(held.layer) for held in walk(self.model)}
        spots = {path: some for path, some in spots.items() if some}
        if not spots:
            raise SpecError(
                f"DynamicPruning received the model {self.model.name!r} without any layer pruned "
                "with Followed(); expected one. Apply Prune(..., schedule=Followed()) first."
            )
        groups = self.stepping.groups(list(spots))
        return {name: [s for path in paths for s in spots[path]] for name, paths in groups.items()}

    def _check_levels(self, controller: Controller) -> None:
        if set(controller.levels) != set(self._groups):
            raise SpecError(
                f"DynamicPruning received a model with {sorted(self._groups)} after one with "
                f"{sorted(controller.levels)}; expected the same. Make a new one for each model."
            )
        for name, spots in self._groups.items():
            pruned = max(mask.zeros for _, _, mask in spots)
            if pruned > 0.0 and controller.levels[name] == 0.0:
                raise SpecError(
                    f"DynamicPruning received a model whose {name!r} has {pruned:.0%} zeros "
                    "already, and no state that says so; expected both or neither. Give it the "
                    "state() kept beside the model: restore(state)."
                )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Takes a step, where one is left to take."""
        controller = self._active()
        name = controller.begin()
        if name is None or controller.trying is None:
            return
        self._kept = [(v, v.numpy()) for v in self._variables()]
        for wrapper, matrix, mask in self._groups[name]:
            share = min(controller.trying[1], mask.target)
            mask.move(wrapper.before(matrix, mask), share)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the step or takes it back, and writes down which."""
        logs = {} if logs is None else logs
        if self.monitor not in logs:
            raise SpecError(
                f"DynamicPruning received the metrics {sorted(logs)} and monitor={self.monitor!r}; "
                "expected it among them in every epoch. Pass validation_data, and leave "
                "validation_freq at 1."
            )
        controller = self._active()
        decision = controller.judge(epoch, float(logs[self.monitor]))
        if not decision.kept:
            for variable, value in self._kept:
                variable.assign(value)
        self._kept = []
        logs["pruning_sparsity"] = sum(controller.levels.values()) / len(controller.levels)
        logs["pruning_kept"] = float(decision.kept)

    def _active(self) -> Controller:
        if self._controller is None:
            raise SpecError(
                "DynamicPruning received an epoch before on_train_begin; expected to be given to "
                "fit(..., callbacks=[...])."
            )
        return self._controller

    def _variables(self) -> list[Any]:
        optimizer = self.model.optimizer
        if hasattr(optimizer, "build"):
            optimizer.build(self.model.trainable_variables)  # slots exist before they are copied
        return [*self.model.variables, *optimizer.variables()]


def followed(layer: Any) -> list[Spot]:
    """The matrices of a layer whose masks are moved from outside."""
    if not isinstance(layer, Compressed):
        return []
    return [
        (layer, name, transform)
        for name, chain in layer.transforms.items()
        for transform in chain
        if isinstance(transform, Mask) and transform.schedule.follows
    ]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
