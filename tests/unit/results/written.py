"""All that a run has written and said, searched for numbers."""

import base64
import re
import struct


def is_in(number, text):
    """Tell whether a number is there: as text to four digits, or as TensorBoard stores it."""
    alone = rf"(?<![\w.+/-]){number:.0f}(?:\.\d+)?(?![\w+/])".encode()  # in no hash, no base64
    return re.search(alone, text) is not None or struct.pack("<f", number) in text


def everything(folder):
    """Return all that is in a folder's files, with the pictures in a report unpacked."""
    found = b""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        *texts, pictures = content, re.findall(rb"svg\+xml;base64,([A-Za-z0-9+/=]+)", content)
        texts += [re.sub(rb' d="[^"]*"', b"", base64.b64decode(each)) for each in pictures]
        found += b"\n".join(texts)
    return found
