"""What a robot is: its MJCF and its named constants, and how it becomes a scene and a `RobotSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco

from policies.spec import RobotSpec


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
        """The robot as a policy knows it; ranges are read from the MJCF."""
        model = mujoco.MjModel.from_xml_path(str(self.mjcf))
        ranges = [model.joint(name).range for name in self.joints]
        return RobotSpec(
            name=self.name,
            joint_names=self.joints,
            default_pose=self.default_pose,
            kp=self.kp,
            kd=self.kd,
            effort_limit=self.effort_limit,
            velocity_limit=self.velocity_limit,
            position_lower=tuple(float(low) for low, _ in ranges),
            position_upper=tuple(float(high) for _, high in ranges),
            floating_base=self.floating_base,
            imu_frame=self.imu_site,
            max_tilt=self.max_tilt,
        )
