"""The figures of a gait in the order of reports, with their units; shares are stored as 0 to 1 and shown in percent."""

from __future__ import annotations

_TRUNK = {f"{angle}{part}": "°" for angle in ("pitch", "roll") for part in ("", "_range", "_low", "_high", "_min", "_max")}
_EDGES = {f"{edge}_{part}": "°" for edge in ("start", "stop") for part in ("low", "high", "roll")}
_LEGS = {"knee": "°", "knee_stance": "°", "knee_swing": "°", "sag": "m", "head_motion": "m", "arm_swing": "°"}
_FEET = {"slip": "m/s", "slip_median": "m/s", "slip_sole": "m/s", "touchdown": "m/s", "touchdown_most": "m/s", "clearance": "m"}
_STEPS = {"step_length": "m", "cadence": "1/min", "swing_time": "s", "double_support": "%", "flight": "%", "asymmetry": "%"}
_STILL = {"steps_a_minute": "1/min", "steps_after_stop": "1/min"}
_EFFORT = {"jerk": "rad/s³", "torque_rms": "", "power": "W", "cost_of_transport": ""}
_FOLLOWING = {"survival": "%", "speed": "m/s", "turning": "rad/s", "velocity_error_xy": "m/s", "velocity_error_yaw": "rad/s",
              "turning_off": "rad/s", "turning_sway": "rad/s"}  # fmt: skip

GROUPS = {
    "Following the command": tuple(_FOLLOWING),
    "Trunk": tuple(_TRUNK),
    "Starts and stops": (*_EDGES, *_STILL),
    "Legs and arms": tuple(_LEGS),
    "Feet": tuple(_FEET),
    "Steps": tuple(_STEPS),
    "Effort": tuple(_EFFORT),
}
"""The groups of figures."""
UNITS = _FOLLOWING | _TRUNK | _EDGES | _STILL | _LEGS | _FEET | _STEPS | _EFFORT
BESIDE = ("speed", "pitch", "pitch_range", "roll_range", "knee", "knee_swing", "step_length", "cadence", "double_support", "arm_swing",
          "clearance", "slip", "head_motion", "jerk")  # fmt: skip
"""The figures that are compared with recorded people."""
