"""The kinds of student networks by name: ours and plugins'."""

from __future__ import annotations

from collections.abc import Callable
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
    """A kind of network.

    Attributes:
        cfg: its config, a subclass of `NetworkCfg`, with the settings of `student.network`.
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


def network_cfg(kind: str) -> type[NetworkCfg]:
    """The class of a kind's config.

    Raises:
        UnknownNameError: no such kind; lists them and the nearest.
    """
    return NETWORKS.get(kind).cfg


def make_network(observation_dim: int, action_dim: int, cfg: NetworkCfg) -> Network:
    """An untrained network.

    Raises:
        UnknownNameError: no such kind.
    """
    return NETWORKS.get(cfg.kind).make(observation_dim, action_dim, cfg)


register_network("transformer", NetworkKind(cfg=TransformerCfg, make=Transformer))
register_network("lstm", NetworkKind(cfg=LstmCfg, make=Lstm))
register_network("tcn", NetworkKind(cfg=TcnCfg, make=Tcn))
register_network("mlp", NetworkKind(cfg=MlpCfg, make=Mlp))
