"""What all pages in the browser share: a server of viser on this computer only, and MuJoCo's scene in it."""

from __future__ import annotations

import logging

import mujoco
import viser
from mjviser import ViserMujocoScene

from policies.files import reason
from robolearn.errors import UserError

HOST = "127.0.0.1"
FOLLOWING, STANDING = ((1.2, -1.4, 0.7), (0.0, 0.0, 0.0)), ((1.5, -1.3, 1.0), (0.25, 0.0, 0.35))
"""Where the camera is and what it looks at [m]: relative to the base that it follows, and in a scene that stands."""


def open_server(label: str, port: int) -> viser.ViserServer:
    """A server for this computer alone.

    Args:
        label: title of the page.
        port: first port tried; the next free one is taken if it is not free.

    Raises:
        UserError: no port can be had.
    """
    # browsers open connections that they do not use, and each would be told as an error with a traceback
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    try:
        return viser.ViserServer(host=HOST, port=port, label=f"robolearn: {label}", verbose=False)
    except (OSError, OverflowError, RuntimeError) as error:
        raise UserError(f"cannot serve on port {port} of {HOST}: {reason(error)}") from error


def url_of(server: viser.ViserServer) -> str:
    """Where to point the browser."""
    return f"http://localhost:{server.get_port()}"


def add_scene(server: viser.ViserServer, model: mujoco.MjModel, follow: bool) -> ViserMujocoScene:
    """Everything of a model but its sites; the camera follows the first body that moves, or stands."""
    server.scene.set_up_direction("+z")
    scene = ViserMujocoScene(server, model, num_envs=1)
    scene.geom_groups_visible = [True] * 6
    scene.site_groups_visible = [False] * 6
    scene.camera_tracking_enabled = follow
    scene._sync_visibilities()
    server.initial_camera.position, server.initial_camera.look_at = FOLLOWING if follow else STANDING
    return scene
