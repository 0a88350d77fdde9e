"""A page as a browser shows it: headless Chromium, at the width of a phone, light and dark."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
import reports

PHONE = 390  # CSS pixels
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")

# The page lies in frames of a phone's width, and a script around them says what they look like: in
# the page itself no script may run. What a frame prefers is what its element says.
AROUND = """<!DOCTYPE html><html><body><pre id="found"></pre>
<iframe class="light" srcdoc="%(page)s"></iframe><iframe class="dark" srcdoc="%(page)s"></iframe>
<style>iframe { width: %(width)dpx; height: 800px; border: 0 } .light { color-scheme: light }
.dark { color-scheme: dark }</style>
<script>
function described(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  const style = frame.contentWindow.getComputedStyle(page.body);
  const boxes = [...page.querySelectorAll(".scroll")];
  const size = (element) => element.getBoundingClientRect();
  page.querySelector(".skip").focus();
  const links = [page.querySelector(".skip"), ...page.querySelectorAll("nav a")];
  return {
    title: page.title,
    width: root.scrollWidth,
    view: root.clientWidth,
    paper: style.backgroundColor,
    ink: style.color,
    boxes: boxes.length,
    scrolling: boxes.filter((box) => box.scrollWidth > box.clientWidth).length,
    outside: boxes.filter((box) => size(box).right > root.clientWidth).length,
    skip: size(page.querySelector(".skip")).left,
    low: Math.min(...links.map((link) => size(link).height)),
    pictures: [...page.querySelectorAll("svg.histogram")].map((one) => size(one).width),
    bars: [...page.querySelectorAll("td .bar")].filter((one) => size(one).width > 0).length,
    scripts: page.scripts.length,
  };
}
window.addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  const found = Object.fromEntries(frames.map((frame) => [frame.className, described(frame)]));
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script></body></html>"""


def chromium():
    """The browser; where there is none the test is skipped, in CI it fails."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None and os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail("There is no Chromium, and CI is set; .ci/run installs Debian's.")
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return found


def shown(page, folder):
    """What the browser makes of a page, for those who prefer `light` and for those of `dark`."""
    file = folder / "around.html"
    file.write_text(AROUND % {"page": html.escape(page), "width": PHONE})
    call = [chromium(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*call, file.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(found))


def brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    chromium()
    page = (reports.exported().folder / "report.html").read_text()
    return shown(page, tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(scheme, seen):
    found = seen[scheme]
    assert found["title"] == "small · tfcompress" and found["scripts"] == 0
    assert found["width"] <= found["view"] == PHONE  # the page itself does not scroll sideways
    assert found["boxes"] > 5 and found["scrolling"] > 0 and found["outside"] == 0
    assert (brightness(found["paper"]) < brightness(found["ink"])) == (scheme == "dark")
    assert found["skip"] >= 0  # what has the focus is seen
    assert found["low"] >= 24  # CSS pixels, of what is touched (WCAG 2.5.8)
    assert len(found["pictures"]) > 3 and min(found["pictures"]) > 100
    assert found["bars"] > 10


def test_ci_does_without_no_browser(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="There is no Chromium, and CI is set"):
        chromium()
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        chromium()
