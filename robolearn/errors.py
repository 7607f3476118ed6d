"""Errors that the user can fix: the command line prints their message in one line and exits with 2, without a traceback."""

from __future__ import annotations

from policies.errors import ConfigError, UserError, nearest, suggestion
from policies.install import install_command

__all__ = ["EXTRA_OF_MODULE", "ConfigError", "MissingExtraError", "UsageError", "UserError", "missing_extra", "nearest", "suggestion"]


class UsageError(UserError):
    """A command line that cannot be understood."""


class MissingExtraError(UserError):
    """A package that is not installed; the message names the extra that brings it."""


EXTRA_OF_MODULE = {
    **dict.fromkeys(("torch", "mujoco", "gymnasium", "onnx", "cv2", "tensorboard", "tqdm", "jinja2", "matplotlib"), "train"),
    **dict.fromkeys(("rclpy", "rosidl_runtime_py", "rpyutils", "sensor_msgs", "trajectory_msgs", "std_msgs", "std_srvs"), "ros"),
    **dict.fromkeys(("diagnostic_msgs", "geometry_msgs", "builtin_interfaces", "rcl_interfaces"), "ros"),
    **dict.fromkeys(("mujoco_warp", "warp"), "warp"),
    **dict.fromkeys(("pydrake",), "drake"),
    **dict.fromkeys(("stable_baselines3",), "sb3"),
    **dict.fromkeys(("viser", "mjviser"), "view"),
    **dict.fromkeys(("pyarrow", "av"), "data"),
    "ezc3d": "mocap",
    **dict.fromkeys(("pytest", "hypothesis"), "dev"),
}
"""Importable top-level module -> the extra of robolearn that installs it."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The user error for a failed import, or None if the module is not one of the optional ones (then it is a bug)."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    return MissingExtraError(f"this needs the package {module}, which is not installed; run: {install_command(extra)}")
