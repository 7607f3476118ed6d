"""Names a file that is no policy file by its first bytes, and says what to type next. Needs only the standard library."""

from __future__ import annotations

import os
from pathlib import Path

_HEAD = 512
_PAGE = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<body")
_PACKED = {
    b"PK\x03\x04": "a zip archive (or a checkpoint of PyTorch): unpack it, or export the run: robolearn export",
    b"\x1f\x8b": "packed by gzip: unpack it (gunzip)",
    b"BZh": "packed by bzip2: unpack it (bunzip2)",
    b"\xfd7zXZ\x00": "packed by xz: unpack it (unxz)",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it (unzstd)",
    b"\x80\x02": "a pickle, as checkpoints of PyTorch are: export the run: robolearn export",
    b"\x89HDF": "an HDF5 file",
    b"\x7fELF": "a program",
    b"TFL3": "a model of TensorFlow Lite",
}


def found_instead(data: bytes) -> str:
    """Say what these bytes are if they are known not to be an ONNX file; otherwise an empty string. Continues "FILE is ..."."""
    if not data:
        return "empty: copy or download it again"
    head = data[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"version https://git-lfs."):
        return "a pointer of Git LFS in place of the file; run: git lfs pull (in the repository it is of)"
    if len(data) < _HEAD and b"annex/objects/" in head:
        return "a pointer of git-annex in place of the file; run: git annex get (in the repository it is of)"
    if head.lower().startswith(_PAGE):
        return "a web page in place of the file: download the file itself (a page often stands for a login, or for a view of the file)"
    if head.startswith((b"{", b"[")) and _is_text(head):
        return "JSON in place of the file: download the file itself (it may be a server's error)"
    for magic, words in _PACKED.items():
        if data.startswith(magic):
            return words
    if not data.strip(b"\0"):
        return "full of zeros: it was not written to its end; copy or download it again"
    return "a text in place of the file" if _is_text(head) else ""


def missing(path: Path) -> str:
    """Say why there is no file at a path. Begins with a separator; empty if the reason is unknown."""
    if path.is_dir():
        inside = sorted(item.name for item in path.glob("*.onnx"))
        return ", that is a folder" + (f" with {', '.join(inside[:5])}: give one of these" if inside else "")
    if path.is_symlink():
        target = os.readlink(path)
        annexed = ": run git annex get" if "annex/objects" in target else ""
        return f", only a link to {target}, which is not there{annexed}"
    return ", that is no regular file" if path.exists() else ""


def _is_text(head: bytes) -> bool:
    try:
        head.decode("ascii")
    except UnicodeDecodeError:
        return False
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in head)
