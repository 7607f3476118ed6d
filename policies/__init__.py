"""What decides: the policy contract, the networks, the policy file and the trained policies."""

from policies.environment import prepare

prepare()
