"""What decides: the policy contract, the networks, the policy file and the trained policies.

Imported before anything else of ours, and before the libraries that are told here what they are to do.
"""

import robolearn_rooms

robolearn_rooms.check()  # before anything of ours is imported by its plain name

from policies.environment import prepare  # noqa: E402

prepare()
