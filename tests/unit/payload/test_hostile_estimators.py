"""Forged skops files give a PayloadError before skops sees them."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest

from flame_flwr.payload import npy_bytes

from .forging import GOOD, forged, npy, refused, wire


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members.items():
            writer.writestr(name, content)
    return file.getvalue()


def node(file: str) -> dict[str, object]:
    return {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": file,
    }


def schema(*files: str) -> bytes:
    content = {
        "__class__": "list",
        "__module__": "builtins",
        "__loader__": "ListNode",
        "content": [node(file) for file in files],
        "protocol": 2,
        "_skops_version": "0.16.0",
    }
    return json.dumps(content).encode()


HUGE = npy(GOOD.replace("1,", f"{2 * 10**9},"), b"\0" * 8)
ZEROS = npy_bytes(np.zeros(50_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive({"schema.json": schema("a.npy"), "a.npy": HUGE}), "does not fit its bytes"),
        (archive({"schema.json": schema("a.bin"), "a.bin": HUGE}), "does not fit its bytes"),
        (
            archive({"schema.json": schema("a.npy"), "a.npy": ZEROS}, zipfile.ZIP_DEFLATED),
            "a compressed member",
        ),
        (
            archive({"schema.json": schema("a.npy"), "a.npy": archive({"x.npy": HUGE})}),
            "an archive in the archive",
        ),
        (
            archive({"schema.json": schema(*["a.npy"] * 300), "a.npy": ZEROS}),
            "read again and again",
        ),
        (archive({"schema.json": b"[" * 100_000}), "recursion"),
        (archive({"other.json": b"{}"}), "schema.json"),
        (archive({"schema.json": schema("missing.npy")}), "missing.npy"),
        (
            archive({"schema.json": schema().replace(b"builtins", b"subprocess")}),
            "Untrusted types",
        ),
        (b"no archive", "not a zip file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_forged_skops_files(data, reason):
    assert reason in refused(forged([wire.ESTIMATOR, data])).detail


@pytest.mark.parametrize("loader", ["TreeNode", "SparseMatrixNode", "OperatorFuncNode", "New"])
def test_loaders_of_another_type_are_refused(loader):
    data = archive({"schema.json": schema().replace(b"ListNode", loader.encode())})
    assert refused(forged([wire.ESTIMATOR, data])).detail == "Untrusted types: builtins.list"


@pytest.mark.parametrize("part", ["__class__", "__module__", "__loader__"])
def test_a_skops_node_without_type_is_refused(part):
    data = archive({"schema.json": schema().replace(f'"{part}"'.encode(), b'"other"')})
    assert "a node without a type" in refused(forged([wire.ESTIMATOR, data])).detail


def test_two_members_of_one_name():
    data = archive({"schema.json": schema(), "schema.jsoN": schema()})

    detail = refused(forged([wire.ESTIMATOR, data.replace(b".jsoN", b".json")])).detail
    assert detail == "two members of one name"


def test_a_skops_file_whose_members_overlap():
    data = bytearray(archive({"schema.json": schema("a.npy"), "a.npy": ZEROS, "b.npy": b""}))
    entry = data.rindex(b"PK\x01\x02")
    first = data.index(b"PK\x03\x04", 30)
    # the directory's last entry now describes the first array too
    struct.pack_into("<II", data, entry + 20, len(ZEROS), len(ZEROS))
    struct.pack_into("<I", data, entry + 42, first)

    detail = refused(forged([wire.ESTIMATOR, bytes(data)])).detail
    assert detail == "members larger than the file"
