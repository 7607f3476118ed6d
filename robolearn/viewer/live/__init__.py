"""The page for watching and steering a policy."""
