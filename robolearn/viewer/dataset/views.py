"""The pictures of cameras on the page, side by side at the same time."""

from __future__ import annotations

import numpy as np
import viser

from robolearn.data.columns import mark_of
from robolearn.viewer.dataset.catalog import Shown
from robolearn.viewer.dataset.pictures import WIDTH, Cameras
from robolearn.viewer.dataset.state import Side, State

_GREY = 210


class Views:
    """A picture for each camera of each episode."""

    def __init__(self, gui: viser.GuiApi, state: State) -> None:
        """Add their place at the current place of the page."""
        self._gui, self._state = gui, state
        self._folder = gui.add_folder("Cameras", visible=False)
        self._cameras: dict[Side, tuple[Shown, Cameras]] = {}
        self._images: dict[tuple[Side, str], viser.GuiImageHandle] = {}
        self._seen: dict[tuple[Side, str], int] = {}

    def enter(self) -> None:
        """Update for other episodes."""
        for side, (shown, cameras) in list(self._cameras.items()):
            if self._state.shown.get(side) is not shown:
                cameras.stop()
                del self._cameras[side]
        for side, shown in self._state.shown.items():
            if side not in self._cameras:
                self._cameras[side] = (
                    shown,
                    Cameras({name: video for name, video in shown.entry.row.videos.items() if _known(shown, name).any()}, len(shown)),
                )
        for image in self._images.values():
            image.remove()
        self._seen = {}
        with self._folder:
            self._images = {
                (side, name): self._gui.add_image(_blank(shown, name), label=f"{side}: {name}", format="jpeg")
                for side, (shown, cameras) in sorted(self._cameras.items(), key=lambda item: item[0])
                for name in cameras.pictures
            }
        self._folder.visible = bool(self._images)

    def update(self) -> None:
        """Show the current pictures; grey if there is none, or not yet."""
        for (side, name), image in self._images.items():
            shown, cameras = self._cameras[side]
            row = shown.row_at(self._state.clock.at_s)
            picture = cameras.pictures[name].at(row) if _known(shown, name)[row] else None
            place = row if picture is not None else -1
            if self._seen.get((side, name)) != place:
                self._seen[side, name] = place
                image.image = _blank(shown, name) if picture is None else picture

    def stop(self) -> None:
        """Stop decoding."""
        for _, cameras in self._cameras.values():
            cameras.stop()


def _known(shown: Shown, camera: str) -> np.ndarray:
    """Rows with a picture, (T,) bool."""
    mark = shown.columns.get(mark_of(camera))
    return np.ones(len(shown), dtype=bool) if mark is None else mark


def _blank(shown: Shown, camera: str) -> np.ndarray:
    """A grey picture of the size of the camera's pictures on the page."""
    height, width = next((column.row_shape[:2] for column in shown.layout if column.name == camera), (240, 320))
    factor = min(1.0, WIDTH / width)
    return np.full((max(1, round(height * factor)), max(1, round(width * factor)), 3), _GREY, np.uint8)
