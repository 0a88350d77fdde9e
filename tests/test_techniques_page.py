"""docs/techniques.md is what the code says."""

from docs import techniques
from tfcompress.techniques import TECHNIQUES


def test_the_page_is_what_the_code_generates():
    assert techniques.PAGE.read_text() == techniques.page(), "run python -m docs.techniques"


def test_every_technique_is_on_the_page():
    assert {type(setting) for setting in techniques.SETTINGS.values()} == set(TECHNIQUES)
