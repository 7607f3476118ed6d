"""An entry of a task's observations that is a camera: which one, how large its pictures are, how often they come, and what they show.

    observations:
      joint_position: {noise: 0.001}
      wrist_view: {camera: wrist, height: 64, width: 64, rate: 10, modality: rgb}

The entry's name is that of the group in the contract, and so of the input of the policy's graph.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from policies.contract.spec import ImageSpec, ObservationGroup

if TYPE_CHECKING:
    import mujoco

LARGEST = 4096
"""Pixels along a side."""
DTYPES = {"rgb": "uint8", "depth": "float32", "segmentation": "uint8"}


@dataclass(frozen=True, kw_only=True)
class CameraTerm:
    """What a camera gives the policy, in every world.

    Attributes:
        camera: name of the camera, of the robot's description or of the scene's model.
        height, width: of a picture [pixels].
        rate: pictures a second of each world [Hz], which must divide the control rate; 0 for one a control step.
        modality: `rgb` (uint8), `depth` (distance along the optical axis [m], float32, 0 where nothing was measured) or `segmentation`
            (uint8, labels whose names stand in the contract).
        near, far: depths that the camera measures [m]; what is nearer or further has depth 0. For the other modalities without effect.
        renderer: what draws; `auto` decides by the size and what is there, see `envs.sensing.choice`.
        shadows: whether lights cast shadows.
    """

    camera: str
    height: int = 64
    width: int = 64
    rate: float = 0.0
    modality: Literal["rgb", "depth", "segmentation"] = "rgb"
    near: float = 0.05
    far: float = 10.0
    renderer: Literal["auto", "raytracer", "opengl"] = "auto"
    shadows: bool = True

    def __post_init__(self) -> None:
        if not self.camera:
            raise ValueError("camera is empty; name a camera of the robot or of its model")
        for name in ("height", "width"):
            if not 1 <= getattr(self, name) <= LARGEST:
                raise ValueError(f"{name} must lie between 1 and {LARGEST} pixels, not {getattr(self, name)}")
        if not 0 <= self.rate < math.inf:
            raise ValueError(f"rate must be zero or above, and finite, not {self.rate:g}")
        if not 0 <= self.near < self.far < math.inf:
            raise ValueError(f"near and far must be depths with 0 <= near < far, not {self.near:g} and {self.far:g}")

    def changed(self, **values: Any) -> Self:
        """The same term with other values."""
        return dataclasses.replace(self, **values)

    def every(self, control_dt: float) -> int:
        """Control steps from one picture to the next.

        Raises:
            ValueError: the rate does not divide the control rate; names the nearest that do.
        """
        if self.rate == 0:
            return 1
        steps = 1 / (self.rate * control_dt)
        count = max(1, round(steps))
        if abs(steps - count) > 1e-3 * count:
            near = sorted({1 / (k * control_dt) for k in (max(1, math.floor(steps)), math.ceil(steps))})
            raise ValueError(
                f"rate {self.rate:g} Hz does not divide the control rate of {1 / control_dt:g} Hz; "
                f"the nearest that do: {' and '.join(f'{rate:.6g}' for rate in near)} Hz"
            )
        return count


def focal_length(height: int, fovy_deg: float) -> float:
    """Of a pinhole camera, the same along both axes [pixels].

    Args:
        height: of the picture [pixels].
        fovy_deg: angle of view from its lower to its upper edge [degrees].
    """
    return 0.5 * height / math.tan(math.radians(fovy_deg) / 2)


def intrinsics(model: mujoco.MjModel, camera: int, width: int, height: int) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy [pixels] of a compiled camera's picture of that size.

    A camera that its model describes by a sensor's size and focal lengths keeps them, its field cut or widened to the picture's shape as
    MuJoCo does it; all others are square-pixelled, with the principal point in the middle. The middle of the first pixel is at (0, 0), as
    OpenCV and ROS have it.
    """
    sensor_w, sensor_h = (float(value) for value in model.cam_sensorsize[camera])
    if sensor_h == 0:
        focal = focal_length(height, float(model.cam_fovy[camera]))
        return focal, focal, width / 2 - 0.5, height / 2 - 0.5
    fx, fy, cx, cy = (float(value) for value in model.cam_intrinsic[camera])
    if width / height > sensor_w / sensor_h:
        sensor_h = sensor_w * height / width
    else:
        sensor_w = sensor_h * width / height
    return fx * width / sensor_w, fy * height / sensor_h, width * (0.5 - cx / sensor_w) - 0.5, height * (0.5 - cy / sensor_h) - 0.5


def group(name: str, term: CameraTerm, control_dt: float, model: mujoco.MjModel, camera: int, labels: tuple[str, ...]) -> ObservationGroup:
    """What the contract says of an entry.

    Args:
        name: of the entry.
        term: the entry.
        control_dt: time between two actions [s].
        model: what cameras see, compiled.
        camera: id of the camera in it.
        labels: names of what a segmentation tells apart.
    """
    fx, fy, cx, cy = intrinsics(model, camera, term.width, term.height)
    image = ImageSpec(
        kind=term.modality,
        width=term.width,
        height=term.height,
        frame=term.camera,
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        near=term.near if term.modality == "depth" else 0.0,
        far=term.far if term.modality == "depth" else 0.0,
        labels=labels if term.modality == "segmentation" else (),
    )
    return ObservationGroup(name=name, image=image, dtype=DTYPES[term.modality], every=term.every(control_dt))


def cameras_of(observations: Mapping[str, Any]) -> dict[str, CameraTerm]:
    """The entries of a table of observations that are cameras, in order."""
    return {name: term for name, term in observations.items() if isinstance(term, CameraTerm)}
