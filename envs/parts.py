"""Parts of an environment whose state goes into a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """A part with its own state."""

    def restart(self) -> None:
        """Start again with fresh draws, as after construction."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that its future depends on, on the CPU."""
        ...

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`."""
        ...


class Buffers:
    """Tensors with a row per world that are saved and restored by name; they are changed in place."""

    def __init__(self, worlds: int, device: torch.device) -> None:
        self._worlds, self._device = worlds, device
        self._tensors: dict[str, torch.Tensor] = {}

    def new(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) of zeros.

        Raises:
            ValueError: one with that name exists already.
        """
        if name in self._tensors:
            raise ValueError(f"a buffer {name!r} exists already; choose another name, e.g. that of its term")
        self._tensors[name] = torch.zeros(self._worlds, *shape, dtype=dtype, device=self._device)
        return self._tensors[name]

    def shared(self, name: str, shape: tuple[int, ...] = (), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A tensor (N, *shape) that several terms use: whoever asks first makes it."""
        return self._tensors[name] if name in self._tensors else self.new(name, shape, dtype)

    def __contains__(self, name: str) -> bool:
        """Whether there is one of that name."""
        return name in self._tensors

    def __getitem__(self, name: str) -> torch.Tensor:
        """The tensor itself, (N, ...)."""
        return self._tensors[name]

    def state(self) -> dict[str, torch.Tensor]:
        """All of them, on the CPU."""
        return {name: value.cpu().clone() for name, value in self._tensors.items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `state`.

        Raises:
            ValueError: it has other tensors; names them.
        """
        differing = [
            f"{name} {list(state[name].shape) if name in state else 'missing'}, here {list(value.shape)}"
            for name, value in self._tensors.items()
            if name not in state or state[name].shape != value.shape
        ]
        differing += [f"{name}, which is not here" for name in state if name not in self._tensors]
        if differing:
            raise ValueError(f"the state is from another config: {'; '.join(differing)}")
        for name, value in self._tensors.items():
            value.copy_(state[name])


def take_tensors(owner: Any, names: Sequence[str], state: Mapping[str, torch.Tensor]) -> None:
    """Set an object's tensors from a state, by the names of its attributes, on their present device.

    Raises:
        ValueError: one has another shape; then none is set.
    """
    for name in names:
        here = getattr(owner, name)
        if here.shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)}, this environment's {tuple(here.shape)}"
            raise ValueError(f"the state's {name} has shape {shapes}: another config")
    for name in names:
        setattr(owner, name, state[name].to(getattr(owner, name).device).clone())
