"""How tokens become the ids that a file takes: what StringLookup, IntegerLookup and Hashing do.

These are values, read off Keras's layers when a model is exported and read back from the file by
whoever calls it. They need no Keras, and say in their fields all that an app has to do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tfcompress.errors import ExportError
from tfcompress.keras import tf

Array = np.ndarray[Any, Any]
FARMHASH, SIPHASH, FLOOR_MOD = "farmhash-fingerprint64", "siphash-2-4", "floor-mod"
NOTHING = -1  # the id of what is not counted where a layer gives counts and no ids


@dataclass(frozen=True)
class Vocabulary:
    """From tokens to ids.

    Attributes:
        name: path of the layer that did this in the model.
    """

    name: str
    kind: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> int:
        """How many ids there are: 0 to size - 1."""

    @property
    @abstractmethod
    def default(self) -> int:
        """As which id the file takes any other number; -1: as none at all."""

    @property
    def hash(self) -> str | None:
        """How tokens become ids where no list says it."""
        return None

    def __call__(self, tokens: Any) -> Array:
        """Ids int32 in the shape of the tokens: text or bytes, or integers.

        Raises:
            ExportError: a token that has no id, where the layer has none for unknown ones.
        """
        given = tokens if isinstance(tokens, np.ndarray) else np.array(tokens, dtype=object)
        ids = self._ids([_plain(token) for token in given.reshape(-1).tolist()])
        return np.array(ids, np.int32).reshape(given.shape)

    @abstractmethod
    def _ids(self, tokens: list[Any]) -> Sequence[int]:
        """An id for each token."""

    @abstractmethod
    def examples(self, rng: np.random.Generator, shape: list[int], dtype: Any) -> Array:
        """Some tokens of this shape, as an array of a NumPy type."""

    def to_data(self) -> dict[str, Any]:
        """Everything but the list of tokens, as plain data."""
        data = {name: value for name, value in asdict(self).items() if name != "terms"}
        return {
            "kind": self.kind, **data,
            "size": self.size, "default": self.default, "hash": self.hash,
        }  # fmt: skip


def _plain(token: Any) -> Any:
    return token.decode("utf-8", "surrogateescape") if isinstance(token, bytes) else token


def _bytes(tokens: Sequence[Any]) -> list[bytes]:
    return [str(token).encode("utf-8", "surrogateescape") for token in tokens]


def _fast_hash(tokens: Sequence[Any], buckets: int) -> Array:
    ids: Array = tf.strings.to_hash_bucket_fast(_bytes(tokens), buckets).numpy()
    return ids


@dataclass(frozen=True)
class TokenVocabulary(Vocabulary):
    """A list of tokens, before it ids for the mask and for tokens that are not in it.

    Attributes:
        terms: the tokens, without mask and unknown ones.
        oov_indices: how many ids there are for tokens that are not in the list.
        mask_token: the token that means "nothing here"; None: there is none.
        oov_token: what stands for unknown tokens in a list of all ids.
        encoded: the layer gives counts, not ids; the mask is then not counted, and has no id.
    """

    terms: tuple[Any, ...]
    oov_indices: int
    mask_token: Any
    oov_token: Any
    encoded: bool = False

    @property
    def first_oov(self) -> int:
        """The first id for unknown tokens."""
        return 0 if self.mask_token is None or self.encoded else 1

    @property
    def size(self) -> int:
        """Mask, unknown tokens, known tokens."""
        return self.first_oov + self.oov_indices + len(self.terms)

    @property
    def default(self) -> int:
        """The first id for unknown tokens; 0 where there is none; -1 where layers count."""
        if self.encoded:
            return NOTHING
        return self.first_oov if self.oov_indices else 0

    @property
    def all_tokens(self) -> list[Any]:
        """A token for each id; several ids may stand for unknown ones."""
        mask = [self.mask_token] * self.first_oov
        return [*mask, *[self.oov_token] * self.oov_indices, *self.terms]

    @cached_property
    def _known(self) -> dict[Any, int]:
        start = self.first_oov + self.oov_indices
        known = {token: index for index, token in enumerate(self.terms, start)}
        if self.mask_token is not None:
            known[self.mask_token] = NOTHING if self.encoded else 0
        return known

    def _ids(self, tokens: list[Any]) -> list[int]:
        unknown = [token for token in dict.fromkeys(tokens) if token not in self._known]
        if unknown and not self.oov_indices:
            raise ExportError(
                f"{self.name} received the token {unknown[0]!r}, which is not in its vocabulary "
                "and for which it has no id (num_oov_indices=0); expected one of its "
                f"{len(self.terms)} tokens."
            )
        buckets: Sequence[int] = self._buckets(unknown).tolist() if unknown else []
        known = self._known | {t: self.first_oov + b for t, b in zip(unknown, buckets, strict=True)}
        return [known[token] for token in tokens]

    @abstractmethod
    def _buckets(self, tokens: list[Any]) -> Array:
        """For unknown tokens which of the ids, counted from the first."""

    def examples(self, rng: np.random.Generator, shape: list[int], dtype: Any) -> Array:
        """Tokens of the list, the mask, and unknown ones where they have an id."""
        pool = [*self.terms, *([] if self.mask_token is None else [self.mask_token])]
        if self.oov_indices:
            pool += self._strangers()
        drawn = [pool[index] for index in rng.integers(0, len(pool), size=shape).reshape(-1)]
        return np.array(drawn, dtype).reshape(shape)

    @abstractmethod
    def _strangers(self) -> list[Any]:
        """Tokens that are hardly in any list."""


@dataclass(frozen=True)
class StringVocabulary(TokenVocabulary):
    """What a StringLookup does.

    A token that is not in the list gets the id `first_oov + fingerprint64(token) % oov_indices`,
    by FarmHash of its UTF-8 bytes.

    Example:
        >>> genres = StringVocabulary("genre", ("drama", "crime"), 1, "", "[UNK]")
        >>> genres([["crime", "", "opera"]]).tolist()
        [[3, 0, 1]]
        >>> genres.all_tokens
        ['', '[UNK]', 'drama', 'crime']
    """

    kind = "StringLookup"

    @property
    def hash(self) -> str | None:
        """FarmHash, where unknown tokens have several ids."""
        return FARMHASH if self.oov_indices > 1 else None

    def _buckets(self, tokens: list[Any]) -> Array:
        return _fast_hash(tokens, self.oov_indices)

    def _strangers(self) -> list[Any]:
        return [f"\N{REPLACEMENT CHARACTER}{number}" for number in range(4)]


@dataclass(frozen=True)
class IntegerVocabulary(TokenVocabulary):
    """What an IntegerLookup does; an unknown one gets `first_oov + floormod(token, oov_indices)`.

    Example:
        >>> ages = IntegerVocabulary("age", (18, 25), 2, None, -1)
        >>> ages([25, 30, -3]).tolist()
        [3, 0, 1]
    """

    kind = "IntegerLookup"

    @property
    def hash(self) -> str | None:
        """The remainder, where unknown tokens have several ids."""
        return FLOOR_MOD if self.oov_indices > 1 else None

    def _ids(self, tokens: list[Any]) -> list[int]:
        return super()._ids([int(token) for token in tokens])

    def _buckets(self, tokens: list[Any]) -> Array:
        return np.mod(np.array(tokens, np.int64), self.oov_indices)

    def _strangers(self) -> list[Any]:
        return [-(2**20) - number for number in range(4)]


@dataclass(frozen=True)
class HashedVocabulary(Vocabulary):
    """What a Hashing layer does; integers are hashed as their decimal text.

    Attributes:
        bins: how many ids there are.
        mask_value: the token of id 0, which then no other token has.
        salt: two integers, the key of SipHash; None: FarmHash.

    Example:
        >>> users = HashedVocabulary("user", bins=10)
        >>> users(["a", "b"]).tolist() == users([b"a", b"b"]).tolist()
        True
    """

    bins: int
    mask_value: Any = None
    salt: tuple[int, int] | None = None
    encoded: bool = False
    kind = "Hashing"

    @property
    def size(self) -> int:
        """The bins."""
        return self.bins

    @property
    def default(self) -> int:
        """0, which is the mask where there is one; -1 where the layer counts."""
        return NOTHING if self.encoded else 0

    @property
    def hash(self) -> str:
        """SipHash with a key, or FarmHash without."""
        return FARMHASH if self.salt is None else SIPHASH

    def _ids(self, tokens: list[Any]) -> list[int]:
        masked = self.mask_value is not None and self.bins > 1
        bins = self.bins - masked
        if self.salt is None:
            ids = _fast_hash(tokens, bins)
        else:
            hashed = tf.strings.to_hash_bucket_strong(_bytes(tokens), bins, key=list(self.salt))
            ids = hashed.numpy()
        if not masked:
            return [int(index) for index in ids]
        pairs = zip(tokens, ids, strict=True)
        return [0 if token == self.mask_value else int(index) + 1 for token, index in pairs]

    def examples(self, rng: np.random.Generator, shape: list[int], dtype: Any) -> Array:
        """Small numbers, or their texts."""
        numbers = rng.integers(0, 1000, size=shape)
        return (
            numbers.astype(str).astype(dtype)
            if np.dtype(dtype).kind == "O"
            else numbers.astype(dtype)
        )
