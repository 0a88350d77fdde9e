"""Specs: what you want done to which layers, as plain data that round-trips through JSON."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.value import Value, brief, from_data, of_kind, parsed, to_data
from tfcompress.where import Predicate, in_words

VERSION = 1


@dataclass(frozen=True)
class Technique(Value):
    """Base of every technique (`Factorize`, `Prune`, `Quantize`, ...).

    `plan` only looks; `apply` does what `plan` said, on a layer that may be changed.
    """

    @property
    def kind(self) -> type[Technique]:
        """The class in whose turn it is applied."""
        return type(self)

    def knows(self, layer: Any) -> bool:
        """Whether it takes this layer although its class declares no compressible weights."""
        del layer
        return False

    def prepare(self, forms: Sequence[Any]) -> Sequence[Technique | Skip]:
        """For each layer that a rule gives this technique, the technique that it gets there.

        Where what happens to one layer depends on the others (a budget that they share, one
        threshold for all) this is the place to look at all of them. It is called once for each
        rule, after the techniques that come before this one were planned, and changes nothing.

        Args:
            forms: of the layers (`measure.LayerForm`), as techniques before this one leave them.

        Returns:
            For each form, in their order, a technique to `plan` and `apply` there, or `Skip`.

        Raises:
            SpecError: the layers together cannot be given what is asked.
        """
        return [self] * len(forms)

    @abstractmethod
    def plan(self, form: Any) -> Any:
        """The layer's form afterwards, or `Skip` with the reason (`form`: `measure.LayerForm`)."""

    @abstractmethod
    def apply(self, layer: Any) -> Any:
        """The layer to put in the place of `layer`."""


@dataclass(frozen=True)
class Skip:
    """Why a technique leaves a layer as it is."""

    reason: str


@dataclass(frozen=True)
class Outcome:
    """What a joint technique does to one layer.

    Attributes:
        form: the layer's form afterwards, a `measure.LayerForm`.
        skip: where the layer was asked for and is left as it is, why.
        notes: what else there is to say, also of layers that no rule is for.
    """

    form: Any
    skip: Skip | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointTechnique(Technique):
    """Base of a technique that changes several layers at once, such as `Shrink`.

    It sees the whole model. The layers that it was asked for are given by their identity.
    """

    @classmethod
    @abstractmethod
    def plan_together(
        cls, model: Any, forms: Mapping[int, Any], asked: Mapping[int, Any]
    ) -> dict[int, Outcome]:
        """What becomes of every layer that was asked for or is affected, for their forms so far."""

    @classmethod
    @abstractmethod
    def apply_together(cls, model: Any, asked: Mapping[int, Any]) -> list[tuple[Any, Any]]:
        """Every layer that changes, with the one to put in its place."""

    def plan(self, form: Any) -> Skip:
        """A reason: a layer by itself is not enough to see."""
        return Skip(f"{type(self).__name__} sees whole models; use tfcompress.plan")

    def apply(self, layer: Any) -> Any:
        """Refused: a layer by itself is not enough to change.

        Raises:
            SpecError: always.
        """
        raise SpecError(
            f"{type(self).__name__} received the layer {layer!r}; expected a whole model, for it "
            "changes several layers at once. Use tfcompress.apply(model, spec)."
        )


@dataclass(frozen=True)
class Rule(Value):
    """These techniques for those layers, see `rule`."""

    where: Predicate
    techniques: tuple[Technique, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.where, Predicate):
            raise SpecError(
                f"A rule received {self.where!r} as its condition; expected by_type(...), "
                "by_name(...), by_size(...) or a combination of them."
            )
        for technique in self.techniques:
            if not isinstance(technique, Technique):
                raise SpecError(
                    f"A rule received {technique!r}; expected techniques such as Quantize(bits=8)."
                )
        if not self.techniques:
            raise SpecError(
                f"The rule for {self.where!r} names no technique; expected at least one."
            )
        names = [type(t).__name__ for t in self.techniques]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecError(
                f"The rule for {self.where!r} is contradictory: it names {twice[0]} twice; "
                "expected each technique at most once."
            )

    @classmethod
    def chosen(cls, fields: Mapping[str, Any]) -> Any:
        """The rule; nothing of it where all its techniques are off."""
        from tfcompress.tune import OFF

        return cls(**fields) if fields["techniques"] else OFF


@dataclass(frozen=True)
class Spec(Value):
    """Rules, together with the version of their format.

    Several rules may meet at one layer; what they ask adds up. Two rules that ask the same
    technique of one layer with different settings contradict each other, and `plan` says so.

    Raises:
        SpecError: no rules, or something that is not a rule.

    Example:
        >>> import tfcompress as tfc
        >>> spec = tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=8))])
        >>> tfc.Spec.from_json(spec.to_json()) == spec
        True
    """

    rules: tuple[Rule, ...]

    def __init__(self, rules: Sequence[Rule]) -> None:
        object.__setattr__(self, "rules", tuple(rules))
        for item in self.rules:
            if not isinstance(item, Rule):
                raise SpecError(
                    f"A spec received {item!r}; expected rules: rule(where, technique)."
                )
        if not self.rules:
            raise SpecError("A spec received no rules; expected at least one.")

    @classmethod
    def left_open(cls, rules: Sequence[Any]) -> Any:
        """A `Space`, where some values of the rules are open; see `tfcompress.tune`."""
        from tfcompress.tune import Space

        return Space(rules)

    def in_words(self) -> list[dict[str, Any]]:
        """For people: of each rule which `layers` it is for, and its `techniques` as code.

        Example:
            >>> import tfcompress as tfc
            >>> spec = tfc.Spec([tfc.rule(tfc.by_name("head"), tfc.Quantize(bits=4))])
            >>> spec.in_words()
            [{'layers': 'head', 'techniques': ['Quantize(bits=4)']}]
        """
        return [
            {"layers": in_words(rule.where), "techniques": list(map(brief, rule.techniques))}
            for rule in self.rules
        ]

    def to_json(self, indent: int | None = 2) -> str:
        """The spec as JSON text, with the format's version."""
        return json.dumps({"version": VERSION, **to_data(self)}, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """The spec that `to_json` wrote.

        Raises:
            SpecError: not JSON, another version, or an unknown type or field.
        """
        return of_kind(from_data(parsed(text, "spec", VERSION)), cls)


def rule(where: Predicate, *techniques: Technique) -> Rule:
    """These techniques for the layers that `where` chooses.

    Raises:
        SpecError: no technique, one of them twice, or something that is not one.

    Example:
        >>> import tfcompress as tfc
        >>> tfc.rule(tfc.by_type("Dense"), tfc.Quantize(bits=4)).techniques[0].bits
        4
    """
    return Rule(where, techniques)
