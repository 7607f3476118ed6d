"""What a message tells to type next, where a log or a policy cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.control.controller import Controller
from bridge.logs.writer import LogError, LogWriter
from policies.contract.file import PolicyFile, PolicyFileError
from tests.make_policy import make_policy


def test_a_log_that_cannot_be_written_names_the_ways_out(tmp_path: Path) -> None:
    controller = Controller(PolicyFile(make_policy(tmp_path / "linear.onnx")))
    (tmp_path / "file").write_text("")
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    places = [tmp_path / "file" / "run.mcap"] + ([] if os.geteuid() == 0 else [closed / "logs" / "run.mcap"])
    for path in places:
        with pytest.raises(LogError, match=r"--log PATH.*--no-log"):
            LogWriter(path, controller, transport="test", auto_start=False)


def test_a_pointer_of_lfs_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "walk.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    with pytest.raises(PolicyFileError, match="git lfs pull"):
        PolicyFile(path)


INSTEAD: dict[str, tuple[bytes, str]] = {
    "pointer with Windows' ends": (
        b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\r\noid sha256:0\r\nsize 12\r\n",
        "git lfs pull",
    ),
    "git-annex": (b"/annex/objects/SHA256E-s12--ab.onnx\n", "git annex get"),
    "page": (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>", "a web page"),
    "page after blanks": (b"\n\n <HTML lang=en><body>404</body></HTML>", "a web page"),
    "answer": (b'{"message": "Not Found"}', "JSON in place"),
    "words": (b"404: Not Found", "a text in place"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00", "robolearn export"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", "gunzip"),
    "pickle": (b"\x80\x02}q\x00.", "robolearn export"),
    "nothing": (b"", "empty"),
    "zeros": (bytes(4096), "full of zeros"),
}


@pytest.mark.parametrize(("data", "words"), INSTEAD.values(), ids=INSTEAD)
def test_what_lies_in_place_of_a_policy_is_called_by_its_name(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "walk.onnx"
    path.write_bytes(data)
    with pytest.raises(PolicyFileError, match=words):
        PolicyFile(path)


def test_a_policy_that_is_cut_off_may_be_copied_again(tmp_path: Path) -> None:
    path = make_policy(tmp_path / "linear.onnx")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PolicyFileError, match=r"copy it again|metadata"):
        PolicyFile(path)


def test_a_path_that_is_no_file_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to("nowhere.onnx")
    (tmp_path / "annexed.onnx").symlink_to(".git/annex/objects/ab/x.onnx")
    (tmp_path / "folder").mkdir()
    make_policy(tmp_path / "folder" / "walk.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    for name, words in {
        "link.onnx": "only a link to nowhere.onnx",
        "annexed.onnx": "git annex get",
        "folder": "a folder with walk.onnx",
        "pipe.onnx": "no regular file",
    }.items():
        with pytest.raises(PolicyFileError, match=f"no policy file at .*{words}"):
            PolicyFile(tmp_path / name)
