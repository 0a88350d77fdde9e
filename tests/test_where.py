"""Which layers a predicate chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfcompress as tfc
from tfcompress.where import LayerInfo, in_words

QUERY = LayerInfo("blocks.0.query", ("Dense", "Layer"), 100)


class Dense:
    """Of a name that a layer has."""


@pytest.mark.parametrize(
    ("predicate", "chosen"),
    [
        (tfc.by_type("Dense"), True),
        (tfc.by_type("Layer"), True),
        (tfc.by_type(Dense), True),
        (tfc.by_type("Den"), False),
        (tfc.by_name("blocks.0.query"), True),
        (tfc.by_name("query"), True),
        (tfc.by_name("blocks.*"), True),
        (tfc.by_name("blocks.?.query"), True),
        (tfc.by_name("uery"), False),
        (tfc.by_name("blocks.1.*"), False),
        (tfc.by_name("Query"), False),
        (tfc.by_size(), True),
        (tfc.by_size(minimum=100), True),
        (tfc.by_size(minimum=101), False),
        (tfc.by_size(maximum=100), True),
        (tfc.by_size(maximum=99), False),
        (tfc.by_type("Dense") & tfc.by_size(101), False),
        (tfc.by_type("Dense") | tfc.by_size(101), True),
        (~tfc.by_name("query"), False),
    ],
    ids=repr,
)
def test_predicates(predicate, chosen):
    assert predicate(QUERY) is chosen


@given(st.booleans(), st.booleans(), st.booleans())
def test_predicates_combine_as_booleans_do(a, b, c):
    x, y, z = (tfc.by_size() if value else tfc.by_size(10**6) for value in (a, b, c))
    assert (x & y | ~z)(QUERY) == ((a and b) or not c)
    assert (~(x | y))(QUERY) == (~x & ~y)(QUERY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tfc.by_type(""), "by_type received ''; expected a class name"),
        (lambda: tfc.by_type(3), "by_type received 3"),
        (lambda: tfc.by_name(""), "by_name received ''"),
        (lambda: tfc.by_size(-1), "minimum=-1.*expected 0 <= minimum <= maximum"),
        (lambda: tfc.by_size(5, 4), "minimum=5, maximum=4"),
        (lambda: tfc.by_type("Dense") & "head", "Received 'head' as a layer predicate"),
        (lambda: tfc.by_type("Dense") | 3, "Received 3 as a layer predicate"),
    ],
)
def test_what_is_not_a_predicate_is_refused(make, message):
    with pytest.raises(tfc.SpecError, match=message):
        make()


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        (tfc.by_name("a") | tfc.by_type("Dense") | tfc.by_size(3), "a or of type Dense or of 3 or more parameters"),
        ((tfc.by_name("a") | tfc.by_name("b")) & ~tfc.by_size(0, 2000), "(a or b) and not of 0 to 2,000 parameters"),
        (~(tfc.by_name("a") & tfc.by_name("b")), "not (a and b)"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_predicate_says_what_it_chooses(predicate, said):
    assert in_words(predicate) == said
