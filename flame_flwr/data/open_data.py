"""Opens the source for a location or for a dataset of a registry.

Locations in a node's config bring no credentials: the environment has them (``AWS_`` variables,
``FHIR_TOKEN``, ``FHIR_USER`` and ``FHIR_PASSWORD``, and ``FHIR_ALLOW_HTTP``). A registry's datasets
name theirs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from flame_flwr.data.credentials import refuse_in_url
from flame_flwr.data.folder_source import FolderSource
from flame_flwr.data.function_source import FunctionSource
from flame_flwr.data.local_paths import is_function, locations_of
from flame_flwr.data.source import NODE_OPTION, Source, SourceData
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flwr.app import Context

    from flame_flwr.data.cache import Cache
    from flame_flwr.data.registry import Dataset
    from flame_flwr.s3.access import Access

__all__ = ["check_dataset", "open_data", "open_dataset", "open_datasets"]

_REGISTRY = "`url` in this node's registry"
_OF_THE_NODE = "of the SuperNode; a running one must be started again"


def open_data(
    locations: str, context: Context, cache: Cache | None = None, *, option: str = NODE_OPTION
) -> SourceData:
    """Return the data that a node's `data` key names, without reading any of it.

    Parameters
    ----------
    locations : str
        One location, or several with ``;`` between them. ``{partition-id}`` is filled in.
    context : Context
        The node's.
    cache : Cache, optional
        Where to keep what is read from an object store.
    option : str
        What names the locations, for messages: the user's spelling of it.

    Raises
    ------
    ConfigError
        No location, a relative path, an unknown kind of location, or no credentials for it.
    """
    partition = str(context.node_config.get("partition-id", "{partition-id}"))
    names = locations_of(locations)
    if not names:
        raise ConfigError(f"{option} names no location")
    sources = [
        _source(
            name.replace("{partition-id}", partition),
            f"data source {i}",
            context,
            {},
            cache,
            option,
        )
        for i, name in enumerate(names, start=1)
    ]
    return SourceData(sources)


def open_datasets(
    datasets: Sequence[Dataset], context: Context, cache: Cache | None = None
) -> SourceData:
    """Return the data of datasets of a registry, without reading any of it.

    Raises
    ------
    ConfigError
        A location is wrong, or a credential is not where the registry says.
    """
    sources = [
        open_dataset(dataset, f"data source {i}", context, cache)
        for i, dataset in enumerate(datasets, start=1)
    ]
    return SourceData(sources)


def open_dataset(
    dataset: Dataset, name: str, context: Context, cache: Cache | None = None
) -> Source:
    """Return the source of one dataset; `name` is what messages call it."""
    if dataset.type == "sql":
        return _sql(dataset, name, cache)
    return _source(dataset.url, name, context, dataset.options, cache, _REGISTRY)


def check_dataset(dataset: Dataset, name: str, context: Context) -> str:
    """Try a dataset's source, and read its disclosure rules, as the beginning of a run does.

    Returns
    -------
    str
        What the hospital had better change; '' for nothing.

    Raises
    ------
    ConfigError, DataError
        What the beginning of a run would say.
    """
    source = open_dataset(dataset, name, context)
    source.check(dataset.type)
    if dataset.disclosure:
        from flame_flwr.privacy.config_text import read_rules

        read_rules(dataset.disclosure, f"{name}: `disclosure`")
    if not isinstance(source, SqlSource):
        return ""
    from flame_flwr.data.omop_tables import advice_for

    entry = SqlEntry.of(dataset.options, name)
    columns = {table: columns for table, (_, columns) in entry.tables.items()}
    return "; ".join(filter(None, [source.advice(), advice_for(dataset.tags, columns)]))


def _source(
    location: str,
    name: str,
    context: Context,
    options: Mapping[str, Any],
    cache: Cache | None,
    option: str,
) -> Source:
    refuse_in_url(location, f"{name}: {option}")  # before any error has the location in its detail
    if is_function(location):
        return FunctionSource(location, context, name, option)
    scheme = location.partition("://")[0]
    if scheme == "s3":
        from flame_flwr.data.s3_source import S3Source

        return S3Source(location, name, _access(options, name), cache)
    if scheme in ("fhir+http", "fhir+https"):
        return _fhir(location, name, options, registered=option == _REGISTRY)
    return FolderSource(_folder(location, name, option), name, option)


def _sql(dataset: Dataset, name: str, cache: Cache | None) -> SqlSource:
    """Return a database, with the credentials that the registry refers to."""
    from flame_flwr.data.credentials import resolve
    from flame_flwr.data.sql_databases import open_database

    options = dataset.options
    entry = SqlEntry.of(options, name, dataset.subject)
    if dataset.url.startswith("s3://"):
        from flame_flwr.data.s3_source import S3Source
        from flame_flwr.data.table_objects import TableObjects

        store = S3Source(dataset.url, name, _access(options, name), cache)
        return SqlSource(TableObjects(store, name, entry.tables), entry, name)
    if "://" not in dataset.url:
        from flame_flwr.data.table_files import TableFiles

        folder = _folder(dataset.url, name, _REGISTRY)
        return SqlSource(TableFiles(folder, name, entry.tables), entry, name)
    user, password = (
        resolve(options[key], f"{name}: {key}") if key in options else ""
        for key in ("user", "password")
    )
    database = open_database(
        dataset.url,
        name,
        user,
        password,
        ca_file=options.get("ca-file", ""),
        tls=options.get("tls", ""),
    )
    return SqlSource(database, entry, name)


def _folder(location: str, name: str, option: str) -> Path:
    """Return the folder of a path or a ``file://`` URL."""
    if "://" in location:
        parts = urlsplit(location)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
            raise ConfigError(
                f"{name}: {option} takes a folder's path, file:///path, s3://bucket/prefix, "
                "fhir+https://server/base or package.module:function",
                detail=location.partition("?")[0],
            )
        if "?" in location or "#" in location:
            raise ConfigError(
                f"{name}: in a file:// URL in {option}, `#` must be written as %23 and `?` as %3F; "
                "or give the path alone",
                detail=location,
            )
        location = unquote(parts.path)
    path = Path(location)
    if not path.is_absolute():
        raise ConfigError(
            f"{name}: the path in {option} must be absolute, because Flower's processes have "
            "working directories of their own",
            detail=location,
        )
    return path


def _access(options: Mapping[str, Any], name: str) -> Access:
    """Return how to reach a store: as a registry says, or as the environment does."""
    from flame_flwr.data.credentials import resolve
    from flame_flwr.s3.access import (
        ENVIRONMENT,
        Access,
        check_credentials,
        read_certificates,
    )
    from flame_flwr.s3.location import check_endpoint

    # the library reads the environment itself, so what a registry says must not stand there
    overridden = {name for key in options for name in ENVIRONMENT.get(key, ())}
    access = Access.from_environment({k: v for k, v in os.environ.items() if k not in overridden})
    if "key-id" in options:
        key_id = resolve(options["key-id"], f"{name}: key-id")
        access = replace(
            access, key_id=key_id, secret=resolve(options["secret"], f"{name}: secret")
        )
    else:
        check_credentials(os.environ, name, _OF_THE_NODE)
    if "endpoint" in options:
        allowed = bool(options.get("allow-http"))
        what, mend = f"{name}: `endpoint`", "set allow-http = true"
        endpoint = check_endpoint(options["endpoint"], what, allowed, mend)
        access = replace(access, endpoint=endpoint)
    if "ca-file" in options:
        certificates = read_certificates(options["ca-file"], f"{name}: `ca-file`")
        access = replace(access, certificates=certificates)
    if "addressing" in options:
        access = replace(access, virtual_host=options["addressing"] == "virtual-host")
    return replace(access, region=options.get("region", access.region))


def _fhir(location: str, name: str, options: Mapping[str, Any], *, registered: bool) -> Source:
    from flame_flwr.data.fhir_server import ALLOW_HTTP, MAX_MB, MAX_PAGES, FhirSource

    ca_file = options.get("ca-file")
    if registered:
        allow_http = bool(options.get("allow-http"))
    else:
        allow_http = os.environ.get("FHIR_ALLOW_HTTP", "").lower() in ("true", "1")
    return FhirSource(
        location,
        name,
        _authorization(options, name),
        max_pages=options.get("max-pages", MAX_PAGES),
        max_mb=options.get("max-mb", MAX_MB),
        ca_file=Path(ca_file) if ca_file else None,
        allow_http=allow_http,
        http_mend=ALLOW_HTTP if registered else "set FHIR_ALLOW_HTTP=true in its environment",
    )


def _authorization(options: Mapping[str, Any], name: str) -> str:
    """Return the header that a FHIR server wants: a registry's, else the environment's, if any."""
    from flame_flwr.data.credentials import resolve
    from flame_flwr.data.fhir_http import basic, bearer

    names = {"token": "FHIR_TOKEN", "user": "FHIR_USER", "password": "FHIR_PASSWORD"}
    given = {key: options[key] for key in names if key in options}
    if not given:
        given = {key: {"env": env} for key, env in names.items() if os.environ.get(env)}
    texts = {key: resolve(reference, f"{name}: {key}") for key, reference in given.items()}
    if not texts:
        return ""
    if set(texts) == {"token"}:
        try:
            return bearer(texts["token"])
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.message}") from None
    if set(texts) == {"user", "password"}:
        return basic(texts["user"], texts["password"])
    raise ConfigError(f"{name}: a FHIR server gets a token, or a user with a password")
