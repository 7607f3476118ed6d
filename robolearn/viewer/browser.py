"""Shared by all pages in the browser: a viser server on this computer only, with MuJoCo's scene."""

from __future__ import annotations

import logging
import sys

import mujoco
import viser
from mjviser import ViserMujocoScene

from policies.files import reason
from robolearn.errors import UserError
from robolearn.viewer.camera import look, view_of
from robolearn.viewer.ground import add_ground, hide_maps
from robolearn.viewer.sky import add_sky

HOST = "127.0.0.1"


def open_server(label: str, port: int) -> viser.ViserServer:
    """Start a server that only this computer can reach.

    Args:
        label: title of the page.
        port: first port tried; if it is taken, the next free one is used, and a note says so.

    Raises:
        UserError: no port is free.
    """
    # browsers open connections that they do not use, and each would be logged as an error with a traceback
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    try:
        server = viser.ViserServer(host=HOST, port=port, label=f"robolearn: {label}", verbose=False)
    except (OSError, OverflowError, RuntimeError) as error:
        raise UserError(f"cannot serve on port {port} of {HOST}: {reason(error)}") from error
    if port and server.get_port() != port:
        print(f"note: port {port} is taken by another program; this page is at port {server.get_port()}", file=sys.stderr, flush=True)
    return server


def url_of(server: viser.ViserServer) -> str:
    """The URL to open in the browser."""
    return f"http://localhost:{server.get_port()}"


def add_scene(server: viser.ViserServer, model: mujoco.MjModel, follow: bool, move: bool = True) -> ViserMujocoScene:
    """Show all of a model except its sites, on a ground and under a sky.

    Args:
        server: of the page.
        model: the model to show; its height fields become invisible to mjviser.
        follow: whether the camera follows the first body that moves, or stands still.
        move: whether to move the cameras of open pages to see the robot.
    """
    server.scene.set_up_direction("+z")
    hide_maps(model)
    scene = ViserMujocoScene(server, model, num_envs=1)
    scene.geom_groups_visible = [True] * 6
    scene.site_groups_visible = [False] * 6
    scene.camera_tracking_enabled = follow
    scene._sync_visibilities()
    add_ground(server, model)
    add_sky(server)
    look(server, *view_of(model, followed(model) if follow else None), move)
    return scene


def followed(model: mujoco.MjModel) -> int | None:
    """The body that a camera follows: the first one that moves."""
    return next((body for body in range(model.nbody) if model.body_weldid[body] > 0), None)
