"""Tests of data end programs, not computers."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk, which takes most of the time on a busy machine; what is written outlives a process all the same."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
