"""A table of randomization switched off, without what must be seen being taken away."""

from __future__ import annotations

from envs.terms.about import told
from envs.terms.randomization import RandomizationCfg


def nothing_varies(table: RandomizationCfg) -> RandomizationCfg:
    """Nominal physics and clean sensors; entries that vary nothing and show something stay (`about(shows=True)`), as a goal to be seen."""
    return RandomizationCfg({name: term for name, term in table.terms().items() if told(term.func).shows}, noise=0.0)
