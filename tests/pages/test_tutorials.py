"""How pages become notebooks, and what these say stands in the site; `make docs` runs them."""

import base64
import re
from pathlib import Path

import tutorials
from snippets import blocks

ROOT = Path(__file__).parents[2]
PAGE = """# A page

```bash
pip install it
```

```python ages.py
print(1)
```

```text
1
```

Then:

```python
table
```

```sh shown-files
ls
```
"""


def test_what_runs_is_a_numbered_cell():
    cells = tutorials.as_cells(PAGE)
    assert "```\npip install it\n```" in cells
    assert "```python\n%%writefile ages.py\nprint(1)\n```" in cells
    assert "```python block=1\n%run ages.py\n```" in cells
    assert "```text" not in cells
    assert "```python block=3\ntable\n```" in cells
    assert "```python block=4\n%%bash\nls\n```" in cells


def test_what_was_said_replaces_the_quote():
    said = {
        1: [tutorials.Shown("txt", "2\n")],
        3: [
            tutorials.Shown(
                "html", '<style scoped>td {}</style><table border="1" class="dataframe">'
            ),
            tutorials.Shown("png", base64.b64encode(b"a picture").decode()),
        ],
        4: [],
    }
    page = tutorials.with_shown(PAGE, said, "start")
    assert "```text\n1\n" not in page
    assert "print(1)\n```\n\n```text\n2\n```\n\nThen:" in page
    assert '<div class="output">\n<table>\n</div>' in page
    assert "![What this draws](drawn/start-3-1.png)" in page
    assert said[3][1].file() == b"a picture"
    assert page.endswith("```sh shown-files\nls\n```\n")


def test_a_page_without_outputs_stays_as_it_is():
    for name in tutorials.TUTORIALS:
        page = (ROOT / "docs" / f"{name}.md").read_text()
        assert tutorials.with_shown(page, {}, name) == page


def test_pages_that_quote_output_are_tutorials():
    """Of *Start* and *Analyse*; what runs nowhere else is shown in none."""
    nav = (ROOT / "mkdocs.yml").read_text().split("  - Start:")[1].split("  - Run:")[0]
    pages = [
        name
        for name in re.findall(r"([\w-]+)\.md$", nav, re.M)
        if (ROOT / f"docs/{name}.md").is_file()
    ]
    own = {"payload", "plugins"}  # of which most runs at nodes, or needs another package
    quoting = {
        page
        for page in pages
        for each in blocks(ROOT / "docs" / f"{page}.md")
        if each.language == "python"
    }
    assert quoting - own == set(tutorials.TUTORIALS)


def test_long_output_is_cut_in_the_middle():
    said = {3: [tutorials.Shown("txt", "".join(f"{number}\n" for number in range(1000)))]}
    page = tutorials.with_shown(PAGE, said, "start")
    assert "```text\n0\n" in page
    assert "\n11\n... 976 more lines ...\n988\n" in page
    assert "\n999\n```\n" in page
