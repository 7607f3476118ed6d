"""How widgets tell the page what people want. Callbacks run in the server's threads; one thread alone changes the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

Do = Callable[[Callable[[], None]], None]
"""Has something done by the thread that owns the page."""


def when_changed(widget: Any, do: Do, action: Callable[[Any], None]) -> None:
    """Have `action` done with a widget's new value when somebody changes it, but not when the page itself does.

    The value is that of the change: what the page does meanwhile may write over it in the widget.
    """

    def changed(event: viser.GuiEvent[Any]) -> None:
        if event.client_id is not None:
            value = event.target.value
            do(lambda: action(value))

    widget.on_update(changed)
