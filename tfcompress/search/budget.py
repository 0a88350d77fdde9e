"""What a file may cost at most, and how good it must be at least."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from tfcompress.errors import SpecError
from tfcompress.value import Value


@dataclass(frozen=True)
class Budget(Value):
    """Limits that hold, each of them or none.

    Args:
        bytes: of the file, at most.
        latency_us: microseconds of a call of the file, at most.
        parameters: at most, as `plan` counts them.
        multiply_adds: for one example, at most, as `plan` counts them.
        quality: on validation data, at least.

    Raises:
        SpecError: a limit that is no number, or not above 0 where it is one from above.

    Example:
        >>> Budget(bytes=150_000, quality=0.19).bytes
        150000
    """

    bytes: int | None = None
    latency_us: float | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is None:
                continue
            number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
            if not number or not math.isfinite(limit):
                raise SpecError(
                    f"Budget received {field.name}={limit!r}; expected a number or None."
                )
            if field.name != "quality" and limit <= 0:
                raise SpecError(f"Budget received {field.name}={limit}; expected more than 0.")
