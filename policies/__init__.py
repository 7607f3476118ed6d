"""Policies: the contract, the networks, the policy file and the trained policies.

Imported before our other packages, and before the libraries that are configured here.
"""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

from policies.environment import prepare  # noqa: E402

prepare()
