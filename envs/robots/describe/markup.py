"""Reads XML from any source (odd encodings, CRLF, undeclared prefixes), and numbers in attributes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import mujoco
import numpy as np

from envs.robots.describe.notes import Log
from envs.robots.errors import RobotError

MUJOCO_ERRORS = (ValueError, RuntimeError, mujoco.FatalError)
"""Errors that MuJoCo raises for a model that it cannot read or compile."""


def parse(path: Path, log: Log) -> ET.Element:
    """The root element of an XML file, without comments.

    Raises:
        RobotError: the file is missing, or not text or XML; one line that names the place.
    """
    text = _text(path, log)
    if text.strip() and not text.lstrip().startswith("<"):
        raise RobotError(f"{path}: not an XML file; give an MJCF (<mujoco>) or URDF (<robot>) file")
    if re.search(r"<!ENTITY", text):
        raise RobotError(f"{path}: it defines XML entities, which are not supported: replace them by their text")
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        line, column = error.position
        reason = str(error).partition(":")[0]
        if "unbound prefix" in reason:
            prefix = re.search(r"<\s*([A-Za-z_][\w.-]*):", text.splitlines()[line - 1])
            if prefix and prefix[1] == "xacro":
                raise RobotError(xacro_message(path)) from None
            reason = f"prefix {prefix[1] if prefix else ''!r} is not declared (an attribute xmlns:... of the root element)"
        if "no element found" in reason and not text.strip():
            raise RobotError(f"{path}: the file is empty; give an MJCF (<mujoco>) or URDF (<robot>) file") from None
        raise RobotError(f"{path}, line {line}, column {column + 1}: not valid XML ({reason}); fix that line") from None


def _text(path: Path, log: Log) -> str:
    try:
        raw = path.read_bytes()
    except IsADirectoryError:
        raise RobotError(f"{path} is a folder: give the MJCF or URDF file inside it{_models_inside(path)}") from None
    except OSError as error:
        raise RobotError(f"{path}: cannot be read ({error.strerror or error}); give the path of an MJCF or URDF file") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", errors="replace")
    elif b"\0" in raw[:4096]:
        raise RobotError(f"{path}: not a text file; give an MJCF (<mujoco>) or URDF (<robot>) file")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
            log.mended(f"{path.name} is not UTF-8: read as Latin-1", "save it as UTF-8")
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # its encoding has been handled, and text before it does not matter
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)


def _models_inside(folder: Path) -> str:
    found = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in (".urdf", ".xml", ".mjcf"))[:8]
    return f" ({', '.join(found)})" if found else ""


def xacro_message(path: Path) -> str:
    """What to type for a xacro file."""
    out = path.name.removesuffix(".xacro").removesuffix(".urdf") + ".urdf"
    return f"{path}: this is a xacro file; make a URDF from it first with `xacro {path} > {path.with_name(out)}`, and give that file"


def numbers(text: str | None, count: int | None = None) -> np.ndarray | None:
    """The numbers of an attribute; None if it is missing, does not have `count` numbers, or has something that is not a finite number."""
    if text is None:
        return None
    try:
        values = np.array([float(part) for part in text.replace(",", " ").split()])
    except ValueError:
        return None
    if not np.isfinite(values).all() or (count is not None and values.size != count):
        return None
    return values


def number(text: str | None) -> float | None:
    """The one number of an attribute, or None as for `numbers`."""
    values = numbers(text, 1)
    return None if values is None else float(values[0])


def written(values: Iterable[float]) -> str:
    """Numbers as an attribute that gives the same doubles when read."""
    return " ".join("0" if value == 0 else repr(float(value)).removesuffix(".0") for value in values)


def unique(name: str, taken: set[str]) -> str:
    """`name`, with a number added if it is taken; the result is then marked as taken."""
    found, count = name, 2
    while found in taken:
        found, count = f"{name}_{count}", count + 1
    taken.add(found)
    return found
