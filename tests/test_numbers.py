"""experiments.models.numbers: places and ids, each in the other's numbers, in one byte an id."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.models.numbers import GROUP, ByFrequency


@given(st.lists(st.integers(0, 5), min_size=1, max_size=70))
def test_there_and_back_again(counts):
    numbers, ids = ByFrequency(tuple(counts)), np.arange(len(counts), dtype=np.int32)
    places = numbers.place_of(ids).numpy()
    assert sorted(places) == ids.tolist()
    np.testing.assert_array_equal(numbers.id_at(places), ids)
    np.testing.assert_array_equal(numbers.ids[places], ids)
    assert places[0] == 0 and places.dtype == np.int32 and numbers.codes.nbytes == len(counts)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=70))
def test_in_a_group_the_more_frequent_one_comes_first(counts):
    numbers = ByFrequency(tuple(counts))
    assert numbers.groups * GROUP >= len(counts)
    for group in range(numbers.groups):
        members = numbers.ids[numbers.ids % numbers.groups == group]
        members = members[members > 0]
        seen = [(-counts[member], member) for member in members]
        assert seen == sorted(seen)


def test_most_of_what_is_frequent_is_in_the_first_half():
    counts = np.random.default_rng(0).zipf(1.3, 3707).clip(max=3000)
    first = ByFrequency(tuple(counts.tolist())).ids[:1856]
    assert counts[first].sum() > 0.97 * np.sort(counts)[-1856:].sum()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_any_shape_is_answered_in_kind(shape):
    numbers = ByFrequency(tuple(range(40)))
    ids = np.random.default_rng(0).integers(0, 40, shape).astype(np.int32)
    np.testing.assert_array_equal(numbers.id_at(numbers.place_of(ids)), ids)
