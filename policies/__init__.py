"""What decides: the policy contract, the networks, the policy file and the trained policies.

Imported before anything else of ours, and before the libraries that are told here what they are to do.
"""

from policies.environment import prepare

prepare()
