"""Reading a node's data from an object store: our source against obstore called directly."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import obstore

sys.path.insert(0, str(Path(__file__).parents[1]))

from s3_server import KEY, SECRET, rclone

from flame_flwr.data.s3_source import WORKERS, S3Source
from flame_flwr.s3.access import Access
from flame_flwr.s3.connect import open_s3
from flame_flwr.s3.patience import LONG

OBJECTS, SIZE = 500, 10**6


def ours(access: Access) -> dict[str, bytes]:
    """List and read through a source, as a node without a cache does."""
    return S3Source("s3://bucket", "source", access).read("s3", [])


def direct(access: Access) -> dict[str, bytes]:
    """List and read with obstore alone, as many at a time."""
    store = open_s3("bucket", "", access, LONG)
    keys = [entry["path"] for entry in obstore.list(store).collect()]

    async def read(key: str, turn: asyncio.Semaphore) -> bytes:
        async with turn:
            return bytes(await (await obstore.get_async(store, key)).bytes_async())

    async def read_all() -> list[bytes]:
        turn = asyncio.Semaphore(WORKERS)
        return await asyncio.gather(*(read(key, turn) for key in keys))

    return dict(zip(keys, asyncio.run(read_all()), strict=True))


def main() -> None:
    """Print the best of seven, interleaved, and the ratio."""
    print(
        f"{OBJECTS} objects of {SIZE / 1e6:g} MB from rclone's S3 server (best of 7, interleaved)"
    )
    with tempfile.TemporaryDirectory() as folder, rclone(Path(folder) / "store") as server:
        for number in range(OBJECTS):
            (server.bucket / f"{number:03}").write_bytes(os.urandom(SIZE))
        access = Access(server.environment["AWS_ENDPOINT_URL"], KEY, SECRET)
        times: dict[str, list[float]] = {"obstore alone": [], "our source": []}
        for _ in range(8):
            for name, read in (("obstore alone", direct), ("our source", ours)):
                started = perf_counter()
                assert sum(map(len, read(access).values())) == OBJECTS * SIZE
                times[name].append(perf_counter() - started)
        best = {name: min(taken[1:]) for name, taken in times.items()}
        for name, seconds in best.items():
            ratio = seconds / best["obstore alone"]
            print(f"{name:14} {seconds:6.2f} s  {ratio:5.2f} (at most 1.15)")


if __name__ == "__main__":
    main()
