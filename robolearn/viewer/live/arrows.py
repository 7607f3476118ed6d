"""What is asked and what is measured, drawn over the robot: arrows for the speed with an arc for turning, or a goal and the tool."""

from __future__ import annotations

import numpy as np
import viser

from robolearn.viewer.moment import Moment

GREEN, BLUE, ORANGE = (0, 108, 40), (0, 52, 190), (214, 92, 0)
"""Asked; measured; a goal that is not reached: darker than they look in the light of the page."""
ARROW_M = 0.4  # of arrow per m/s
TURN_M = 0.2  # radius of the arc
LEAST = 0.05  # m/s or rad/s; less is not drawn
MOST_RAD = 2.5  # of the arc, 1 rad for 1 rad/s
POINTS = 13
APART_M = 0.05  # the measured arrow lies so far below the asked one
TIP_M = 0.05  # of the arc: its head


def speed_arrow(velocity: np.ndarray, yaw: float, start: np.ndarray) -> np.ndarray:
    """Ends (2, 3) of the arrow of a velocity (2,) in the frame of a heading [m/s, rad, m]."""
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    return np.stack([start, start + ARROW_M * np.append(turn @ velocity, 0.0)])


def turn_arc(rate: float, yaw: float, start: np.ndarray) -> np.ndarray:
    """Points (POINTS, 3) of the arc of a yaw rate, from the heading on to the side to which it turns [rad/s, rad, m]."""
    angles = yaw + np.linspace(0.0, np.clip(rate, -MOST_RAD, MOST_RAD), POINTS)
    return start + TURN_M * np.stack([np.cos(angles), np.sin(angles), np.zeros(POINTS)], axis=1)


class _Velocity:
    """The arrow and the arc of one velocity."""

    def __init__(self, server: viser.ViserServer, name: str, color: tuple[int, int, int]) -> None:
        none, lines = np.zeros((1, 2, 3), np.float32), np.zeros((POINTS - 2, 2, 3), np.float32)
        add = server.scene.add_arrows
        self._arrow = add(f"/shown/{name}/speed", none, color, shaft_radius=0.011, head_radius=0.03, head_length=0.07)
        self._arc = server.scene.add_line_segments(f"/shown/{name}/turn", lines, color, thickness=4.0, thickness_units="screen")
        self._tip = add(f"/shown/{name}/tip", none, color, shaft_radius=0.006, head_radius=0.026, head_length=TIP_M)

    def show(self, velocity: np.ndarray, yaw: float, start: np.ndarray, visible: bool) -> None:
        """Draw (vx, vy, yaw rate) at a place; what is not finite is not drawn."""
        speeds = bool(visible and np.linalg.norm(velocity[:2]) > LEAST)
        turns = bool(visible and abs(velocity[2]) > LEAST)
        if speeds:
            self._arrow.points = speed_arrow(velocity[:2], yaw, start)[None].astype(np.float32)
        if turns:
            arc = turn_arc(float(velocity[2]), yaw, start).astype(np.float32)
            self._arc.points = np.stack([arc[:-2], arc[1:-1]], axis=1)
            ahead = (arc[-1] - arc[-2]) / max(float(np.linalg.norm(arc[-1] - arc[-2])), 1e-9)
            self._tip.points = np.stack([arc[-2], arc[-2] + TIP_M * ahead])[None].astype(np.float32)
        self._arrow.visible = speeds
        self._arc.visible = self._tip.visible = turns


class Arrows:
    """What is drawn for commands that are velocities or goals; nothing for others."""

    def __init__(self, server: viser.ViserServer, kind: str, over: float) -> None:
        """Add what a kind of command needs, see `CommandSpec`.

        Args:
            server: of the page.
            kind: of the command.
            over: how far above the base arrows lie [m].
        """
        self.visible = True
        self._walks, self._goals = kind == "velocity", kind.startswith("goal")
        self._over = np.array([0.0, 0.0, over])
        if self._walks:
            self._asked, self._measured = _Velocity(server, "asked", GREEN), _Velocity(server, "measured", BLUE)
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
            self._asked.show(asked, yaw, base + self._over, self.visible)
            self._measured.show(measured, yaw, base + self._over - [0.0, 0.0, APART_M], self.visible)
        if self._goals:
            goal, tool = asked[:3].astype(np.float32), measured[:3].astype(np.float32)
            self._goal.position, self._goal.color = goal, GREEN if moment.reached else ORANGE
            self._goal.visible = self.visible
            self._tool.visible = self._way.visible = bool(self.visible and np.isfinite(tool).all())
            if self._tool.visible:
                self._tool.position = tool
                self._way.points = np.stack([tool, goal])[None]
