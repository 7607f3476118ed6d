"""What a robot is: its MJCF and its named constants, and how it becomes a scene and a `RobotSpec`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from policies.contract.spec import RobotSpec


class RobotError(ValueError):
    """A robot whose model is not what its constants say."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot's constants; tuples over joints are in policy order.

    Attributes:
        name: folder under `envs/robots`.
        mjcf: path of the model; its position actuators carry the joints' names and the gains below.
        joints: names of the controlled joints, in policy order (which is also the MJCF's order).
        default_pose: [rad].
        kp: [N m / rad].
        kd: [N m s / rad].
        effort_limit: [N m].
        velocity_limit: [rad/s].
        action_scale: [rad] a unit of action.
        base_body: the body that carries payloads and pushes.
        feet: names of the feet: geoms and sites `<foot>_foot`, sensors `<foot>_touch`, `<foot>_position`, `<foot>_velocity`, and
            `<foot>_upright` (the z axis of the foot in the world) where a foot has a sole.
        gait: when in the gait's cycle each foot leaves the ground, in turns.
        posture: how much of the posture reward each joint takes; empty for all alike.
        imu_site: site of the IMU, its axes parallel to the base's; None for a fixed base.
        end_effector_site: site at the tool of an arm, with a `framepos` sensor `end_effector_position`.
        stand_height: height of the base in the default pose [m]; None for a fixed base.
        max_tilt: largest tilt of the base in operation [rad].
    """

    name: str
    mjcf: Path
    joints: tuple[str, ...]
    default_pose: tuple[float, ...]
    kp: tuple[float, ...]
    kd: tuple[float, ...]
    effort_limit: tuple[float, ...]
    velocity_limit: tuple[float, ...]
    action_scale: tuple[float, ...]
    base_body: str
    feet: tuple[str, ...] = ()
    gait: tuple[float, ...] = ()
    posture: tuple[float, ...] = ()
    imu_site: str | None = None
    end_effector_site: str | None = None
    stand_height: float | None = None
    max_tilt: float = 1.0

    @property
    def floating_base(self) -> bool:
        return self.stand_height is not None

    def scene(self) -> mujoco.MjSpec:
        """The robot above an infinite floor named `floor`."""
        spec = mujoco.MjSpec.from_file(str(self.mjcf))
        plane = mujoco.mjtGeom.mjGEOM_PLANE
        spec.worldbody.add_geom(name="floor", type=plane, size=[0, 0, 1], contype=1, conaffinity=0, rgba=[0.82, 0.84, 0.86, 1])
        return spec

    def spec(self) -> RobotSpec:
        """The robot as a policy knows it; ranges are read from the MJCF, where a joint without limits has [0, 0].

        Raises:
            RobotError: the model has other joints or actuators than these constants say; names all of them.
        """
        model = mujoco.MjModel.from_xml_path(str(self.mjcf))
        if faults := _faults(self, model):
            raise RobotError(f"{self.mjcf} is not what the constants of robot {self.name} say: {'; '.join(faults)}")
        ranges = [_range(model, name) for name in self.joints]
        return RobotSpec(
            name=self.name,
            joint_names=self.joints,
            default_pose=self.default_pose,
            kp=self.kp,
            kd=self.kd,
            effort_limit=self.effort_limit,
            velocity_limit=self.velocity_limit,
            position_lower=tuple(low for low, _ in ranges),
            position_upper=tuple(high for _, high in ranges),
            floating_base=self.floating_base,
            imu_frame=self.imu_site,
            max_tilt=self.max_tilt,
        )


def _range(model: mujoco.MjModel, name: str) -> tuple[float, float]:
    """The range of a joint [rad], infinite where it is not limited."""
    joint = model.joint(name).id
    if not model.jnt_limited[joint]:
        return -math.inf, math.inf
    low, high = model.jnt_range[joint]
    return float(low), float(high)


def _faults(robot: Robot, model: mujoco.MjModel) -> list[str]:
    """What of a model training would take for what it is not: it writes targets to the actuators in policy order, and scales gains."""
    ids = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in robot.joints]
    if missing := [name for name, joint in zip(robot.joints, ids, strict=True) if joint < 0]:
        return [f"it lacks the joints {', '.join(missing)}"]
    on_joints = (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT).all()
    if not on_joints or model.actuator_trnid[:, 0].tolist() != ids:
        return [f"its {model.nu} actuators are not one on each joint, in the order of `joints`"]
    law = (model.actuator_gaintype == mujoco.mjtGain.mjGAIN_FIXED) & (model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE)
    law &= (model.actuator_dyntype == mujoco.mjtDyn.mjDYN_NONE) & (model.actuator_gear[:, 0] == 1)
    kp, kd = -model.actuator_biasprm[:, 1], -model.actuator_biasprm[:, 2]
    limits = np.where(model.actuator_forcelimited != 0, model.actuator_forcerange[:, 1], np.inf)  # without a limit the range is [0, 0]
    checks = {
        "position actuators of gear 1 (`<position>`)": law,
        "the gains kp": np.isclose(kp, robot.kp, rtol=1e-3) & np.isclose(model.actuator_gainprm[:, 0], robot.kp, rtol=1e-3),
        "the gains kd": np.isclose(kd, robot.kd, rtol=1e-3),
        "the effort limits (`forcerange`)": np.isclose(limits, robot.effort_limit, rtol=1e-3),
    }
    return [f"{', '.join(np.array(robot.joints)[~good])} lack {what}" for what, good in checks.items() if not np.asarray(good).all()]
