"""Passes requests from widgets to the page. Callbacks run in the server's threads, but only one thread changes the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

Do = Callable[[Callable[[], None]], None]
"""Runs an action in the thread that owns the page."""


def when_changed(widget: Any, do: Do, action: Callable[[Any], None]) -> None:
    """Run `action` with a widget's new value when the user changes it, but not when the page itself does.

    The value is taken at the change, since the page may overwrite it in the widget meanwhile.
    """

    def changed(event: viser.GuiEvent[Any]) -> None:
        if event.client_id is not None:
            value = event.target.value
            do(lambda: action(value))

    widget.on_update(changed)
