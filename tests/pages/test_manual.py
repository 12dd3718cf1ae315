"""The manual as a whole: its reference is the code's, the site has its pages, its links lead on."""

import importlib
import inspect
import posixpath
import re
from pathlib import Path

import pytest
from reference_pages import API, DOCS, pages, public_names

import flame_flwr

ROOT = DOCS.parent
SITE = (ROOT / "mkdocs.yml").read_text()
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md")])
READMES = [ROOT / "README.md", *sorted(ROOT.glob("examples/*/README.md"))]
_CODE = re.compile(r"^```.*?^```$", re.M | re.S)


def test_the_reference_is_the_codes():
    """``make reference`` writes what is missing here."""
    written = {path.name: path.read_text() for path in DOCS.glob("reference/*.md")}
    del written["index.md"]
    assert written == pages()


def test_every_public_name_has_a_page():
    offered = ["flame_flwr", "flame_flwr.star", "flame_flwr.strategies", "flame_flwr.clients"]
    offered += ["flame_flwr.aggregation", "flame_flwr.statistics", "flame_flwr.privacy"]
    offered += ["flame_flwr.payload", "flame_flwr.testing", "flame_flwr.torch", "flame_flwr.errors"]
    offered += ["flame_flwr.regression", "flame_flwr.data", "flame_flwr.plugins"]
    offered += ["flame_flwr.sklearn"]
    paged = {name.rpartition(".")[2] for name in public_names()}
    for module in offered:
        names = {name for name in importlib.import_module(module).__all__ if not name.isupper()}
        assert names - {"__version__"} <= paged, module


def test_every_public_package_is_offered_or_internal():
    """A new package is either in ``reference_pages.API``, or one that users import nothing of."""
    own = {"analysis", "cli", "config", "deploy", "failure", "installed", "node", "processes"}
    own |= {"results", "s3", "script", "text", "training", "transport", "user_code", "watch"}
    found = {path.parent.name for path in Path(flame_flwr.__file__).parent.glob("*/__init__.py")}
    documented = {module.split(".")[1] for _, _, modules in API.values() for module in modules}
    assert found - documented == own


def test_every_name_of_the_reference_exists():
    named = [
        name
        for path in DOCS.glob("reference/*.md")
        for name in re.findall(r"^::: (\S+)$", path.read_text(), re.M)
    ]
    assert len(named) > 100
    for name in named:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_handle_calls_and_model_words_are_explained():
    """Each in a row or a sentence of the page on writing an analysis."""
    from flame_flwr.star import StarModel
    from flame_flwr.star.handle import FlameHandle

    text = (DOCS / "analysis.md").read_text()
    calls = [name for name in dir(FlameHandle) if not name.startswith("_")]
    assert len(calls) > 15
    assert [name for name in calls if f"`{name}(" not in text and f" `{name}(" not in text] == []
    files = {"output_type", "multiple_results", "filename"}
    assert files <= set(inspect.signature(StarModel).parameters)
    assert all(f"`{name}" in text for name in files)


# ---- the site --------------------------------------------------------------------------------


def test_the_home_page_lists_what_the_site_has():
    in_nav = set(re.findall(r"([\w/-]+\.md)$", SITE, re.M))
    home = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"\]\(([\w./-]+\.md)\)", home))
    examples = {f"../{path.parent.name}" for path in ROOT.glob("examples/*/README.md")}
    assert {name for name in in_nav if not name.startswith(("examples/", "reference/"))} == (
        {name for name in listed if not name.startswith(("..", "reference/"))}
        | {"index.md", "contributing.md", "changelog.md"}
    )
    assert len(examples) == len([name for name in in_nav if name.startswith("examples/")])
    assert len(examples) == len([name for name in listed if name.startswith("../examples/")])
    written = {path.relative_to(DOCS).as_posix() for path in PAGES}
    generated = {name for name in in_nav if name.startswith("examples/")}
    assert in_nav - generated == written | {"contributing.md", "changelog.md"}


def test_nothing_of_the_site_is_loaded_from_elsewhere():
    assert "font: false" in SITE
    assert "  - offline\n" in SITE
    [polyfills] = re.findall(r"polyfills: \[(.*)\]", SITE)
    assert (DOCS / polyfills).is_file()
    assert not re.search(r"https?://\S+\.(js|css)", SITE)


# ---- links -------------------------------------------------------------------------------------


def anchors(path):
    """Name the anchors of a page, as viewers of Markdown make them."""
    titles = re.findall(r"^#+ (.*)$", _CODE.sub("", path.read_text()), re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize(
    "path", [*READMES, *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere_and_powers_are_plain(path):
    text = _CODE.sub("", path.read_text())
    assert not re.search(r"\d\*\*-?\d", re.sub(r"`+[^`]+`+", "", text))  # bold to the next one
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = path if not file else Path(posixpath.normpath(path.parent / file))
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
