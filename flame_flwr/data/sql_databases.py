"""Opens the database that a URL names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from flame_flwr.data.sql_session import Database

__all__ = ["open_database"]


def open_database(
    url: str, name: str, user: str = "", password: str = "", *, ca_file: str = "", tls: str = ""
) -> Database:
    """Return the database of a URL as SQLAlchemy has it; nothing is read yet.

    Parameters
    ----------
    url : str
        ``postgresql://host/database``, ``sqlite:////path`` or ``duckdb:////path``.
    name : str
        How messages call the source.
    user, password, ca_file, tls : str
        For PostgreSQL; see :class:`~flame_flwr.data.sql_postgres.Postgres`.

    Raises
    ------
    ConfigError
        A URL that cannot be, or a driver that is not installed.

    Examples
    --------
    >>> open_database("sqlite:////srv/ward.db", "data source 1").where
    'sqlite:////srv/ward.db'
    """
    import sqlalchemy

    try:
        parts = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ConfigError(f"{name}: `url` is not a database's URL") from None
    kind = parts.drivername.partition("+")[0]
    if kind == "postgresql":
        from flame_flwr.data.sql_postgres import Postgres

        return Postgres(parts, name, user, password, ca_file, tls)
    path = Path(parts.database or "")
    if kind not in ("sqlite", "duckdb") or parts.query or parts.host or not path.is_absolute():
        raise ConfigError(
            f"{name}: `url` must be like postgresql://host/database, or have the absolute path of "
            "a file, with four slashes: sqlite:////srv/ward.db, duckdb:////srv/ward.duckdb"
        )
    if kind == "sqlite":
        from flame_flwr.data.sql_sqlite import Sqlite

        return Sqlite(path, name)
    from flame_flwr.data.sql_duckdb import DuckDB

    return DuckDB(path, name)
