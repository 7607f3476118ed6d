"""The cameras of an environment: pictures of every world when they are due, as the policy gets them.

    state -> renderer -> exposure, noise, ... (`effects`) -> late or lost frames -> `pictures`

A world's picture is due when its episode began and every `every` control steps after that; in between the policy sees the last one again.
Everything random here has a generator of its own: with cameras the vectors of a task are those of the task without, to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from envs.engines.face import Engine
from envs.seeds import torch_seed
from envs.sensing import choice
from envs.sensing.camera import CameraTerm, group
from envs.sensing.face import Renderer, Shot, View
from envs.sensing.line import Line
from envs.sensing.stage import Stage
from policies.contract.spec import ObservationGroup

ASIDE = 0x5EE
"""What is added to the environment's seed, so that what is seen is not drawn as what is felt."""
Effect = Callable[["Frame"], None]


@dataclass
class Frame:
    """New pictures of some worlds on their way to the policy; effects change them in place.

    Attributes:
        name: of the entry.
        term: the entry.
        ids: the worlds, (n,).
        picture: (n, height, width, channels): float32 in [0, 255] of colours, [m] of depth, labels of a segmentation.
        geoms: id of the geom that is seen, -1 for none, (n, height, width); None where no effect asked for it.
        stage: what was looked at.
    """

    name: str
    term: CameraTerm
    ids: torch.Tensor
    picture: torch.Tensor
    geoms: torch.Tensor | None
    stage: Stage


@dataclass(frozen=True)
class _Source:
    """Where the pictures of an entry come from: which renderer, and which of its views."""

    renderer: int
    view: int


class Cameras:
    """The cameras of N worlds.

    Attributes:
        terms: the entries of the table of observations.
        stage: what they look at.
        pictures: what the policy sees, by the entry's name, (N, height, width, channels); new tensors whenever something changes.
        drawn: pictures that were drawn since the start.
        seconds: time that drawing and effects took since the start [s].
    """

    def __init__(self, terms: Mapping[str, CameraTerm], stage: Stage, engine: Engine, control_dt: float, threads: int) -> None:
        """Set them up; nothing is drawn and no library of a renderer is loaded before `open`.

        Raises:
            ValueError: a rate that does not divide the control rate.
        """
        self.terms, self.stage = dict(terms), stage
        self._engine, self._threads, self._dt = engine, threads, control_dt
        self._every = {name: _named(name, lambda term=term: term.every(control_dt)) for name, term in terms.items()}
        self._effects: dict[str, list[tuple[int, Effect]]] = {name: [] for name in terms}
        self._lines: dict[str, Line] = {}
        self._wants_geoms: set[str] = set()
        self._varying: set[str] = set()
        self._renderers: list[Renderer] = []
        self._sources: dict[str, _Source] = {}
        self._of: list[list[str]] = []  # entries of each renderer
        self.pictures: dict[str, torch.Tensor] = {}
        self.drawn, self.seconds = 0, 0.0

    # what randomization asks for, before anything is drawn --------------------------------------------------------------

    def affected(self, on: Sequence[str], modalities: Sequence[str] = ("rgb", "depth", "segmentation")) -> list[str]:
        """Names of entries by themselves or by their cameras, all for `*`, of some modalities.

        Raises:
            ValueError: there is none of that name; lists them.
        """
        found: list[str] = []
        for name, term in self.terms.items():
            if "*" in on or name in on or term.camera in on:
                found += [name] if term.modality in modalities else []
        known = {"*", *self.terms, *(term.camera for term in self.terms.values())}
        if unknown := [word for word in on if word not in known]:
            raise ValueError(f"there is no camera {unknown[0]!r} among the observations; valid: {', '.join(sorted(known))}")
        return found

    def add_effect(self, names: Iterable[str], order: int, effect: Effect, geoms: bool = False) -> None:
        """Let something happen to the pictures of entries.

        Args:
            names: of the entries.
            order: effects happen from the least to the greatest.
            effect: changes a `Frame` in place.
            geoms: whether it wants to know what is seen at each pixel.
        """
        for name in names:
            self._effects[name] = sorted([*self._effects[name], (order, effect)], key=lambda item: item[0])
            if geoms:
                self._wants_geoms.add(name)

    def line(self, name: str, most: int) -> Line:
        """The way on which pictures of an entry come late or get lost, with room for a delay of `most` pictures."""
        shape = self._shape(name)
        if name in self._lines:
            self._lines[name].widen(most)
        else:
            self._lines[name] = Line(self.stage.num_worlds, shape, self._dtype(name), most, self.stage.device, self.stage.generator)
        return self._lines[name]

    def will_vary(self, *fields: str) -> None:
        """Say that fields will differ between worlds."""
        self._varying |= set(fields)

    # drawing ----------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Compile the stage and start the renderers.

        Raises:
            ValueError: there is no such camera.
            envs.sensing.face.RenderError: a renderer is not installed, or cannot draw here.
        """
        terms = self.terms.values()
        self.stage.compile((max(term.width for term in terms), max(term.height for term in terms)))
        self._labels, self._label_of = self.stage.labels()
        kinds: dict[tuple[str, bool, int], list[str]] = {}
        for name, term in self.terms.items():
            _named(name, lambda term=term: self.stage.camera(term.camera))
            kinds.setdefault((self._kind(term), term.shadows, self._every[name]), []).append(name)
        for (kind, shadows, _), names in kinds.items():
            views = self._views(names)
            self._renderers.append(choice.make(kind, self.stage, views, shadows, self._threads, sorted(self._varying)))
            self._of.append(names)
        for name in self.terms:
            shape = (self.stage.num_worlds, *self._shape(name))
            self.pictures[name] = torch.zeros(shape, dtype=self._dtype(name), device=self.stage.device)

    def _kind(self, term: CameraTerm) -> str:
        if term.renderer != "auto":
            return term.renderer
        return choice.choose(term.width * term.height, term.shadows, self.stage.num_worlds, self.stage.device)

    def _views(self, names: Sequence[str]) -> list[View]:
        """One view for each camera and size, with all that its entries want of it."""
        views: dict[tuple[int, int, int], View] = {}
        for name in names:
            term = self.terms[name]
            key = (self.stage.camera(term.camera), term.width, term.height)
            before = views.get(key) or View(camera=key[0], width=key[1], height=key[2])
            views[key] = View(
                camera=key[0],
                width=key[1],
                height=key[2],
                color=before.color or term.modality == "rgb",
                depth=before.depth or term.modality == "depth",
                geoms=before.geoms or term.modality == "segmentation" or name in self._wants_geoms,
            )
        keys = list(views)
        for name in names:
            term = self.terms[name]
            view = keys.index((self.stage.camera(term.camera), term.width, term.height))
            self._sources[name] = _Source(renderer=len(self._renderers), view=view)
        return list(views.values())

    @property
    def renderers(self) -> dict[str, str]:
        """Which renderer draws each entry."""
        return {name: self._renderers[source.renderer].name for name, source in self._sources.items()}

    def groups(self) -> tuple[ObservationGroup, ...]:
        """What the contract says of the entries."""
        stage = self.stage
        return tuple(group(name, term, self._dt, stage.model, stage.camera(term.camera), self._labels) for name, term in self.terms.items())

    def look(self, ids: torch.Tensor, steps: torch.Tensor, follow: Iterable[str] = ()) -> None:
        """Bring the pictures of worlds up to date.

        Args:
            ids: the worlds, (n,).
            steps: control steps of all worlds' episodes by now, (N,); at 0 one has no past.
            follow: fields of the physics' model that differ between worlds.
        """
        start = time.perf_counter()
        followed = False
        for renderer, names in zip(self._renderers, self._of, strict=True):
            due = ids[steps[ids] % self._every[names[0]] == 0]
            if not len(due):
                continue
            if not followed:
                self.stage.follow(follow)
                for bring in self.stage.followers:
                    bring()
                followed = True
            shots = renderer.draw(due, self._engine.qpos[due])
            self.drawn += len(due) * len(shots)
            fresh = steps[due] == 0
            for name in names:
                self._take(name, due, shots[self._sources[name].view], fresh)
        self.seconds += time.perf_counter() - start

    def _take(self, name: str, ids: torch.Tensor, shot: Shot, fresh: torch.Tensor) -> None:
        """Give the policy new pictures of worlds, after all that happens to them on their way."""
        term = self.terms[name]
        picture = self._developed(term, shot)
        if self._effects[name]:
            frame = Frame(name, term, ids, picture.float(), shot.geoms if name in self._wants_geoms else None, self.stage)
            for _, effect in self._effects[name]:
                effect(frame)
            picture = frame.picture
            if picture.dtype != self._dtype(name):
                picture = picture.round_().clamp_(0, 255).to(self._dtype(name))
        if name in self._lines:
            picture = self._lines[name].through(ids, picture, fresh)
        whole = len(ids) == self.stage.num_worlds
        self.pictures[name] = (
            picture.clone() if whole and name in self._lines else picture if whole else self.pictures[name].index_copy(0, ids, picture)
        )

    def _developed(self, term: CameraTerm, shot: Shot) -> torch.Tensor:
        """What a renderer gave as the policy's picture, (n, height, width, channels)."""
        if term.modality == "rgb":
            assert shot.color is not None
            return shot.color.contiguous()
        if term.modality == "depth":
            assert shot.depth is not None
            depth = shot.depth
            return torch.where((depth >= term.near) & (depth <= term.far), depth, torch.zeros_like(depth))[..., None]
        assert shot.geoms is not None
        return self._label_of[shot.geoms.long()][..., None]  # -1 is the last

    def _shape(self, name: str) -> tuple[int, int, int]:
        term = self.terms[name]
        return term.height, term.width, 3 if term.modality == "rgb" else 1

    def _dtype(self, name: str) -> torch.dtype:
        return torch.float32 if self.terms[name].modality == "depth" else torch.uint8

    def close(self) -> None:
        """Give back what the renderers hold."""
        for renderer in self._renderers:
            renderer.close()
        self._renderers.clear()

    # state of an environment's part, see `envs.parts.Stateful` ---------------------------------------------------------

    def reseed(self, seed: int) -> None:
        """Make all that follows, but for what is restarted, a function of a seed."""
        self.stage.generator.manual_seed(torch_seed(seed + ASIDE))

    def restart(self) -> None:
        """Begin anew."""
        self.stage.restart()
        for line in self._lines.values():
            line.restart()

    def state(self) -> dict[str, torch.Tensor]:
        """What the future depends on, on the CPU."""
        state = {f"stage.{name}": value for name, value in self.stage.state().items()}
        state |= {f"picture.{name}": value.cpu().clone() for name, value in self.pictures.items()}
        return state | {f"line.{name}.{key}": value for name, line in self._lines.items() for key, value in line.state().items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave; what has another shape here, in a config that has changed, begins anew."""

        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

        self.stage.load_state(part("stage."))
        for name, value in part("picture.").items():
            if name in self.pictures and self.pictures[name].shape == value.shape:
                self.pictures[name] = value.to(self.stage.device).clone()
        for name, line in self._lines.items():
            line.load_state(part(f"line.{name}."))


def _named(name: str, compute: Callable[[], int]) -> int:
    """A value; what is wrong with it is told with the entry's name."""
    try:
        return compute()
    except ValueError as error:
        raise ValueError(f"observations.{name}: {error}") from error
