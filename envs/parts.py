"""Parts of an environment whose state goes into a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """A part with a state of its own."""

    def restart(self) -> None:
        """Begin anew, with fresh draws, as after construction."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """What its future depends on, on the CPU."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave."""
        ...


class Buffers:
    """Tensors with a row a world that are saved and resumed by name; they are changed in place."""

    def __init__(self, worlds: int, device: torch.device) -> None:
        self._worlds, self._device = worlds, device
        self._tensors: dict[str, torch.Tensor] = {}

    def new(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) of zeros.

        Raises:
            ValueError: there is one of that name already.
        """
        if name in self._tensors:
            raise ValueError(f"there is a buffer {name!r} already; give yours a name of its own, e.g. that of its term")
        self._tensors[name] = torch.zeros(self._worlds, *shape, dtype=dtype, device=self._device)
        return self._tensors[name]

    def __getitem__(self, name: str) -> torch.Tensor:
        """The tensor itself, (N, ...)."""
        return self._tensors[name]

    def state(self) -> dict[str, torch.Tensor]:
        """All of them, on the CPU."""
        return {name: value.cpu().clone() for name, value in self._tensors.items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go back to what `state` gave.

        Raises:
            ValueError: it is of other tensors; names them.
        """
        differing = [
            f"{name} {list(state[name].shape) if name in state else 'missing'}, here {list(value.shape)}"
            for name, value in self._tensors.items()
            if name not in state or state[name].shape != value.shape
        ]
        differing += [f"{name}, which is not here" for name in state if name not in self._tensors]
        if differing:
            raise ValueError(f"the state is of another config: {'; '.join(differing)}")
        for name, value in self._tensors.items():
            value.copy_(state[name])


def take_tensors(owner: Any, names: Sequence[str], state: Mapping[str, torch.Tensor]) -> None:
    """Give an object the tensors of a state, by its attributes' names, on the device where it has them.

    Raises:
        ValueError: one has another shape; none is taken then.
    """
    for name in names:
        here = getattr(owner, name)
        if here.shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)}, this environment's {tuple(here.shape)}"
            raise ValueError(f"the state's {name} has shape {shapes}: another config")
    for name in names:
        setattr(owner, name, state[name].to(getattr(owner, name).device).clone())
