"""A database of a PostgreSQL server, read with psycopg in one transaction that cannot write."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.data.sql_errors import postgres_problem, words_for
from flame_flwr.data.sql_session import (
    Read,
    driver,
    kinds_of,
    pieces_of,
    rendered,
    stopped_after,
)
from flame_flwr.data.table_pieces import Cells, cells_of
from flame_flwr.errors import ConfigError
from flame_flwr.text.hosts import is_loopback

if TYPE_CHECKING:
    import sqlalchemy

    from flame_flwr.data.sql_parameters import Bound
    from flame_flwr.data.sql_session import AsCells
    from flame_flwr.data.table_pieces import Kind, Piece

__all__ = ["Postgres"]

_DATE, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1114, 1184
_MOST_DAYS = 10**8
"""On both sides of 2000: what microseconds can count in 64 bits."""

_KIND_BY_OID: Mapping[int, Kind] = {
    16: "bool",
    **dict.fromkeys((20, 21, 23, 26), "whole"),
    **dict.fromkeys((700, 701, 1700), "number"),
    **dict.fromkeys((18, 19, 25, 1042, 1043, 2950), "text"),
    **dict.fromkeys((_DATE, _TIMESTAMP), "time"),
    _TIMESTAMPTZ: "utc",
}
"""PostgreSQL's types by their numbers (pg_type.dat), which are the same in every database."""

_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""So that a host that is gone without a word is noticed within a minute."""

# with `off`, libpq still takes TLS where a server offers it: nobody is worse off for that
_TLS = {"verify": "verify-full", "encrypt": "require", "off": "prefer"}
_ONLY_READS = (
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
)
_MAY_WRITE = """
SELECT rolsuper OR pg_has_role(rolname, 'pg_write_all_data', 'usage') OR EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v') AND n.nspname NOT LIKE 'pg\\_%'
    AND n.nspname <> 'information_schema'
    AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
FROM pg_roles WHERE rolname = current_user
"""
"""Of tables, partitioned and foreign ones, and views; the catalogues' own are left out."""


class Postgres:
    """A database of a PostgreSQL server.

    Parameters
    ----------
    url : sqlalchemy.URL
        Without credentials; the folder of a local socket may stand in ``?host=``.
    name : str
        How messages call the source.
    user, password : str
        Without them, what libpq finds (``PGUSER``, ``~/.pgpass``).
    ca_file : str
        Who has signed the server's certificate; without one, whom the system trusts.
    tls : str
        ``verify`` where the server is another host, unless it is said; ``encrypt``; ``off``.
    """

    def __init__(
        self, url: sqlalchemy.URL, name: str, user: str, password: str, ca_file: str, tls: str
    ) -> None:
        if url.query.keys() - {"host"}:
            raise ConfigError(f"{name}: `url` may have ?host=/folder/of/the/socket, and no more")
        host = str(url.host or url.query.get("host", ""))
        self.where = f"postgresql://{host}/{url.database or ''}"
        given = {"host": host, "port": url.port, "dbname": url.database}
        given |= {"user": user, "password": password, **_encryption(host, ca_file, tls)}
        self._given = {key: value for key, value in given.items() if value}
        self._name = name
        self._driver = driver("psycopg", name)

    @contextmanager
    def session(self, seconds: float) -> Iterator[Read]:
        """Read in one transaction, as of its beginning; see ``Database``."""
        from sqlalchemy.dialects.postgresql.psycopg import dialect

        with self._connected(seconds) as (connection, check):

            def read(
                statement: sqlalchemy.Select[Any], values: Mapping[str, Bound]
            ) -> Iterator[Piece]:
                text, bound = rendered(statement, values, dialect())
                # with a name it is the server's cursor: else psycopg fetches all rows at once
                with connection.cursor(name="flame", binary=True) as cursor:
                    cursor.execute(text, bound)
                    described = [(each.name, each.type_code) for each in cursor.description]
                    kinds = kinds_of(described, _KIND_BY_OID.get, self._name)
                    columns = {
                        column: _MOMENTS.get(number) or partial(cells_of, kind=kinds[column])
                        for column, number in described
                    }
                    yield from pieces_of(cursor, columns, self._name, check)

            yield read

    def advice(self) -> str:
        """Ask whether the role may write to any table."""
        with self._connected(30) as (connection, _):
            [(may_write,)] = connection.execute(_MAY_WRITE).fetchall()
        return "its role may write to the database: use one that may only read" if may_write else ""

    @contextmanager
    def _connected(self, seconds: float) -> Iterator[tuple[Any, Any]]:
        """Connect, and say in words what fails until the connection is closed."""
        connection = None
        try:
            # the server stops by itself, too: this process may end before it can say so
            options = f"-c statement_timeout={int(seconds * 1000)} -c TimeZone=UTC"
            connection = self._driver.connect(
                **self._given, **_PATIENCE, options=options, application_name="flame-flwr"
            )
            connection.execute(_ONLY_READS)
            connection.commit()  # it holds from the next transaction on
            _adapt(connection)
            with stopped_after(seconds, connection.cancel, self._name, self.where) as check:
                yield connection, check
        except self._driver.Error as error:
            problem = postgres_problem(error, connected=connection is not None)
            raise words_for(problem, self._name, self.where, error) from None
        finally:
            if connection is not None:
                connection.close()


def _adapt(connection: Any) -> None:
    """Have psycopg give days and microseconds as numbers, and a UUID as its text."""
    from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader
    from psycopg.types.uuid import UUIDBinaryLoader

    class UuidText(UUIDBinaryLoader):
        def load(self, data: Any) -> Any:
            return str(super().load(data))

    connection.adapters.register_loader(_DATE, Int4BinaryLoader)
    for moment in (_TIMESTAMP, _TIMESTAMPTZ):
        connection.adapters.register_loader(moment, Int8BinaryLoader)
    connection.adapters.register_loader("uuid", UuidText)


def _moments(values: Sequence[int | None], *, unit: str, kind: Kind) -> Cells:
    """Return cells of times, which PostgreSQL counts from 2000 on; infinite ones are refused."""
    missing = [value is None for value in values]
    counted = np.array([value or 0 for value in values], dtype=np.int64)
    most = _MOST_DAYS * (1 if unit == "D" else 86_400_000_000)
    if len(counted) and not -most < counted.min() <= counted.max() < most:
        raise OverflowError("beyond pandas' calendar")
    times = counted.astype(f"timedelta64[{unit}]") + np.datetime64("2000-01-01", "us")
    times[missing] = np.datetime64("NaT")
    return Cells(kind, times)


_MOMENTS: Mapping[int, AsCells] = {
    _DATE: partial(_moments, unit="D", kind="time"),
    _TIMESTAMP: partial(_moments, unit="us", kind="time"),
    _TIMESTAMPTZ: partial(_moments, unit="us", kind="utc"),
}


def _encryption(host: str, ca_file: str, tls: str) -> dict[str, str]:
    """Return how the connection is protected: to another host, by a certificate that is checked."""
    if not tls and not ca_file and (not host or host.startswith("/") or is_loopback(host)):
        return {}
    found = {"sslmode": _TLS[tls or "verify"]}
    if found["sslmode"] == "verify-full":
        # libpq's own OpenSSL may look for the system's certificates where there are none
        found["sslrootcert"] = ca_file or ssl.get_default_verify_paths().cafile or "system"
    return found
