"""MuJoCo Warp's ray tracer: all worlds in one kernel, on the device where they are.

On the CPU a kernel runs on one core and leaves Python's lock to others meanwhile, so the worlds are shared out among threads, each with
buffers of its own. On CUDA there is one set of buffers and the same code; that has not yet run on a GPU.

A draw copies poses and fields of the worlds that are wanted into the first rows of the buffers and launches no more rows than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import torch

from envs.sensing.face import RenderError, Shot, View
from envs.sensing.stage import Stage
from policies.install import install_command

try:
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING  # before it is initialized, as in `envs.engines.warp`
    import mujoco_warp as mjw
except ImportError as error:
    missing = f"renderer 'raytracer' needs MuJoCo Warp: {install_command('warp')}; without it say renderer: opengl"
    raise RenderError(missing) from error

ANGLES = ("cam_fovy",)
"""Fields that change where the ray of a pixel goes; with the others rays are computed once."""
SHADE = 0.0
"""Share of a light that a shadow keeps; what is reflected all around has a light of its own."""
_OF_THE_TREE = (mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM, mujoco.mjtCamLight.mjCAMLIGHT_TARGETBODYCOM)


class Raytracer:
    """See `envs.sensing.face.Renderer`."""

    name = "raytracer"

    def __init__(self, stage: Stage, views: Sequence[View], shadows: bool, threads: int, varying: Sequence[str] = ()) -> None:
        """Make buffers and load the kernels; the first time on a machine they are compiled, which takes up to half a minute.

        Args:
            stage: what is looked at, compiled.
            views: what is drawn of it, each a camera of its own.
            shadows: whether lights cast them.
            threads: on the CPU, how many share the worlds.
            varying: fields that will differ between worlds; of others no more than their values is expected to change.

        Raises:
            RenderError: the model has something that MuJoCo Warp lacks.
        """
        wp.init()
        self._stage, self._views = stage, tuple(views)
        self._device = wp.device_from_torch(stage.device)
        parts = 1 if self._device.is_cuda else max(1, min(threads, stage.num_worlds))
        capacity = -(-stage.num_worlds // parts)
        self._pool = ThreadPoolExecutor(parts, "cameras") if parts > 1 else None
        with wp.ScopedDevice(self._device):
            try:
                self._buffers = [_Buffers(stage, self._views, shadows, capacity, any(f in varying for f in ANGLES)) for _ in range(parts)]
            except NotImplementedError as error:
                raise RenderError(f"renderer 'raytracer' cannot draw this model: {error}; say renderer: opengl") from error
            first = self._buffers[0]
            for buffers in self._buffers:
                buffers.context._megakernel = first.context._megakernel  # the same static settings: compiled and loaded once
                buffers.launch(1)
        self._sync()

    def draw(self, ids: torch.Tensor, qpos: torch.Tensor) -> Sequence[Shot]:
        parts = min(len(self._buffers), len(ids))
        shares = list(zip(self._buffers, ids.tensor_split(parts), qpos.tensor_split(parts), strict=False))
        with wp.ScopedDevice(self._device):
            for buffers, some, poses in shares:
                buffers.fill(self._stage, some, poses)
            self._sync(torch_first=True)
            if self._pool is None or parts == 1:
                for buffers, some, _ in shares:
                    buffers.launch(len(some))
            else:
                for done in [self._pool.submit(buffers.launch, len(some)) for buffers, some, _ in shares]:
                    done.result()
            self._sync()
        taken = [[buffers.shot(index, len(some)) for buffers, some, _ in shares] for index in range(len(self._views))]
        return [_joined(shots) for shots in taken]

    def bare(self) -> None:
        """The kernel alone, again, of all worlds as they were last: what a benchmark compares with."""
        with wp.ScopedDevice(self._device):
            if self._pool is None:
                self._buffers[0].trace()
            else:
                for done in [self._pool.submit(buffers.trace) for buffers in self._buffers]:
                    done.result()
        self._sync()

    def _sync(self, torch_first: bool = False) -> None:
        """On CUDA, let Warp's stream wait for torch's, or the other way round."""
        if not self._device.is_cuda:
            return
        ours, theirs = wp.get_stream(self._device), wp.stream_from_torch(torch.cuda.current_stream(self._stage.device))
        if torch_first:
            ours.wait_stream(theirs)
        else:
            theirs.wait_stream(ours)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class _Buffers:
    """Room for the pictures of some worlds.

    Attributes:
        context: MuJoCo Warp's.
    """

    def __init__(self, stage: Stage, views: Sequence[View], shadows: bool, capacity: int, own_rays: bool) -> None:
        model = stage.model
        self._model = mjw.put_model(model)
        self._model.body_weldid.fill_(1)  # else what is fixed to the world would be posed once for all worlds and all times
        self._data = mjw.put_data(model, mujoco.MjData(model), nworld=capacity, nconmax=1, njmax=1)
        self.context: Any = mjw.create_render_context(
            model,
            capacity,
            cam_active=[view.camera for view in views],
            cam_res=[(view.width, view.height) for view in views],
            render_rgb=[view.color for view in views],
            render_depth=[view.depth for view in views],
            render_seg=[view.geoms for view in views],
            use_shadows=shadows,
            shadow_light_fraction=SHADE,
            use_precomputed_rays=not own_rays,
            render_skybox=True,
            enabled_geom_groups=stage.shown_groups(),
        )
        self._capacity, self._views = capacity, views
        self._qpos = wp.to_torch(self._data.qpos)
        self._fields: dict[str, torch.Tensor] = {}
        self._skies = [wp.to_torch(self.context.skybox_tex_id).clone(), torch.zeros(capacity, dtype=torch.int32, device=stage.device)]
        self.context.skybox_tex_id = wp.from_torch(self._skies[1])
        self._first_sky = int(self._skies[0][0])
        self._skies[1].fill_(self._first_sky)
        self._sky_ids = torch.tensor(
            [i for i in range(model.ntex) if model.tex_type[i] == mujoco.mjtTexture.mjTEXTURE_SKYBOX],
            dtype=torch.int32,
            device=stage.device,
        )
        modes = {int(mode) for mode in (*model.cam_mode, *model.light_mode)}
        self._needs_tree = bool(modes & {int(mode) for mode in _OF_THE_TREE})

    def fill(self, stage: Stage, ids: torch.Tensor, qpos: torch.Tensor) -> None:
        """Take over poses and looks of some worlds."""
        count = len(ids)
        self._qpos[:count] = qpos
        for name, values in stage.varied().items():
            self._field(name)[:count] = values[ids]
        self._skies[1][:count] = self._sky_ids[stage.sky[ids]]

    def _field(self, name: str) -> torch.Tensor:
        """A model field with a row for each world that there is room for."""
        if name not in self._fields:
            array = getattr(self._model, name)
            view = wp.to_torch(array)
            view = view[:1].expand(self._capacity, *view.shape[1:]).contiguous()
            setattr(self._model, name, wp.from_torch(view, dtype=array.dtype))
            self._fields[name] = view
        return self._fields[name]

    def launch(self, count: int) -> None:
        """Draw the first `count` worlds."""
        self._data.nworld = count
        mjw.kinematics(self._model, self._data)
        if self._needs_tree:
            mjw.com_pos(self._model, self._data)
        mjw.camlight(self._model, self._data)
        mjw.refit_bvh(self._model, self._data, self.context)
        self.trace()

    def trace(self) -> None:
        """The ray tracer alone."""
        mjw.render(self._model, self._data, self.context)

    def shot(self, index: int, count: int) -> Shot:
        """What a view gave in the first `count` worlds."""
        view = self._views[index]
        shape, pixels = (count, view.height, view.width), view.width * view.height

        def part(array: Any, adr: Any) -> torch.Tensor:
            start = int(self._starts(adr)[index])
            return wp.to_torch(array)[:count, start : start + pixels]

        color = depth = geoms = None
        if view.color:  # packed as 0xAARRGGBB
            packed = part(self.context.rgb_data, self.context.rgb_adr).contiguous().view(torch.uint8)
            color = packed.view(*shape, 4)[..., [2, 1, 0]]
        if view.depth:
            depth = part(self.context.depth_data, self.context.depth_adr).reshape(shape).clone()
        if view.geoms:
            geoms = part(self.context.seg_data, self.context.seg_adr)[..., 0].reshape(shape).clone()
        return Shot(color=color, depth=depth, geoms=geoms)

    def _starts(self, adr: Any) -> Any:
        return adr.numpy()


def _joined(shots: Sequence[Shot]) -> Shot:
    """Shots of several sets of worlds as one."""
    if len(shots) == 1:
        return shots[0]

    def joined(parts: list[torch.Tensor | None]) -> torch.Tensor | None:
        there = [part for part in parts if part is not None]
        return torch.cat(there) if there else None

    return Shot(
        color=joined([shot.color for shot in shots]), depth=joined([shot.depth for shot in shots]), geoms=joined([s.geoms for s in shots])
    )
