"""What cameras look at: the worlds' scene with light, a sky and whatever randomization adds, on a model of its own.

Physics has no part in it. Its model stays as it is without a camera, and what is added here can be seen but not touched: geoms of the world
after all others, so that bodies and joints are the same in both models and a world's `qpos` poses either. A term of the randomization table
dresses the stage when it is made (`spec`), before it is compiled, and changes fields of it in some worlds when it happens (`set_field`):

    @about(needs="camera")
    class RedFloor:
        def __init__(self, env: Env) -> None:
            self._floor = env.cameras.stage.ground()

        def __call__(self, env: Env, ids: torch.Tensor) -> None:
            stage = env.cameras.stage
            rgba = stage.field("geom_rgba")[ids]
            ...
            stage.set_field("geom_rgba", ids, rgba)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

import mujoco
import numpy as np
import torch

from envs.engines.face import Engine
from envs.robots.cameras import add_cameras
from envs.robots.robot import Robot
from envs.sensing.assets import gradient_sky

SUN, FILL, SKY, DISTRACTOR, MARK = "stage_sun", "stage_fill", "stage_sky", "stage_distractor", "stage_goal"
NEAREST, FURTHEST = 0.01, 50.0  # m: what a renderer draws
SUN_HEIGHT = 3.0  # m, over what it follows
AMBIENT, DIFFUSE, SPECULAR = 0.38, 0.55, 0.15
SHADOW_MAP = 512  # pixels; of the OpenGL renderer, whose default costs ten times as much without a GPU
NOTHING, GROUND, ROBOT = "nothing", "ground", "robot"
SHOWN = DISTRACTOR, MARK
"""What is seen and not touched."""
FOLLOWED = ("body_pos", "body_quat", "jnt_pos", "jnt_axis", "qpos0", "geom_pos", "geom_quat", "geom_size", "geom_rgba")
"""Fields of the physics' model that are seen, and so are taken over in worlds that have their own."""
OWN = "geom_rgba", "geom_matid", "geom_pos", "geom_quat", "geom_size", "mat_rgba", "mat_specular", "mat_shininess", "mat_emission", \
    "light_dir", "light_dir0", "light_pos", "light_pos0", "light_diffuse", "light_specular", "light_ambient", "light_castshadow", \
    "light_active", "cam_pos", "cam_quat", "cam_fovy"  # fmt: skip
"""Fields that may differ from world to world beside them."""


class Stage:
    """The scene that cameras look at, in N worlds.

    Attributes:
        spec: to be dressed until `compile`.
        sky: which of the sky textures each world has, (N,).
        skies: how many there are.
        followers: called before pictures are taken, for what has to be where the worlds are by then.
        generator: of everything random that is seen; the worlds' own generator never feels a camera.
    """

    def __init__(self, spec: mujoco.MjSpec, robot: Robot, engine: Engine, generator: torch.Generator) -> None:
        """Take a fresh scene of the worlds, and light it.

        Args:
            spec: the scene that physics runs, as a copy.
            robot: whose cameras there are.
            engine: the physics.
            generator: of everything random that is seen, on the engine's device.
        """
        self.spec, self.generator, self.num_worlds, self.device = spec, generator, engine.num_worlds, engine.device
        self._engine, self._robot = engine, robot
        self._plain = engine.model
        self._model: mujoco.MjModel | None = None
        self._fields: dict[str, torch.Tensor] = {}
        self.skies = 0
        self.followers: list[Callable[[], None]] = []
        self.sky = torch.zeros(self.num_worlds, dtype=torch.long, device=self.device)
        add_cameras(spec, robot)
        _light(spec, robot)
        self.add_sky(gradient_sky())

    # dressing --------------------------------------------------------------------------------------------------------

    def add_sky(self, picture: np.ndarray) -> int:
        """Put up a sky, the same picture (h, h, 3) uint8 in every direction. Returns its index."""
        name = f"{SKY}_{self.skies}"
        self._add_texture(name, np.concatenate([picture] * 6), mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        self.skies += 1
        return self.skies - 1

    def add_material(self, name: str, picture: np.ndarray, repeat: float = 1.0) -> None:
        """Add a material with a texture (h, w, 3) uint8, `repeat` times a metre; `material` gives its id once the stage is compiled."""
        self._add_texture(name, picture, mujoco.mjtTexture.mjTEXTURE_2D)
        material = self.spec.add_material(name=name, texuniform=True, texrepeat=[repeat, repeat], rgba=[1, 1, 1, 1])
        textures = list(material.textures)
        textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        material.textures = textures

    def _add_texture(self, name: str, picture: np.ndarray, kind: mujoco.mjtTexture) -> None:
        texture = self.spec.add_texture(name=name, type=kind, width=picture.shape[1], height=picture.shape[0], nchannel=3)
        texture.data = np.ascontiguousarray(picture, np.uint8).tobytes()

    def add_distractor(self, kind: mujoco.mjtGeom, what: str = DISTRACTOR) -> str:
        """Add a thing that is seen and not touched, invisible until a term gives it a colour. Returns its name.

        Args:
            kind: its shape.
            what: `DISTRACTOR`, or `MARK` for one that shows a goal.
        """
        taken = {geom.name for geom in self.spec.geoms}
        name = next(name for i in range(len(taken) + 1) if (name := f"{what}_{i}") not in taken)
        added = self.spec.worldbody.add_geom(name=name, type=kind, size=[0.03] * 3, rgba=[1, 1, 1, 0], contype=0, conaffinity=0, group=0)
        added.mass, added.pos, added.quat = 0.0, [0, 0, -1], [0.8, 0.6, 0, 0]  # at the origin MuJoCo would keep it in its body's frame
        return name

    def compile(self, largest: tuple[int, int]) -> None:
        """End the dressing; `largest` is the widest and the highest picture that is drawn [pixels]."""
        visual = self.spec.visual
        visual.global_.offwidth, visual.global_.offheight = largest
        self._model = self.spec.compile()
        self._check()

    def _check(self) -> None:
        """What was added must not have moved what physics knows."""
        ours, theirs = self.model, self._plain
        if (ours.nq, ours.nbody) != (theirs.nq, theirs.nbody):
            raise ValueError(
                "a term of randomization added bodies or joints to what cameras see; add geoms, materials and lights of the world alone"
            )

    @property
    def model(self) -> mujoco.MjModel:
        """What is drawn, compiled; ValueError before that."""
        if self._model is None:
            raise ValueError("the stage is not compiled yet: ask for its model when the term happens, not when it is made")
        return self._model

    # fields ----------------------------------------------------------------------------------------------------------

    def nominal(self, name: str) -> torch.Tensor:
        """A field of the model as it was compiled, (...)."""
        value = torch.as_tensor(np.array(getattr(self.model, name)), device=self.device)
        return value.float() if value.is_floating_point() else value

    def field(self, name: str) -> torch.Tensor:
        """A field in all worlds, (N, ...); for reading only."""
        if name in self._fields:
            return self._fields[name]
        value = self.nominal(name)
        return value.expand(self.num_worlds, *value.shape)

    def set_field(self, name: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        """Give worlds `ids` their own values (n, ...) of a field.

        Raises:
            ValueError: it is no field that is seen; lists those that are.
        """
        if name not in OWN and name not in FOLLOWED:
            raise ValueError(f"cameras see no field {name!r}; valid: {', '.join(dict.fromkeys((*OWN, *FOLLOWED)))}")
        if name not in self._fields:
            self._fields[name] = self.field(name).clone()
        self._fields[name][ids] = values.to(self._fields[name].dtype)

    def varied(self) -> dict[str, torch.Tensor]:
        """The fields that differ from world to world, (N, ...) each."""
        return self._fields

    def follow(self, names: Iterable[str]) -> None:
        """Take over from the physics, in all worlds, those of these fields that are seen."""
        for name in names:
            if name not in FOLLOWED:
                continue
            values = self._engine.field(name)
            if name not in self._fields:
                self._fields[name] = self.field(name).clone()
            self._fields[name][:, self._same(name)] = values.to(self._fields[name].dtype)

    def _same(self, name: str) -> torch.Tensor:
        """Where the rows of the physics' field stand in ours."""
        count = len(getattr(self._plain, name))
        if not name.startswith("geom_"):
            return torch.arange(count, device=self.device)
        return torch.as_tensor(self._geoms(), device=self.device)

    def _geoms(self) -> np.ndarray:
        """Our ids of the physics' geoms: those of a body follow each other in both models, ours come after them."""
        bodies = self._plain.geom_bodyid
        return self.model.body_geomadr[bodies] + np.arange(len(bodies)) - self._plain.body_geomadr[bodies]

    # what is there ---------------------------------------------------------------------------------------------------

    def camera(self, name: str) -> int:
        """Id of a camera.

        Raises:
            ValueError: there is none of that name; lists those that there are.
        """
        found = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_CAMERA, name)
        if found < 0:
            there = [self.model.camera(i).name for i in range(self.model.ncam)]
            raise ValueError(f"there is no camera {name!r}; valid: {', '.join(there) or 'none: give the robot one under `cameras`'}")
        return found

    def material(self, name: str) -> int:
        """Id of a material."""
        return int(self.model.material(name).id)

    def lights(self) -> tuple[int, int]:
        """Ids of the lights that the stage brings: the sun, and what is light where its shadow falls."""
        return int(self.model.light(SUN).id), int(self.model.light(FILL).id)

    def geoms(self, on: Sequence[str]) -> torch.Tensor:
        """Ids of geoms by what they are (`ground`, `robot`, `objects`) or by patterns of their names, in order.

        Raises:
            ValueError: a word that fits nothing; lists what there is.
        """
        model, what = self.model, self._kinds()
        found: set[int] = set()
        for word in on:
            fits = [
                geom
                for geom in range(model.ngeom)
                if what[geom] not in SHOWN
                and (
                    fnmatchcase(model.geom(geom).name or "-", word)
                    or what[geom] == word
                    or (word == "objects" and what[geom] not in (GROUND, ROBOT))
                )
            ]
            if not fits and word not in (GROUND, ROBOT, "objects"):
                names = [model.geom(i).name for i in range(model.ngeom) if model.geom(i).name]
                raise ValueError(
                    f"nothing that is seen is called {word!r}; valid: ground, robot, objects, or a pattern of {', '.join(names)}"
                )
            found |= set(fits)
        return torch.tensor(sorted(found), dtype=torch.long, device=self.device)

    def _kinds(self) -> list[str]:
        """What each geom belongs to: `ground`, `robot`, one of `SHOWN`, or the name of an object's body."""
        model = self.model
        robot = int(model.body_rootid[model.body(self._robot.base).id])
        kinds: list[str] = []
        for geom in range(model.ngeom):
            body = int(model.geom_bodyid[geom])
            if body == 0:
                name = model.geom(geom).name or ""
                kinds.append(next((what for what in SHOWN if name.startswith(what)), GROUND))
            else:
                root = int(model.body_rootid[body])
                kinds.append(ROBOT if root == robot else model.body(root).name or f"object_{root}")
        return kinds

    def labels(self) -> tuple[tuple[str, ...], torch.Tensor]:
        """What a segmentation tells apart, and the label of each geom (ngeom + 1,), uint8, the last that of nothing."""
        kinds = self._kinds()
        names = [NOTHING, GROUND, ROBOT, *sorted(set(kinds) - {GROUND, ROBOT, *SHOWN})]
        names += [what.removeprefix("stage_") for what in SHOWN if what in kinds]
        index = [names.index(kind.removeprefix("stage_") if kind in SHOWN else kind) for kind in kinds]
        return tuple(names), torch.tensor([*index, 0], dtype=torch.uint8, device=self.device)

    def shown_groups(self) -> list[int]:
        """Groups of geoms that are drawn: 0 to 2 as viewers have it, and 3 where the robot shows nothing in those."""
        model = self.model
        of_robot = {int(model.geom_group[geom]) for geom, kind in enumerate(self._kinds()) if kind == ROBOT}
        return [0, 1, 2] if of_robot & {0, 1, 2} else [0, 1, 2, 3]

    # state -----------------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Make all worlds look alike again."""
        self._fields.clear()
        self.sky.zero_()

    def state(self) -> dict[str, torch.Tensor]:
        """What the worlds look like, on the CPU."""
        fields = {f"field.{name}": value.cpu().clone() for name, value in self._fields.items()}
        return fields | {"sky": self.sky.cpu().clone(), "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave."""
        given = {name.removeprefix("field."): value for name, value in state.items() if name.startswith("field.")}
        self._fields = {name: value.to(self.device).clone() for name, value in given.items() if value.shape == self.field(name).shape}
        self.sky.copy_(state["sky"])
        self.generator.set_state(state["generator"])


def _light(spec: mujoco.MjSpec, robot: Robot) -> None:
    """A sun that follows a walking robot, in place of the lamp on the camera, and depths that renderers can draw."""
    spec.visual.headlight.active = 0
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = SHADOW_MAP, 0
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 16, 8
    spec.stat.extent, spec.visual.map.znear, spec.visual.map.zfar, spec.visual.map.shadowclip = 1.0, NEAREST, FURTHEST, 2.0
    sun = (spec.body(robot.base) if robot.floating_base else spec.worldbody).add_light(name=SUN, castshadow=True)
    sun.mode = mujoco.mjtCamLight.mjCAMLIGHT_TRACK if robot.floating_base else mujoco.mjtCamLight.mjCAMLIGHT_FIXED
    direction = np.array([-0.35, -0.25, -1.0])
    sun.type, sun.dir = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, direction / np.linalg.norm(direction)
    sun.pos = -SUN_HEIGHT * direction
    sun.ambient, sun.diffuse, sun.specular = [0.0] * 3, [DIFFUSE] * 3, [SPECULAR] * 3
    fill = spec.worldbody.add_light(name=FILL, castshadow=False)  # apart: OpenGL takes a light away whole where its shadow falls
    fill.type, fill.dir = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, [0, 0, -1]
    fill.ambient, fill.diffuse, fill.specular = [AMBIENT] * 3, [0.0] * 3, [0.0] * 3
