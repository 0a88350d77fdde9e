"""What stands in a spec for a value that is not chosen yet."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any

from tfcompress.errors import SpecError
from tfcompress.tune.names import Chooser, Names
from tfcompress.value import OpenValue, Value, to_data


@dataclass(frozen=True)
class Kind(OpenValue, Value):
    """Base of the open values; each may be given a `name`, under which it is one everywhere."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """One of these, also where it holds another one."""
        return object.__new__(cls)

    @property
    def label(self) -> str:
        """A short name of what stands here."""
        return type(self).__name__

    @abstractmethod
    def default_value(self) -> Any:
        """What it is by default."""

    @abstractmethod
    def ends(self) -> tuple[Any, ...]:
        """Values between which, or among which, all of them lie."""

    @abstractmethod
    def keys(self) -> tuple[Any, ...]:
        """The ends as they are given by name: numbers or texts."""

    def tries(self) -> tuple[Any, ...]:
        """Keys to try where the costs at their extremes are looked for."""
        return self.keys()

    @abstractmethod
    def draw(self, random: Any) -> Any:
        """A key at random, from a `random.Random`."""

    @abstractmethod
    def declare(self, hp: Any, name: str) -> None:
        """Makes it known to KerasTuner's `HyperParameters`."""

    @abstractmethod
    def chooser(self, name: str, names: Names) -> Chooser:
        """The function that chooses it by name, once it is among `names`."""

    def to_data(self) -> dict[str, Any]:
        """Its plain JSON data."""
        written = {f.name: to_data(getattr(self, f.name)) for f in fields(self)}
        return {"type": type(self).__name__, **written}


def given_for(values: Any, name: str) -> Any:
    """What was given for an open value.

    Raises:
        SpecError: nothing was.
    """
    if name not in values:
        raise SpecError(
            f"Received values of {sorted(values)} and none of {name!r}; expected one of every open "
            "value that stands in the spec."
        )
    return values[name]
