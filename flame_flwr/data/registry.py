"""``datasets.toml``: a hospital's own list of what its node may read, and for which projects.

Every dataset has a name, tags, the type of data that analyses ask for, a URL, its credentials by
reference, the projects that may use it and the disclosure rules for it. This module reads and
chooses; :mod:`flame_flwr.data.open_data` makes sources of what is chosen.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from flame_flwr.config.config_key import REQUIRED, ConfigKey, check_keys
from flame_flwr.data.credentials import check_reference, refuse_in_url
from flame_flwr.data.source import DataKind
from flame_flwr.data.sql_entry import SQL_KEYS, SqlEntry
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.files import os_errors_as
from flame_flwr.text.textfiles import decode_text, toml_key, toml_value

__all__ = ["EVERY_PROJECT", "EXAMPLE", "Dataset", "choose", "read_registry", "with_dataset"]

EXAMPLE = """\
# What this node may read. Analyses name tags; projects that are not listed get nothing.

[[dataset]]
name = "long-covid-files"
tags = ["long-covid", "cohort-2026"]
type = "s3"                                  # files; "fhir" for searches, "sql" for tables
url = "s3://long-covid/2026"                 # or a folder, /srv/long-covid
projects = ["halta"]                         # their project-id; ["*"] is every project
# disclosure = "MinCount(5)"                 # rules for what leaves, as in the node's config
# answers-per-day = 500                      # limits, likewise: `flame-flwr node ledger`
# epsilon-total = 4
# freeze = true                              # read once for a study: `flame-flwr data freeze`
# subject = "person_id"                      # whom a row is about: rules count people by it
endpoint = "https://store.hospital.example:9000"
key-id = { env = "LONG_COVID_KEY_ID" }
secret = { file = "/etc/flame-flwr/long-covid.secret" }

[[dataset]]
name = "long-covid-fhir"
tags = ["long-covid"]
type = "fhir"
url = "fhir+https://fhir.hospital.example/fhir"
projects = ["halta"]
token = { file = "/etc/flame-flwr/fhir.token" }

[[dataset]]
name = "long-covid-visits"
tags = ["long-covid"]
type = "sql"
url = "postgresql://db.hospital.example/research"
projects = ["halta"]
user = { env = "LONG_COVID_USER" }
password = { file = "/etc/flame-flwr/long-covid.password" }
query = "/etc/flame-flwr/visits.sql"         # one SELECT; the analysis gets the table "visits"
parameters.since = { type = "date", low = 2020-01-01, default = 2020-01-01 }  # :since in it
"""
"""A registry that shows the usual keys."""

EVERY_PROJECT = "*"


_S3, _FHIR, _SQL = "a URL that begins with s3://", "a URL that begins with fhir+https://", "tables"
_OF_S3 = {
    "endpoint": ConfigKey(str, ""),
    "region": ConfigKey(str, ""),
    "addressing": ConfigKey(str, "path", choices=("path", "virtual-host")),
    "key-id": ConfigKey(dict, None),
    "secret": ConfigKey(dict, None),
}
_OF_FHIR = {
    "token": ConfigKey(dict, None),
    "user": ConfigKey(dict, None),
    "password": ConfigKey(dict, None),
    "max-pages": ConfigKey(int, None, is_positive=True),
    "max-mb": ConfigKey((int, float), None, is_positive=True),
}
_KEYS = {
    "name": ConfigKey(str),
    "tags": ConfigKey(list, ()),
    "type": ConfigKey(str, choices=get_args(DataKind)),
    "url": ConfigKey(str),
    "projects": ConfigKey(list),
    "disclosure": ConfigKey(str, ""),
    "freeze": ConfigKey(bool, False),
    "answers-per-day": ConfigKey(int, None, is_positive=True),
    "epsilon-total": ConfigKey((int, float), None, is_positive=True),
    "subject": ConfigKey(str, ""),
    "allow-http": ConfigKey(bool, False),
    "ca-file": ConfigKey(str, ""),
    **_OF_S3,
    **SQL_KEYS,
    **_OF_FHIR,
}
_REFERENCES = ("key-id", "secret", "token", "user", "password")
_KINDS_BY_SCHEME = {
    "s3": ("s3", "sql"),
    "fhir": ("fhir",),
    **dict.fromkeys(("postgresql", "sqlite", "duckdb"), ("sql",)),
    "": get_args(DataKind),  # a folder
}
"""What analyses may ask of a place, by its scheme; of any other, files or bundles."""

_ONLY = {_S3: _OF_S3, _FHIR: _OF_FHIR, _SQL: SQL_KEYS}
_PAIRS = (("key-id", "secret"), ("user", "password"))
_OF_DATASET = ("name", "tags", "type", "url", "projects", "disclosure", "subject")


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset of a registry, checked.

    Parameters
    ----------
    name : str
        What the hospital calls it.
    type : {'s3', 'fhir', 'sql'}
        What analyses that use it ask for.
    url : str
        Where it is.
    projects : tuple of str
        Who may use it, by ``project-id``; ``"*"`` is every project.
    tags : tuple of str
        What analyses find it by.
    disclosure : str
        The rules for what leaves of it, as in the node's config; empty for none of its own.
    options : dict
        The other keys as they stand in the file; credentials are still references.
    subject : str
        The column that says whom a row is about, for rules that count people.
    """

    name: str
    type: DataKind
    url: str
    projects: tuple[str, ...]
    tags: tuple[str, ...]
    disclosure: str
    options: Mapping[str, Any]
    subject: str = ""

    def allows(self, project: str) -> bool:
        """Tell whether a project may use it."""
        return EVERY_PROJECT in self.projects or project in self.projects


def read_registry(path: Path) -> list[Dataset]:
    """Read and check a registry.

    Raises
    ------
    ConfigError
        The file is missing, is no TOML, others may write to it, or a key is wrong. The message
        has numbers of datasets; names and values stand in the detail.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "datasets.toml")
    ...     _ = path.write_text(EXAMPLE)
    ...     [(dataset.name, dataset.type) for dataset in read_registry(path)]
    [('long-covid-files', 's3'), ('long-covid-fhir', 'fhir'), ('long-covid-visits', 'sql')]
    """
    return _datasets(_content(path), path)


def with_dataset(path: Path, entry: Mapping[str, Any]) -> bytes:
    """Return a registry's text with one more dataset, checked; what stands there stays as it is.

    Parameters
    ----------
    path : Path
        The registry; one that is missing is a new one.
    entry : dict of str to Any
        The dataset's keys.

    Raises
    ------
    ConfigError
        As for :func:`read_registry`, of the registry as it is or as it would be.
    """
    text = ""
    if path.exists():
        read_registry(path)
        text = decode_text(path.read_bytes()).rstrip() + "\n\n"
    lines = [f"{toml_key(key)} = {_toml(value)}" for key, value in entry.items()]
    text += "\n".join(["[[dataset]]", *lines, ""])
    _datasets(tomllib.loads(text), path)
    return text.encode()


def _toml(value: Any) -> str:
    if not isinstance(value, Mapping):
        return toml_value(value)
    return f"{{ {', '.join(f'{toml_key(key)} = {_toml(each)}' for key, each in value.items())} }}"


def _datasets(content: dict[str, Any], path: Path) -> list[Dataset]:
    tables = content.pop("dataset", None)
    if content or not isinstance(tables, list) or not tables:
        raise ConfigError(
            "`datasets`: the registry must hold [[dataset]] tables and nothing else",
            detail=str(path),
        )
    datasets = [_dataset(table, number) for number, table in enumerate(tables, start=1)]
    names = [dataset.name for dataset in datasets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError("`datasets`: two datasets have the same name", detail=twice)
    return datasets


def _content(path: Path) -> dict[str, Any]:
    """Return what a registry's file holds; only its owner and group may have written it."""
    unread = os_errors_as(ConfigError, "`datasets`: the registry cannot be read")
    with unread, path.open("rb") as file:
        # the rights of the file that is read, and not of what may stand there a moment later
        mode, text = os.fstat(file.fileno()).st_mode, file.read()
    try:
        content = tomllib.loads(decode_text(text))
    except ValueError as error:
        raise ConfigError(
            "`datasets`: the registry is not TOML: `flame-flwr data list` names the line to mend, "
            "and `flame-flwr data list --example` prints one that is right",
            detail=f"{path}: {error}",
        ) from None
    if mode & stat.S_IWOTH:
        raise ConfigError(
            "`datasets`: every user of the machine may write to the registry: chmod o-w",
            detail=str(path),
        )
    return content


def choose(
    datasets: Sequence[Dataset], kind: str, tags: Sequence[str], project: str
) -> list[Dataset]:
    """Return the datasets of a type that have all tags and are open to a project, in order.

    Raises
    ------
    DataError
        No dataset fits; the message says whether the tags or the project are the reason.

    Examples
    --------
    >>> ward = Dataset("ward", "s3", "/srv/ward", ("halta",), ("pasc", "adults"), "", {})
    >>> [dataset.name for dataset in choose([ward], "s3", ["pasc"], "halta")]
    ['ward']
    """
    asked = f"the tags {', '.join(tags)}" if tags else "any tags"
    fitting = [each for each in datasets if each.type == kind and set(tags) <= set(each.tags)]
    if not fitting:
        raise DataError(f"this node's registry has no dataset of the type {kind!r} with {asked}")
    allowed = [each for each in fitting if each.allows(project)]
    if not allowed:
        raise DataError(
            f"this node's registry does not let the project {project!r} use its data of the type "
            f"{kind!r} with {asked}: the hospital adds it to `projects`"
        )
    return allowed


def _dataset(table: Any, number: int) -> Dataset:
    what = f"`datasets`, dataset {number}"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{what} must be a [[dataset]] table")
    for key, value in table.items():
        if key in _REFERENCES:
            check_reference(value, f"{what}: `{key}`")
    check_keys(table, _KEYS, f"in {what}", is_private=True)
    for key, value in table.items():
        _check_texts(key, value, what)
    _check_urls(table, what)
    _check_together(table, what)
    options = {key: value for key, value in table.items() if key not in _OF_DATASET}
    if table["type"] == "sql":
        SqlEntry.of(options, what)
    return Dataset(
        name=table["name"],
        type=table["type"],
        url=table["url"],
        projects=tuple(table["projects"]),
        tags=tuple(table.get("tags", ())),
        disclosure=table.get("disclosure", ""),
        options=options,
        subject=table.get("subject", ""),
    )


def _check_texts(key: str, value: object, what: str) -> None:
    """Refuse lists of anything but words, and empty values of keys that must be set."""
    if _KEYS[key].default is REQUIRED and not value:
        raise ConfigError(f"{what}: `{key}` must not be empty")
    if isinstance(value, list) and not all(map(_is_word, value)):
        raise ConfigError(f"{what}: `{key}` must be a list of texts without commas")


def _check_urls(table: Mapping[str, Any], what: str) -> None:
    """Refuse URLs with credentials in them, and those that do not fit the type."""
    url, kind = table["url"], table["type"]
    for key in ("url", "endpoint"):
        refuse_in_url(table.get(key, ""), f"{what}: `{key}`")
        if table.get(key, "").startswith(("s3:", "http")) and {"?", "#"} & set(table[key]):
            raise ConfigError(f"{what}: `{key}` must have no `?` or `#` in it, nor what follows it")
    scheme, found, _ = url.partition("://")
    if kind not in _KINDS_BY_SCHEME.get(scheme.partition("+")[0] if found else "", ("s3", "fhir")):
        raise ConfigError(f"{what}: `type` and `url` do not fit together", detail=f"{kind}, {url}")
    if url.startswith("fhir+") and {"?", "#"} & set(url):
        raise ConfigError(f"{what}: `url` ends with the server's base, without ? and what follows")


def _check_together(table: Mapping[str, Any], what: str) -> None:
    """Refuse keys that do not go with the URL, or not without each other."""
    url = table["url"]
    own = {
        _S3: url.startswith("s3://"),
        _FHIR: url.startswith("fhir+"),
        _SQL: table["type"] == "sql",
    }
    for key in table:
        fits = [each for each, keys in _ONLY.items() if key in keys]
        if fits and not any(own[each] for each in fits):
            raise ConfigError(f"{what}: `{key}` is for {' or '.join(fits)}")
    for pair in _PAIRS:
        if len(table.keys() & set(pair)) == 1:
            raise ConfigError(f"{what}: `{pair[0]}` and `{pair[1]}` belong together")


def _is_word(text: Any) -> bool:
    return isinstance(text, str) and text.strip() == text != "" and "," not in text
