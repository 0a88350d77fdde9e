"""Which units go, and for every layer that keeps its own, why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcompress.layers import Compressed
from tfcompress.spec import Skip
from tfcompress.surgery import children, walk
from tfcompress.surgery.dependencies import Cuts, Group, Kind, Trace, groups_of, trace, units_of
from tfcompress.techniques.cuttable import KNOWN

Reasons = dict[int, list[str]]


@dataclass(frozen=True)
class Decision:
    """What goes.

    Attributes:
        cuts: what is left of each layer.
        skips: by identity, of the layers asked for those that keep all units, with the reason.
        notes: by identity, what to say of layers that change.
    """

    cuts: Cuts
    skips: dict[int, Skip]
    notes: dict[int, tuple[str, ...]]


def decide(model: Any, kinds: Mapping[int, Kind | None], asked: Mapping[int, Any]) -> Decision:
    """Which units go.

    Args:
        model: a built model.
        kinds: by the layer's identity, how it is cut.
        asked: by the layer's identity, the `Shrink` asked for it.
    """
    found = trace(model, kinds)
    gone: set[int] = set()
    done: set[int] = set()
    refused: Reasons = {}
    for group in groups_of(found):
        keys = [id(member.layer) for member in group.members]
        if not any(key in asked for key in keys):
            continue
        units = _gone(group, asked)
        if isinstance(units, Skip):
            for key in keys:
                refused.setdefault(key, []).append(units.reason)
        else:
            gone.update(units)
            done.update(keys)
    cuts = Cuts(found, gone)
    layers = {id(item.layer): item.layer for item in walk(model)}
    skips = {
        key: Skip(_why_not(found, kinds, layers[key], refused)) for key in asked if key not in done
    }
    return Decision(cuts, skips, _notes(found, cuts, done, refused))


def _gone(group: Group, asked: Mapping[int, Any]) -> set[int] | Skip:
    settings: list[Any] = [asked.get(id(member.layer)) for member in group.members]
    for member, one in zip(group.members, settings, strict=True):
        if one is None:
            return Skip(
                f"its units are the same as those of {member.path!r}, for which no rule asks the "
                "same or where it is not done; ask it of both"
            )
        if one != settings[0]:
            first = group.members[0].path
            return Skip(
                f"its units are the same in {first!r} and {member.path!r}, which are asked for "
                f"{settings[0]!r} and {one!r}; ask the same of both"
            )
    shrink = settings[0]
    scores = shrink.importance.of(group)
    if isinstance(scores, Skip):
        return scores
    left = shrink.left(group.size)
    if left == group.size and shrink.keep < 1.0:
        return Skip(
            f"keep={shrink.keep}, multiple={shrink.multiple} and minimum={shrink.minimum} leave "
            f"all of its {group.size} units"
        )
    order = np.argsort(-scores, kind="stable")  # of equal ones, the first stay
    return {int(unit) for unit in group.units[order[left:]]}


def _why_not(found: Trace, kinds: Mapping[int, Kind | None], layer: Any, refused: Reasons) -> str:
    if isinstance(layer, Compressed):
        return "it is compressed already; shrink the layer before that"
    kind = kinds.get(id(layer))
    if kind is None and _holds_changed(layer):
        return "layers in it are compressed or factorized; shrink it before that"
    if kind is None or kind.units is None:
        return f"Shrink knows no units of {type(layer).__name__} that it could remove"
    if id(layer) in refused:
        return refused[id(layer)][0]
    outside = "it is not called in the graph of a Sequential or Functional model"
    reasons = _reasons(found, layer)
    return found.outside.get(id(layer)) or next(iter(reasons), None) or outside


def _holds_changed(layer: Any) -> bool:
    """Whether it is of a class that could be cut, and has not the layers that Keras gave it."""
    base = getattr(type(layer), "_base_class", type(layer))  # see surgery.structure
    return base in KNOWN and bool(children(layer))


def _reasons(found: Trace, layer: Any) -> Counter[str]:
    reasons = (found.units.reason(int(unit)) for unit in units_of(found, layer))
    return Counter(f"its units must stay: {why}" for why in reasons if why is not None)


def _notes(
    found: Trace, cuts: Cuts, done: set[int], refused: Reasons
) -> dict[int, tuple[str, ...]]:
    notes: dict[int, list[str]] = {}
    for layer in cuts.layers():
        notes[id(layer)] = [
            f"{left} of {count} {port} are left"
            for port, (count, left) in cuts.ports(layer).items()
            if left != count
        ]
    for key in done:
        said = notes.setdefault(key, [])
        for why, count in _reasons(found, found.layers[key]).items():
            said.append(f"{count} of {why}")
        said.extend(refused.get(key, ()))
    return {key: tuple(said) for key, said in notes.items() if said}
