"""How widgets tell the page what people want. Callbacks run in the server's threads; one thread alone changes the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

Do = Callable[[Callable[[], None]], None]
"""Has something done by the thread that owns the page."""


def when_changed(widget: Any, do: Do, action: Callable[[], None]) -> None:
    """Have `action` done when somebody changes a widget, but not when the page itself does."""

    def changed(event: viser.GuiEvent) -> None:
        if event.client_id is not None:
            do(action)

    widget.on_update(changed)
