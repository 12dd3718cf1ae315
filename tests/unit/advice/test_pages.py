"""What pages and the texts for the parties of a federation tell somebody to do."""

import re
from pathlib import Path

import flwr
import pytest
from flwr.supercore.error import ApiErrorCode
from flwr.supercore.error.catalog import API_ERROR_MAP

import flame_flwr
from flame_flwr.config import NODE_KEYS, RUN_KEYS

from .commands import wrong
from .scan import FOLDERS, messages

ROOT = Path(__file__).parents[3]
TEXTS = Path(flame_flwr.__file__).parent / "deploy" / "text-files"
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
    *sorted(TEXTS.iterdir()),
    *sorted(Path(flame_flwr.__file__).parent.glob("app-templates/*/README.md")),
]
COMMAND = re.compile(
    r"(?:`|^|(?:sh|sudo -u \w+ sh) \S*connect\.sh |sudo -u \S+ \S+/bin/)"
    r"((?:flame-flwr|flwr) (?!(?:is|has|runs|takes|into) )[a-z-][^`\n|&;]*)",
    re.M,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_command_of_a_page_exists(page):
    text = re.sub(r"\\?\n {2,}", " ", page.read_text())
    for found in COMMAND.findall(text):
        assert not wrong(found.split()), found


def test_there_are_commands_to_look_at():
    assert sum(len(COMMAND.findall(page.read_text())) for page in PAGES) > 60


# The page of what is seen when something fails: a section for each message, and what to do.

_PAGE = (ROOT / "docs" / "failures.md").read_text()
SECTIONS = re.findall(r"^### (.*)\n((?:(?!#).*\n)*)", _PAGE, re.M)
SYSTEMS = {
    "CERTIFICATE_VERIFY_FAILED",
    "Permission denied",
    "exec",
    "[Errno 98] error while attempting to bind on address",
    "HTTP API failed to start",
    "Client error '400 Bad Request'",
}
"""Words of the system, Python, OpenSSL and httpx, and the end of a traceback of Flower's."""

_VARIES = re.compile(
    r"\.\.\.|0\.0\.0\.0|\b\d+\b|hospital-[abc]|ValueError|analysis\.py|"
    r"this node has lost |app version|Address already in use"
)


def seen(text):
    return [one[1] for one in re.findall(r"(`+) ?(.+?) ?\1", text)]


def every_message():
    ours = [text for _, text in messages()]
    ours += [path.read_text() for folder in FOLDERS for path in folder.rglob("*.py")]  # one word
    theirs = [text.read_text() for text in TEXTS.iterdir()]
    flowers = [path.read_text() for path in Path(flwr.__file__).parent.rglob("*.py")]
    return "\n".join([*ours, *theirs, *flowers])


def is_said(words, every):
    if words in SYSTEMS or (TEXTS / words).is_file() or words.startswith(("flwr ", "flame-")):
        return True
    for part in re.sub(r"\[code: \d+\] ", "", words).split(": "):  # a message is put together
        fixed = [re.escape(text.strip()) for text in _VARIES.split(part.strip("` "))]
        if not (re.search(r"[^\n]{0,200}?".join(fixed), every) or part in SYSTEMS):
            return False
    return True


def test_every_section_has_what_to_do():
    assert len(SECTIONS) > 50
    for heading, text in SECTIONS:
        meaning, mend = text.split("**What to do:** ")
        assert meaning.strip(), heading
        assert mend.strip(), heading


def test_what_is_seen_is_what_is_said():
    every = every_message()
    quoted = [words for heading, _ in SECTIONS for words in seen(heading)]
    assert len(quoted) > 50
    assert [words for words in quoted if not is_said(words, every)] == []


def test_its_codes_are_flowers():
    codes = re.findall(r"\[code: (\d+)\] ([^`]*)`", _PAGE)
    assert len(codes) == 2
    for number, words in codes:
        about = API_ERROR_MAP[ApiErrorCode(int(number))]
        assert about.public_message.startswith(words.rstrip("."))


def test_its_mends_name_what_exists():
    texts = "".join(path.read_text() for path in TEXTS.iterdir())
    others = {
        "dmesg",
        "ss -ltnp",
        "timedatectl set-ntp true",
        "sh register.sh",
        "--insecure",
        "run.json",
        "rescue.pkl",
        "ca.pem",
        "superlink.db",
        "/root",
    }
    others |= {"pyproject.toml", "flame-flwr submit", "--run-config resume=true"}
    others.add("--run-config data=")
    every = every_message()
    for _, text in SECTIONS:
        for words in seen(text):
            key = words.partition(" = ")[0].partition("=")[0]
            known = key in {*RUN_KEYS, *NODE_KEYS} or words in {*others, *SYSTEMS}
            known |= words.startswith("--") and not wrong(["flame-flwr", "submit", words])
            assert known or words in texts or is_said(words, every), words
