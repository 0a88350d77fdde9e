"""Values survive JSON, and what is read is held to the same rules as code."""

from dataclasses import dataclass

import pytest

import tfcompress as tfc
from tfcompress.value import Value, from_data, to_data


@dataclass(frozen=True)
class Pair(Value):
    left: int
    right: tuple = ()


def test_a_value_becomes_its_fields_and_its_type():
    assert to_data(Pair(1, (2.5, None))) == {"type": "Pair", "left": 1, "right": [2.5, None]}


def test_a_value_is_read_back_with_values_inside_it():
    value = Pair(1, (Pair(2), "text", True))
    assert from_data(to_data(value)) == value


def test_what_has_no_json_form_is_refused():
    with pytest.raises(tfc.SpecError, match=r"Received \{1\} inside a spec"):
        to_data(Pair({1}))


def test_an_unknown_type_is_named_with_the_known_ones():
    with pytest.raises(tfc.SpecError, match="type 'Pare' in a spec.*'Pair'.*spelling"):
        from_data({"type": "Pare", "left": 1})


@pytest.mark.parametrize(
    "name", ["Value", "Technique", "Predicate", "Schedule", "Rank", "Fitted", None]
)
def test_an_abstract_class_or_one_for_no_file_is_not_a_type(name):
    with pytest.raises(tfc.SpecError, match=f"Received the type {name!r}"):
        from_data({"type": name})


def test_an_unknown_field_is_named_with_the_known_ones():
    with pytest.raises(tfc.SpecError, match=r"field 'up' for Pair; expected \['left', 'right'\]"):
        from_data({"type": "Pair", "left": 1, "up": 2})


def test_a_missing_field_is_named():
    with pytest.raises(tfc.SpecError, match="Pair received no field 'left'"):
        from_data({"type": "Pair"})


@pytest.mark.parametrize(
    "data",
    [
        {"type": "Prune", "sparsity": "much"},
        {"type": "Prune", "sparsity": 0.5, "block": 4},
        {"type": "BySize", "minimum": "a"},
        {"type": "Fraction", "share": None},
    ],
)
def test_a_field_of_the_wrong_kind_is_a_spec_error(data):
    with pytest.raises(tfc.SpecError, match=f"{data['type']} received.*wrong kind"):
        from_data(data)
