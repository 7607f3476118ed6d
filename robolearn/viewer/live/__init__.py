"""The page in which a policy is watched and steered."""
