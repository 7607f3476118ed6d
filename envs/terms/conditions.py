"""Worlds under given conditions in place of the tables' draws: a weighted list, of which each reset draws one.

A condition is a row of numbers, one per column; NaN leaves that column to the table. The name of a column says what it sets:

    command.<label>            what is asked first, and again after `then`: the two alternate
    then.<label>, change_s     what is asked from `change_s` [s] on
    terrain.column, .level     the tile that the world starts on
    <quantity>                 of the table of randomization; of a quantity of joints or links the mean, whose spread stays as drawn
    <quantity>.x, .y, .z       of a vector
    push.speed, .angle, .at_s  each push [m/s], its way seen from the robot [rad, 0 ahead, counter-clockwise], and when the first is due [s]
    force.size, .angle, .at_s  the lasting force on the base [N], horizontal
    throw.speed, .angle, .at_s the thrown object [m/s], and where it comes from

The tables still draw everything, so a world without a condition is an ordinary one, and without a list nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

AXES = ("x", "y", "z")
NONE = -1
"""Index of a world without a condition."""


class Conditions:
    """The conditions of N worlds.

    Attributes:
        names: names of the C columns.
        values: the list (K, C); NaN leaves the value to the tables.
        weights: relative frequency of each, (K,).
        ordinary: share of the resets without a condition.
        index: index of each world's condition, (N,) long; `NONE` for none.
        place: whether they set where worlds start; worlds without a condition then start anywhere.
        first: if given, nothing is drawn: world i has the condition `first` + i of the list, modulo K.
    """

    def __init__(
        self,
        names: Sequence[str],
        values: torch.Tensor,
        worlds: int,
        generator: torch.Generator,
        weights: torch.Tensor | None = None,
        ordinary: float = 0.0,
        levels: int | None = None,
    ) -> None:
        """Begin without drawing.

        Args:
            names: names of the columns.
            values: (K, C).
            worlds: N.
            generator: the environment's generator, on its device.
            weights: (K,); None for equal weights.
            ordinary: share of resets without a condition.
            levels: number of levels over which worlds without a condition start; None for all of the map's.

        Raises:
            ValueError: there are no conditions, their width is not the number of names, or the weights are invalid.
        """
        if values.dim() != 2 or not len(values) or values.shape[1] != len(names):
            raise ValueError(f"conditions must be (K, {len(names)}) with K of at least 1, not {tuple(values.shape)}")
        device = generator.device
        self.names, self.values, self.ordinary, self.levels = tuple(names), values.float().to(device), ordinary, levels
        self.weights = torch.ones(len(values), device=device) if weights is None else weights.float().to(device)
        if self.weights.shape != (len(values),) or not bool((self.weights >= 0).all()) or not 0 < float(self.weights.sum()) < float("inf"):
            raise ValueError("weights of conditions must be one per condition, none negative, and not all zero")
        self.place = any(name.startswith("terrain.") for name in self.names)
        self.first: int | None = None
        self._generator = generator
        self._at = {name: column for column, name in enumerate(self.names)}
        self.index = torch.full((worlds,), NONE, dtype=torch.long, device=device)
        self._asked = torch.zeros(worlds, dtype=torch.long, device=device)  # commands so far
        self._now = torch.full((worlds, len(self.names)), float("nan"), device=device)

    def draw(self, ids: torch.Tensor) -> None:
        """Assign the conditions of the next episode to the worlds `ids` (n,)."""
        if self.first is not None:
            drawn = (self.first + ids) % len(self.values)
        else:
            drawn = torch.multinomial(self.weights, len(ids), replacement=True, generator=self._generator)
            coin = torch.rand(len(ids), generator=self._generator, device=drawn.device)
            drawn = torch.where(coin < self.ordinary, NONE, drawn)
        self.index[ids], self._asked[ids] = drawn, 0
        self._fill(ids)

    def _fill(self, ids: torch.Tensor) -> None:
        index = self.index[ids]
        self._now[ids] = torch.where((index == NONE)[:, None], float("nan"), self.values[index.clamp(min=0)])

    def has(self, quantity: str) -> bool:
        """Whether a column is about a quantity of the table of randomization."""
        return quantity in self._at or any(f"{quantity}.{axis}" in self._at for axis in AXES)

    def over(self, name: str, ids: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The values of a column for the worlds `ids`, (n,) or (n, 1) like `drawn`."""
        if name not in self._at:
            return drawn
        value = self._now[ids, self._at[name]].view(drawn.shape).to(drawn.dtype)
        return torch.where(value.isnan(), drawn, value)

    def field(self, name: str, ids: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The values of a quantity for the worlds `ids`, (n, k): its value, its axes, or its mean over joints or links."""
        if name in self._at and drawn.shape[1] > 1:
            wanted = self.over(name, ids, torch.full_like(drawn[:, 0], float("nan")))[:, None]
            return torch.where(wanted.isnan(), drawn, drawn * wanted / drawn.mean(1, keepdim=True))
        if name in self._at or not self.has(name):
            return self.over(name, ids, drawn)
        return torch.stack([self.over(f"{name}.{axis}", ids, column) for axis, column in zip(AXES, drawn.T, strict=True)], dim=1)

    def planar(self, name: str, ids: torch.Tensor, drawn: torch.Tensor, heading: torch.Tensor) -> torch.Tensor:
        """A horizontal vector with length from `speed` or `size` and direction relative to the robot.

        Args:
            name: `push` or `force`.
            ids: worlds (n,).
            drawn: the table's draw, in the world, (n, 2 or 3); a third axis becomes zero.
            heading: heading of the robots in the world [rad], (n,).
        """
        nothing = torch.full_like(heading, float("nan"))
        size = self.over(f"{name}.speed", ids, self.over(f"{name}.size", ids, nothing))
        angle = self.over(f"{name}.angle", ids, nothing) + heading
        given = torch.zeros_like(drawn)
        given[:, 0], given[:, 1] = size * torch.cos(angle), size * torch.sin(angle)
        return torch.where(given.isnan().any(1, keepdim=True), drawn, given)

    def command(
        self, labels: Sequence[str], ids: torch.Tensor, drawn: torch.Tensor, hold_s: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The current commands of the worlds `ids`, (n, C), and their duration [s], (n,)."""
        later = self._asked[ids] % 2 == 1
        pick = [
            torch.where(later, self.over(f"then.{label}", ids, drawn[:, i]), self.over(f"command.{label}", ids, drawn[:, i]))
            for i, label in enumerate(labels)
        ]
        self._asked[ids] += 1
        return torch.stack(pick, dim=1), self.over("change_s", ids, hold_s)

    def tile(self, ids: torch.Tensor, levels: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Level and column of the map that the worlds `ids` start on, (n,) long each; anywhere without a condition."""
        within = min(levels, self.levels or levels)
        anywhere = [torch.randint(0, most, (len(ids),), generator=self._generator, device=ids.device).float() for most in (within, columns)]
        level, column = (self.over(f"terrain.{name}", ids, drawn) for name, drawn in zip(("level", "column"), anywhere, strict=True))
        return level.long().clamp(0, levels - 1), column.long().clamp(0, columns - 1)

    def restart(self) -> None:
        """Start again, see `envs.parts.Stateful`."""
        self.index[:], self._asked[:], self._now[:] = NONE, 0, float("nan")

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the future depends on, including the list."""
        return {name: value.cpu().clone() for name, value in self._tensors().items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`.

        Raises:
            ValueError: it has another list.
        """
        for name, value in self._tensors().items():
            if name not in state or state[name].shape != value.shape:
                raise ValueError(f"the state's conditions ({name}) are from another list than this environment's")
        for name, value in self._tensors().items():
            value.copy_(state[name])
        self._fill(torch.arange(len(self.index), device=self.index.device))

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {"index": self.index, "asked": self._asked, "values": self.values, "weights": self.weights}


def due(own: str, name: str, when: str, conditions: Conditions | None) -> bool:
    """Whether a quantity whose `own` time is `startup` or `reset` is drawn at `when`; one with conditions is drawn at every reset."""
    return own == when or (when == "reset" and conditions is not None and conditions.has(name))


def given(name: str, ids: torch.Tensor, drawn: torch.Tensor, when: str, conditions: Conditions | None) -> torch.Tensor:
    """The values of a quantity for the worlds `ids`, given the draw `drawn` (n, k)."""
    return drawn if conditions is None or when != "reset" else conditions.field(name, ids, drawn)
