"""Arrays in few bytes where most entries are zero, exact to the last bit, in NumPy.

An entry counts as zero where all of its bits are: -0.0 is none. Which entries are not is said by a
bit for each, or by the gap before each: a byte, with 255 for 255 further zeros. The entries follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_FAR = 255


class Encoding(ABC):
    """A way to write down which of `n` entries are not zero."""

    @abstractmethod
    def write(self, present: Array) -> bytes:
        """Bytes for bool `[n]`."""

    @abstractmethod
    def read(self, content: bytes, size: int) -> Array:
        """Bool `[size]` of these bytes.

        Raises:
            ValueError: they say something about other than `size` entries.
        """


class Everything(Encoding):
    """All entries are written, zeros too."""

    def write(self, present: Array) -> bytes:
        """Nothing."""
        return b""

    def read(self, content: bytes, size: int) -> Array:
        """True everywhere."""
        return np.ones(size, bool)


class Bits(Encoding):
    """A bit for each entry."""

    def write(self, present: Array) -> bytes:
        """`ceil(n / 8)` bytes."""
        return np.packbits(present).tobytes()

    def read(self, content: bytes, size: int) -> Array:
        """The bits."""
        bits = np.unpackbits(np.frombuffer(content, np.uint8))
        if len(content) != -(-size // 8):
            raise ValueError(f"{len(content)} bytes of bits for {size} entries")
        return bits[:size].astype(bool)


class Gaps(Encoding):
    """The number of zeros before each entry that is none.

    Example:
        >>> present = np.zeros(600, bool)
        >>> present[[2, 3, 560]] = True
        >>> list(Gaps().write(present))
        [2, 0, 255, 255, 46]
    """

    def write(self, present: Array) -> bytes:
        """A byte for each entry that is not zero, and one for every 255 zeros between two."""
        places = np.flatnonzero(present)
        gaps = np.diff(places, prepend=-1) - 1
        far = gaps // _FAR
        written = np.full(int(far.sum()) + len(gaps), _FAR, np.uint8)
        written[np.cumsum(far + 1) - 1] = gaps % _FAR
        return written.tobytes()

    def read(self, content: bytes, size: int) -> Array:
        """The entries behind the gaps."""
        steps = np.frombuffer(content, np.uint8).astype(np.int64)
        ends = steps != _FAR
        places = (np.cumsum(steps + ends) - 1)[ends]
        if len(places) and places[-1] >= size:
            raise ValueError(f"an entry at {places[-1]} of {size}")
        present = np.zeros(size, bool)
        present[places] = True
        return present


ENCODINGS: dict[str, Encoding] = {"dense": Everything(), "bits": Bits(), "gaps": Gaps()}


def nonzero(values: Array) -> Array:
    """Which entries have a bit set, bool `[n]`.

    Example:
        >>> nonzero(np.array([0.0, -0.0, 2.0], np.float32)).tolist()
        [False, True, True]
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    if not flat.size:
        return np.zeros(0, bool)
    parts = flat.view(np.uint8).reshape(flat.size, -1)
    return np.count_nonzero(parts, axis=1) > 0


def encode(values: Array) -> tuple[str, bytes, bytes]:
    """The encoding that takes the fewest bytes, which entries are not zero, and the entries.

    Example:
        >>> name, where, entries = encode(np.array([0, 0, 0, 5] * 8, np.float32))
        >>> name, len(where), len(entries)
        ('bits', 4, 32)
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    present = nonzero(flat)
    entries = flat[present].tobytes()
    written = {name: how.write(present) for name, how in ENCODINGS.items() if name != "dense"}
    name = min(written, key=lambda one: len(written[one]))
    if len(written[name]) + len(entries) < flat.nbytes:
        return name, written[name], entries
    return "dense", b"", flat.tobytes()


def decode(present: Array, entries: bytes, dtype: Any, shape: tuple[int, ...]) -> Array:
    """The array with these entries where `present` is true, and zeros elsewhere.

    Raises:
        ValueError: there are more or fewer entries than places.
    """
    values = np.frombuffer(entries, dtype)
    if len(values) != np.count_nonzero(present):
        raise ValueError(f"{len(values)} entries for {np.count_nonzero(present)} places")
    flat = np.zeros(present.size, dtype)
    flat[present] = values
    return flat.reshape(shape)
