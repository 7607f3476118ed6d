"""What happens to a picture between the lens and the policy: exposure, colour balance, blur, noise, JPEG, holes in depth, late and lost
pictures. Entries of the table of randomization, each with a function; how strong, each world draws at its reset.

    randomization:
      noise_of_the_camera: {func: "envs.terms.optics:Noise", on: [wrist_view], spread: [0.0, 0.03]}

They change pictures and nothing else; without a camera they are left out. What OpenCV does, it does on the CPU, a picture at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from envs.seeds import uniform
from envs.sensing.cameras import Frame
from envs.terms.about import about
from envs.terms.face import Env
from envs.terms.looks import Pair, cameras_of

EXPOSURE, BALANCE, BLUR, NOISE, JPEG, HOLES = range(6)
"""In which order they happen, whatever the table's."""
SHINY, CLEAR = 0.6, 0.9
"""Specular reflection above which, and opacity below which, a depth camera sees nothing of a thing."""
MOST_LATE = 30
"""Pictures."""


class _Drawn:
    """Something of which each world draws how strong it is."""

    def __init__(self, env: Env, on: tuple[str, ...], bounds: Pair, width: int = 1) -> None:
        self._bounds, self._width = bounds, width
        if not bounds[0] <= bounds[1]:
            raise ValueError(f"its bounds are {list(bounds)}; give the lower one first")
        self.value = env.buffer(f"optics.{type(self).__name__}.{'.'.join(on)}", (width,))

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        stage = cameras_of(env).stage
        self.value[ids] = uniform(*self._bounds, (len(ids), self._width), stage.generator)

    def of(self, frame: Frame) -> torch.Tensor:
        """What the worlds of a frame drew, (n, 1, 1, width)."""
        return self.value[frame.ids][:, None, None, :]


def _each(frame: Frame, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Let OpenCV change each picture (height, width, channels), float32, told the world's row in the frame."""
    rows = frame.picture.cpu().numpy()
    for row in range(len(rows)):
        rows[row] = change(rows[row], row).reshape(rows[row].shape)
    frame.picture = torch.from_numpy(rows).to(frame.picture.device)


@about(needs="camera")
class Exposure(_Drawn):
    """Pictures are brighter or darker, and clipped where they are too bright."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), stops: Pair = (-0.5, 0.5)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            stops: bounds of the exposure in powers of two.
        """
        super().__init__(env, on, stops)
        cameras_of(env).add_effect(cameras_of(env).affected(on, ("rgb",)), EXPOSURE, self._happen)

    def _happen(self, frame: Frame) -> None:
        frame.picture = (frame.picture * torch.exp2(self.of(frame))).clamp_(0, 255)


@about(needs="camera")
class ColorBalance(_Drawn):
    """Red, green and blue are stronger or weaker, each by itself."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), gain: Pair = (0.9, 1.1)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            gain: bounds of the factor on each.
        """
        super().__init__(env, on, gain, width=3)
        cameras_of(env).add_effect(cameras_of(env).affected(on, ("rgb",)), BALANCE, self._happen)

    def _happen(self, frame: Frame) -> None:
        frame.picture = (frame.picture * self.of(frame)).clamp_(0, 255)


@about(needs="camera")
class Blur(_Drawn):
    """The lens is out of focus."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), sigma: Pair = (0.0, 1.0)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            sigma: bounds of the width of the blur [pixels].
        """
        super().__init__(env, on, sigma)
        if sigma[0] < 0:
            raise ValueError(f"sigma must not be negative, its low is {sigma[0]:g}")
        cameras_of(env).add_effect(cameras_of(env).affected(on, ("rgb",)), BLUR, self._happen)

    def _happen(self, frame: Frame) -> None:
        import cv2

        sigma = self.value[frame.ids, 0].tolist()
        _each(frame, lambda picture, row: cv2.GaussianBlur(picture, (0, 0), sigma[row]) if sigma[row] > 0.05 else picture)


@about(needs="camera")
class Noise(_Drawn):
    """Pixels are off by something else in each picture; of a depth by more the further they are."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), spread: Pair = (0.0, 0.02)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            spread: bounds of the standard deviation, of a colour's full range 1, or of a depth as a share of it.
        """
        super().__init__(env, on, spread)
        if spread[0] < 0:
            raise ValueError(f"spread must not be negative, its low is {spread[0]:g}")
        cameras_of(env).add_effect(cameras_of(env).affected(on, ("rgb", "depth")), NOISE, self._happen)

    def _happen(self, frame: Frame) -> None:
        picture, generator = frame.picture, frame.stage.generator
        unit = torch.randn(picture.shape, generator=generator, device=picture.device) * self.of(frame)
        if frame.term.modality == "depth":
            frame.picture = (picture * (1 + unit)).clamp_(min=0.0)
        else:
            frame.picture = (picture + 255 * unit).clamp_(0, 255)


@about(needs="camera")
class Jpeg(_Drawn):
    """Pictures come compressed, with the blocks of JPEG."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), quality: Pair = (30.0, 95.0)) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            quality: bounds of the quality, 1 to 100.
        """
        super().__init__(env, on, quality)
        if not 1 <= quality[0] <= quality[1] <= 100:
            raise ValueError(f"quality must lie between 1 and 100, not {list(quality)}")
        cameras_of(env).add_effect(cameras_of(env).affected(on, ("rgb",)), JPEG, self._happen)

    def _happen(self, frame: Frame) -> None:
        import cv2

        quality = self.value[frame.ids, 0].round().int().tolist()

        def through(picture: np.ndarray, row: int) -> np.ndarray:
            bgr = np.ascontiguousarray(picture.round().clip(0, 255).astype(np.uint8)[..., ::-1])
            _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality[row]])
            decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
            assert decoded is not None
            return decoded[..., ::-1].astype(np.float32)

        _each(frame, through)


@about(needs="camera")
class DepthHoles(_Drawn):
    """A depth picture has holes: blobs anywhere, and most of what is shiny or clear."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), share: Pair = (0.0, 0.05), shiny: float = 0.9, blob: float = 1.5) -> None:
        """Tell the cameras.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            share: bounds of the share of a picture that is missing anywhere.
            shiny: share of the pixels of shiny and clear things that is missing.
            blob: size of a hole [pixels].
        """
        super().__init__(env, on, share)
        if not 0 <= share[0] <= share[1] <= 1 or not 0 <= shiny <= 1:
            raise ValueError(f"share and shiny must lie between 0 and 1, not {list(share)} and {shiny:g}")
        self._shiny, self._blob = shiny, blob
        names = cameras_of(env).affected(on, ("depth",))
        cameras_of(env).add_effect(names, HOLES, self._happen, geoms=shiny > 0)

    def _happen(self, frame: Frame) -> None:
        import cv2

        n, height, width, _ = frame.picture.shape
        stage = frame.stage
        noise = torch.randn(n, height, width, generator=stage.generator, device=stage.device).cpu().numpy()
        spots = np.stack([cv2.GaussianBlur(one, (0, 0), self._blob) for one in noise]) if self._blob > 0 else noise
        rank = torch.from_numpy(spots.reshape(n, -1).argsort(1).argsort(1).reshape(n, height, width) / (height * width)).to(stage.device)
        holes = rank < self.value[frame.ids, 0][:, None, None]
        if frame.geoms is not None and self._shiny > 0:
            drawn = torch.rand(n, height, width, generator=stage.generator, device=stage.device)
            holes |= _unseen(frame) & (drawn < self._shiny)
        frame.picture = frame.picture.masked_fill(holes[..., None], 0.0)


def _unseen(frame: Frame) -> torch.Tensor:
    """Pixels (n, height, width) bool of things that are shiny or clear."""
    assert frame.geoms is not None
    stage, ids = frame.stage, frame.ids
    material = stage.field("geom_matid")[ids].long()  # (n, ngeom)
    specular, rgba = stage.field("mat_specular")[ids], stage.field("geom_rgba")[ids]
    odd = rgba[..., 3] < CLEAR
    if specular.shape[1]:
        odd |= (material >= 0) & (specular.gather(1, material.clamp(min=0)) > SHINY)
    odd = torch.cat([odd, torch.zeros_like(odd[:, :1])], dim=1)  # -1 is nothing
    return odd.gather(1, (frame.geoms.long() % odd.shape[1]).flatten(1)).view(frame.geoms.shape)


@about(needs="camera")
class Late:
    """Pictures come late, by whole pictures."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), pictures: tuple[int, int] = (0, 2)) -> None:
        """Make room.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            pictures: the least and the most by which they are late.
        """
        if not 0 <= pictures[0] <= pictures[1] <= MOST_LATE:
            raise ValueError(f"pictures must lie between 0 and {MOST_LATE}, the least first, not {list(pictures)}")
        cameras = cameras_of(env)
        self._lines = [cameras.line(name, pictures[1]) for name in cameras.affected(on)]
        self._pictures = pictures

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        low, high = self._pictures
        for line in self._lines:
            line.delay[ids] = torch.randint(low, high + 1, (len(ids),), generator=cameras_of(env).stage.generator, device=ids.device)


@about(needs="camera")
class Lost:
    """Some pictures never come; the policy sees the last one again."""

    def __init__(self, env: Env, on: tuple[str, ...] = ("*",), share: Pair = (0.0, 0.1)) -> None:
        """Make room.

        Args:
            env: the environment.
            on: cameras, or entries of the observations; all for `*`.
            share: bounds of the share of a world's pictures that is lost.
        """
        if not 0 <= share[0] <= share[1] <= 1:
            raise ValueError(f"share must lie between 0 and 1, the lower first, not {list(share)}")
        cameras = cameras_of(env)
        self._lines = [cameras.line(name, 0) for name in cameras.affected(on)]
        self._share = share

    def __call__(self, env: Env, ids: torch.Tensor) -> None:
        for line in self._lines:
            line.lost[ids] = uniform(*self._share, (len(ids),), cameras_of(env).stage.generator)
