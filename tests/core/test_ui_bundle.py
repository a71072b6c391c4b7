"""The bundle: small enough, complete, served so that it never changes under its name."""

import gzip
import json
import re
from pathlib import Path

import pytest
from flask import Flask

from quarterdeck.core.ui.bundle import PREFIX, BundleMissing, load_bundle
from quarterdeck.core.ui.pages import DIST
from tests.home.factories import as_, make_app

SOURCE = DIST.parents[1]
JS_BUDGET, CSS_BUDGET, PAGE_BUDGET = 30_000, 8_000, 45_000


@pytest.fixture
def app() -> Flask:
    return make_app()


def gz_bytes(*names: str) -> int:
    files = load_bundle(DIST).files
    return sum((DIST / f"{files[name]}.gz").stat().st_size for name in names)


def test_every_name_of_the_manifest_is_a_file_with_its_twins() -> None:
    for hashed in load_bundle(DIST).files.values():
        assert gzip.decompress((DIST / f"{hashed}.gz").read_bytes()) == (DIST / hashed).read_bytes()
        assert (DIST / f"{hashed}.br").stat().st_size > 0


def chunks_of(*names: str) -> set[str]:
    """Return the chunks that come with bundles; not those that are imported later, by a call."""
    waiting = [json.loads((DIST / "manifest.json").read_text())["files"][name] for name in names]
    found: set[str] = set()
    while waiting:
        script = (DIST / waiting.pop()).read_text(encoding="utf-8")
        new = set(re.findall(r'(?:from|import) ?"\./(chunk\.\w+\.js)"', script)) - found
        found |= new
        waiting += new
    return found


def test_scripts_and_styles_of_every_page_fit_the_budget() -> None:
    chunks = chunks_of("app.js", "live.js")
    assert (
        gz_bytes("app.js", "live.js") + sum((DIST / f"{name}.gz").stat().st_size for name in chunks)
        <= JS_BUDGET
    )
    assert gz_bytes("app.css") <= CSS_BUDGET


def test_the_landing_page_with_all_that_it_loads_fits_the_budget(app: Flask) -> None:
    page = as_(app, "ada").get("/").data
    named = set(re.findall(r"/static/dist/([\w.]+\.(?:js|css|svg))", page.decode()))
    named |= {path.name for path in DIST.glob("contours.*.svg")} | chunks_of("app.js", "live.js")
    sent = sum((DIST / f"{name}.gz").stat().st_size for name in named)
    assert len(named) >= 7
    assert sent + len(gzip.compress(page)) <= PAGE_BUDGET


def test_every_icon_that_a_template_names_is_in_its_sprite() -> None:
    bundle = load_bundle(DIST)
    named = {
        name
        for path in SOURCE.rglob("templates/**/*.html")
        for name in re.findall(r'\bicon\(\s*"([a-z0-9-]+)"', path.read_text(encoding="utf-8"))
    }
    assert named
    for name in named:
        file, _, symbol = bundle.icon_url(name).removeprefix(PREFIX).partition("#")
        assert f'id="{symbol}"' in (DIST / file).read_text(), name


def test_licences_of_what_is_bundled_are_kept(app: Flask) -> None:
    answer = as_(app).get("/static/dist/third-party.txt")
    assert answer.status_code == 200
    for package in ("htmx.org 4.0.1", "socket.io-client 4.8.4", "bootstrap-icons 1.13.2"):
        assert package in answer.text
    assert "ships no licence text" not in answer.text


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "br"), ("gzip", "gzip"), ("", None)])
def test_a_file_is_answered_compressed_and_for_ever(app: Flask, accepted: str, encoding: str | None) -> None:
    url = f"/static/dist/{load_bundle(DIST).files['app.css']}"
    answer = as_(app).get(url, headers={"Accept-Encoding": accepted})
    assert answer.status_code == 200
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize(
    "name", ["manifest.json", ".stamp", "app.css", "..%2fpages.py", "app.00000000.js", "app.js.gz", "%00"]
)
def test_nothing_else_in_the_folder_can_be_fetched(app: Flask, name: str) -> None:
    assert as_(app, "ada").get(f"/static/dist/{name}").status_code == 404


def test_a_module_names_all_files_of_its_capability() -> None:
    tags = load_bundle(DIST).tags("home")
    assert re.fullmatch(r'<link rel="stylesheet" href="/static/dist/home\.[0-9A-Z]{8}\.css">', tags)


def test_a_bundle_that_was_never_built_stops_the_start_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing, match="make setup"):
        load_bundle(tmp_path)


def test_sources_have_no_inline_script_style_or_event_attribute() -> None:
    forbidden = re.compile(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|\bhx-on|js:|\|safe\b", re.I)
    for path in SOURCE.rglob("templates/**/*.html"):
        assert forbidden.search(path.read_text(encoding="utf-8")) is None, path


def test_the_lock_names_versions_exactly_and_no_address() -> None:
    root = SOURCE.parents[1]
    lock = (root / "package-lock.json").read_text()
    wanted = json.loads((root / "package.json").read_text())
    assert "resolved" not in lock
    for version in [*wanted["dependencies"].values(), *wanted["devDependencies"].values()]:
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
