"""Reading a table of PostgreSQL: our source against ``pandas.read_sql`` on psycopg."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from postgres import postgres

from flame_flwr.data.sql_databases import open_database
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.data.table_query import TableQuery

ROWS, COLUMNS = 200_000, 20
KINDS = (
    "(i * {n} % 97)::int",
    "sin(i * {n})",
    "'level ' || (i * {n} % 9)",
    "date '2020-01-01' + i % 900",
)
NAMES = [f"c{number}" for number in range(COLUMNS)]
TURNS = 5


def ours(url: str) -> Any:
    """Read through a source, as a node does for a process of its own."""
    entry = SqlEntry.of({"tables": {"rows": NAMES}}, "entry")
    database = open_database(url, "source", "postgres")
    return SqlSource(database, entry, "source").read("sql", TableQuery().keys())["rows"]


def pandas(url: str) -> Any:
    """Read with pandas alone."""
    import pandas as pd
    import sqlalchemy

    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        return pd.read_sql(sqlalchemy.text(f"SELECT {', '.join(NAMES)} FROM rows"), connection)


def measured(read: Callable[[str], Any], url: str, out: Any) -> None:
    """Send seconds, and megabytes beyond those of the process before it has read."""
    import pandas as pd
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401

    pd.Series(["a"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = perf_counter()
    frame = read(url)
    seconds = perf_counter() - started
    assert frame.shape == (ROWS, COLUMNS)
    out.send((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def fresh(read: Callable[[str], Any], url: str) -> tuple[float, float]:
    """Measure in a process of its own, as memory that was once used would hide what is used."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=measured, args=(read, url, there))
    process.start()
    there.close()
    taken: tuple[float, float] = here.recv()
    process.join()
    return taken


def main() -> None:
    """Print the best of five, interleaved, and the ratios."""
    import psycopg

    print(f"{ROWS} rows of {COLUMNS} columns from PostgreSQL (best of {TURNS}, interleaved)")
    with postgres() as server:
        made = ", ".join(
            f"{KINDS[n % len(KINDS)].format(n=n + 1)} AS {name}" for n, name in enumerate(NAMES)
        )
        with psycopg.connect(server.admin) as connection:
            connection.execute(
                f"CREATE TABLE rows AS SELECT {made} FROM generate_series(1, {ROWS}) i"
            )
        url = server.admin.replace("postgres:@", "postgres@")
        taken: dict[str, list[tuple[float, float]]] = {"pandas.read_sql": [], "our source": []}
        for _ in range(TURNS):
            taken["pandas.read_sql"].append(fresh(pandas, url))
            taken["our source"].append(fresh(ours, server.url))
        best = {name: tuple(map(min, zip(*each, strict=True))) for name, each in taken.items()}
        for name, (seconds, memory) in best.items():
            against = best["pandas.read_sql"]
            print(
                f"{name:16} {seconds:6.2f} s  {seconds / against[0]:5.2f} (at most 1.15)  "
                f"{memory:6.0f} MB  {memory / against[1]:5.2f} (at most 0.6)"
            )


if __name__ == "__main__":
    main()
