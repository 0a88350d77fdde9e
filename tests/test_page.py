"""The page of a report: made of data alone, whole in itself, readable for everybody."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest
import reports
from html_pages import Page

import tfcompress as tfc
from tfcompress.page import (
    measured_page,
    read_report,
    report_json,
    report_page,
    search_page,
    write_page,
)
from tfcompress.page.table import Column, Table, numbers
from tfcompress.page.view import View

LIMIT = 300_000  # bytes of a page
MANY = 300  # layers
SAVED = Path(__file__).parents[1] / "saved_models"


@pytest.fixture(scope="module")
def made():
    return reports.exported()


@pytest.fixture(scope="module")
def page(made):
    return Page((made.folder / "report.html").read_text())


def test_the_folder_alone_makes_the_same_page(made, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(made.folder, folder)
    (folder / "report.html").unlink()
    (folder / "model.tflite").unlink()
    assert write_page(folder).read_bytes() == (made.folder / "report.html").read_bytes()
    assert read_report(folder) == made.report


def test_a_report_without_newer_fields_has_a_page():
    for name in ("ml1m-ranking", "ml1m-ranking-teacher", "ml1m-teacher"):
        report = read_report(SAVED / name)
        for layer in report["layers"]:
            for newer in ("done", "skipped", "notes", "bytes_before", "histograms"):
                layer.pop(newer, None)
        text = Page(report_page(report, None, name)).text
        assert f"{report['sizes']['bytes']:,}" in text and "Weights before" not in text


@pytest.mark.parametrize("saved", sorted(SAVED.iterdir()), ids=lambda saved: saved.name)
def test_a_committed_page_is_that_of_its_report(saved, tmp_path):
    folder = tmp_path / saved.name
    folder.mkdir()
    for name in ("report.json", "spec.json"):
        if (saved / name).exists():
            shutil.copy(saved / name, folder)
    text = (saved / "report.html").read_text()
    assert write_page(folder).read_text() == text, f"tfcompress report saved_models/{saved.name}"
    assert len(text.encode()) < LIMIT


def test_it_needs_nothing_besides(made, page):
    text = (made.folder / "report.html").read_text()
    assert not page.all("script") and not page.all("link") and not page.all("img")
    assert not re.search(r"https?:|url\(|@import", text)
    assert all(one["href"].startswith("#") for one in page.all("a"))
    assert len(text.encode()) < LIMIT


@pytest.mark.parametrize(
    "said",
    [
        "Factorize(rank=4)",
        "Quantize(bits=4)",
        "Prune(sparsity=0.5)",
        "hidden or norm",
        "no rule is for it",
        "LayerNormalization declares no compressible weights",
        "12,800",  # bytes of the table before
        "0.9100",
        "-0.0010 to +0.0110",
        "1,000 events",
        "2.5\N{MULTIPLICATION SIGN}",
        "EMBEDDING_LOOKUP",
        "kernel, before",
        "left, after",
        "serve.output",
        "tflite-runtime",
    ],
)
def test_it_says_what_the_report_holds(said, page):
    assert said in page.text


def test_every_layer_has_a_row_of_its_own(made, page):
    for layer in made.report["layers"]:
        assert f" {layer['path']} {layer['type']} {layer['bytes_before']:,} " in page.text


def test_tables_and_pictures_can_be_read_without_looking(page):
    ids = page.ids()
    assert len(set(ids)) == len(ids)
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert all(one.get("scope") in ("col", "row") for one in page.all("th"))
    for _, attributes in page.elements:
        assert attributes.get("aria-labelledby", ids[0]) in ids
    for one in page.all("svg"):
        assert one.get("aria-label") or one.get("aria-hidden") == "true"
    boxes = [one for one in page.all("div") if one.get("class") == "scroll"]
    assert all(one["tabindex"] == "0" and one["role"] == "region" for one in boxes)
    targets = {one["href"].removeprefix("#") for one in page.all("a")}
    assert targets <= set(ids) and "main" in targets
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrasts_are_those_of_wcag_aa(scheme):
    style = (resources.files("tfcompress.page") / "style.css").read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--(\w+): (#\w{6})", light if scheme == "light" else dark))
    for ground in ("paper", "card"):
        for text in ("ink", "soft", "link"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for mark in ("before", "after", "mark"):
            assert _contrast(colours[mark], colours[ground]) >= 3.0, (mark, ground)


def test_names_are_never_markup(made):
    evil = "<script>alert(1)</script>"
    report = json.loads(json.dumps(made.report).replace("hidden", evil))
    text = report_page(report, None, evil)
    assert "<script" not in text and text.count("&lt;script&gt;") >= 3
    Page(text)


def test_a_page_of_many_layers_stays_small(made):
    layers = [{**layer, "path": f"blocks.{number}.{layer['path']}"}
              for number in range(MANY // len(made.report["layers"]))
              for layer in made.report["layers"]]  # fmt: skip
    text = report_page({**made.report, "layers": layers}, reports.SPEC, "many")
    assert len(layers) == MANY and len(text.encode()) < LIMIT
    assert "Shown are the 40 largest of" in text


def test_costs_by_operator_are_shown_where_they_were_measured(made, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(made.folder, folder)
    found = asdict(tfc.inspect_file(made.model, repeats=2))
    page = Page(measured_page(folder, found).read_text())
    assert "serve: operators in the order in which they run" in page.text
    assert "threads: 1, rounds: 2." in page.text and "No times were measured" not in page.text
    assert read_report(folder)["inspection"]["bytes"] == made.report["sizes"]["bytes"]


POINTS = [
    {"name": "before", "bytes": 4000, "quality": 0.95, "kind": "before", "latency_us": 9.0},
    {"name": "trial 0", "bytes": 1000, "quality": 0.90, "kind": "front", "latency_us": 4.0},
    {"name": "trial 1", "bytes": 1500, "quality": 0.94, "kind": "front", "latency_us": 5.0},
    {"name": "trial 2", "bytes": 1800, "quality": 0.89, "kind": "within", "latency_us": 5.0},
    {"name": "trial 3", "bytes": 2500, "quality": 0.94, "kind": "outside", "latency_us": None},
]


def test_a_search_is_drawn_with_its_front(made):
    text = search_page({"points": POINTS, "objective": "MaximizeQuality()"}, "sweep")
    page = Page(text)
    marks = [one["class"] for one in page.all("path") if one["class"].startswith("mark")]
    assert sorted(marks[4:]) == sorted(f"mark {one['kind']}" for one in POINTS)  # 4 are the legend
    assert "trial 3 2,500 0.9400 \N{EN DASH} budget missed" in page.text
    assert "MaximizeQuality()" in page.text
    shown = report_page({**made.report, "search": {"points": POINTS}}, None, "best")
    assert "What was searched" in Page(shown).text


def test_a_search_that_found_nothing_has_a_page():
    assert "rejected" in Page(search_page({"points": [], "rejected": 7}, "sweep")).text


def test_lists_of_numbers_are_on_one_line():
    data = {"shape": [1, 2], "none": [], "texts": ["a", "b"], "rows": [{"x": [-1.5e-07, 3]}]}
    text = report_json(data)
    assert json.loads(text) == data
    assert '"shape": [1, 2]' in text and "[-1.5e-07, 3]" in text


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(tfc.ReportError, match="report.json cannot be read .*expected a folder"):
        write_page(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(tfc.ReportError, match="report.json is not JSON"):
        write_page(tmp_path)
    (tmp_path / "report.json").write_text('{"sizes": {}}')
    with pytest.raises(tfc.ReportError, match="'parameters' is a required property. Export the"):
        write_page(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["report.json"]


def test_lists_of_numbers_are_on_one_line_and_texts_as_they_are():
    report = {"shape": [3, 4], "why": "ranges [ 1, 2 ] and [ 3 ]", "rows": [{"bytes": 1}]}
    text = report_json(report)
    assert '"shape": [3, 4],' in text and json.loads(text) == report


def test_nothing_is_loaded_to_draw_before_there_is_a_page():
    code = "import sys, tfcompress; print({'jinja2', 'jsonschema'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_row_has_a_cell_for_each_column():
    columns = (Column("part"), *numbers("bytes"))
    with pytest.raises(ValueError, match="A row of 'Sizes' has 1 cells, expected 2, one for each"):
        Table("Sizes", columns, (("weights", "9"),), total=("all",))


def test_every_template_is_of_a_part_of_a_page():
    kinds = {one.__name__.lower() for one in View.__subclasses__()}
    folder = resources.files("tfcompress.page") / "templates"
    names = {one.name.removesuffix(".html") for one in folder.iterdir()}
    assert names == {*kinds, "page", "shapes"}
