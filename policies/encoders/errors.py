"""The error of everything that reads or writes encoders."""

from __future__ import annotations

from policies.errors import UserError


class EncoderError(UserError):
    """A file that is missing, holds no encoder, or one that does not fit; the message says what is valid."""
