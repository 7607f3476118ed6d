"""The kinds of network that a student can have, by name: ours, and those that a plugin registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from policies.networks.mlp import Mlp, MlpCfg
from policies.networks.protocol import Network, NetworkCfg
from policies.networks.recurrent import Lstm, LstmCfg
from policies.networks.tcn import Tcn, TcnCfg
from policies.networks.transformer import Transformer, TransformerCfg
from policies.registry import Registry


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """How networks of one kind are made.

    Attributes:
        cfg: its config, a subclass of `NetworkCfg`; its fields are what `student.network` takes.
        make: (entries of an observation, entries of an action, config) -> network.
    """

    cfg: type[NetworkCfg]
    make: Callable[[int, int, Any], Network]


NETWORKS = Registry("network", of=NetworkKind)


def register_network(name: str, kind: NetworkKind) -> NetworkKind:
    """Add a kind, so that `--student.network.kind=NAME` chooses it.

    Raises:
        ValueError: the name is taken.
    """
    return NETWORKS.register(name, kind)


def network_cfgs() -> Mapping[str, type[NetworkCfg]]:
    """The config of each kind."""
    return {name: NETWORKS.get(name).cfg for name in NETWORKS}


def make_network(observation_dim: int, action_dim: int, cfg: NetworkCfg) -> Network:
    """A network, untrained.

    Raises:
        UnknownNameError: no such kind.
    """
    return NETWORKS.get(cfg.kind).make(observation_dim, action_dim, cfg)


register_network("transformer", NetworkKind(cfg=TransformerCfg, make=Transformer))
register_network("lstm", NetworkKind(cfg=LstmCfg, make=Lstm))
register_network("tcn", NetworkKind(cfg=TcnCfg, make=Tcn))
register_network("mlp", NetworkKind(cfg=MlpCfg, make=Mlp))
