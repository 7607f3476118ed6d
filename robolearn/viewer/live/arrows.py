"""Command and measurement, drawn over the robot: arrows for the velocity with an arc for turning, or a goal and the tool."""

from __future__ import annotations

import numpy as np
import viser

from robolearn.viewer.moment import Moment

GREEN, BLUE, ORANGE = (0, 108, 40), (0, 52, 190), (214, 92, 0)
"""Colours of the command, the measurement, and a goal not reached; darker than they look in the page's light."""
SHARE = 0.5  # length of an arrow for 1 m/s, as a share of the robot's size
TURN = 0.5  # radius of the arc, as a share of that length
LEAST = 0.05  # m/s or rad/s; smaller values are not drawn
MOST_RAD = 2.5  # rad of the arc; it is 1 rad for 1 rad/s
POINTS = 13
SHAFT, HEAD, HEAD_LENGTH, TIP_SHAFT, TIP_HEAD, TIP_LENGTH, APART = 0.02, 0.05, 0.12, 0.012, 0.04, 0.1, 0.14
"""As shares of the arrow's length for 1 m/s: thickness of arrows and of the arc's head, and distance of the measured arrow below the
command's."""


def length_for(size: float) -> float:
    """Length of an arrow for 1 m/s for a robot's size, rounded [m]."""
    return max(round(SHARE * size, 1), 0.1)


def speed_arrow(velocity: np.ndarray, yaw: float, start: np.ndarray, length: float) -> np.ndarray:
    """Ends (2, 3) of the arrow of a velocity (2,) in the frame of a heading, `length` for 1 m/s [m/s, rad, m]."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    return np.stack([start, start + length * np.append(turn @ velocity, 0.0)])


def turn_arc(rate: float, yaw: float, start: np.ndarray, length: float) -> np.ndarray:
    """Points (POINTS, 3) of the arc of a yaw rate, from the heading to the side of the turn [rad/s, rad, m]."""
    angles = yaw + np.linspace(0.0, np.clip(rate, -MOST_RAD, MOST_RAD), POINTS)
    return start + TURN * length * np.stack([np.cos(angles), np.sin(angles), np.zeros(POINTS)], axis=1)


class _Velocity:
    """The arrow and the arc of one velocity."""

    def __init__(self, server: viser.ViserServer, name: str, color: tuple[int, int, int], length: float) -> None:
        self._length = length
        none, lines = np.zeros((1, 2, 3), np.float32), np.zeros((POINTS - 2, 2, 3), np.float32)
        add = server.scene.add_arrows
        self._arrow = add(
            f"/shown/{name}/speed", none, color, shaft_radius=SHAFT * length, head_radius=HEAD * length, head_length=HEAD_LENGTH * length
        )
        self._arc = server.scene.add_line_segments(f"/shown/{name}/turn", lines, color, thickness=4.0, thickness_units="screen")
        self._tip = add(
            f"/shown/{name}/tip",
            none,
            color,
            shaft_radius=TIP_SHAFT * length,
            head_radius=TIP_HEAD * length,
            head_length=TIP_LENGTH * length,
        )

    def show(self, velocity: np.ndarray, yaw: float, start: np.ndarray, visible: bool) -> None:
        """Draw (vx, vy, yaw rate) at a place; nothing if it is not finite."""
        speeds = bool(visible and np.linalg.norm(velocity[:2]) > LEAST)
        turns = bool(visible and abs(velocity[2]) > LEAST)
        if speeds:
            self._arrow.points = speed_arrow(velocity[:2], yaw, start, self._length)[None].astype(np.float32)
        if turns:
            arc = turn_arc(float(velocity[2]), yaw, start, self._length).astype(np.float32)
            self._arc.points = np.stack([arc[:-2], arc[1:-1]], axis=1)
            ahead = (arc[-1] - arc[-2]) / max(float(np.linalg.norm(arc[-1] - arc[-2])), 1e-9)
            self._tip.points = np.stack([arc[-2], arc[-2] + TIP_LENGTH * self._length * ahead])[None].astype(np.float32)
        self._arrow.visible = speeds
        self._arc.visible = self._tip.visible = turns


class Arrows:
    """The drawing for commands that are velocities or goals; nothing for others."""

    def __init__(self, server: viser.ViserServer, kind: str, over: float, length: float) -> None:
        """Add the objects for a kind of command, see `CommandSpec`.

        Args:
            server: of the page.
            kind: kind of the command.
            over: height of the arrows above the base [m].
            length: length of an arrow for 1 m/s [m].
        """
        self.visible = True
        self._walks, self._goals = kind == "velocity", kind.startswith("goal")
        self._over, self._apart = np.array([0.0, 0.0, over]), np.array([0.0, 0.0, APART * length])
        if self._walks:
            self._asked, self._measured = _Velocity(server, "asked", GREEN, length), _Velocity(server, "measured", BLUE, length)
        if self._goals:
            self._goal = server.scene.add_icosphere("/shown/goal", radius=0.03, color=ORANGE, opacity=0.75)
            self._tool = server.scene.add_icosphere("/shown/tool", radius=0.012, color=BLUE)
            self._way = server.scene.add_line_segments(
                "/shown/way", np.zeros((1, 2, 3), np.float32), BLUE, thickness=3.0, thickness_units="screen"
            )

    def show(self, moment: Moment, base: np.ndarray, yaw: float) -> None:
        """Draw a moment of a robot whose base stands at (3,) in the scene, with a heading [m, rad]."""
        asked, measured = np.array(moment.command), np.array(moment.measured)
        if self._walks:
            self._asked.show(asked, yaw, base + self._over + self._apart, self.visible)
            self._measured.show(measured, yaw, base + self._over, self.visible)
        if self._goals:
            goal, tool = asked[:3].astype(np.float32), measured[:3].astype(np.float32)
            self._goal.position, self._goal.color = goal, GREEN if moment.reached else ORANGE
            self._goal.visible = self.visible
            self._tool.visible = self._way.visible = bool(self.visible and np.isfinite(tool).all())
            if self._tool.visible:
                self._tool.position = tool
                self._way.points = np.stack([tool, goal])[None]
