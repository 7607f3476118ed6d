"""The tasks' names in Gymnasium, registered without importing torch or MuJoCo: Gymnasium runs this whenever it is imported."""

from __future__ import annotations

TASK_NAMES = ("go1-velocity-flat", "panda-reach")
"""The names in `envs.registry.TASKS`, told again because that module is heavy; a test compares them."""


def gym_id(task: str) -> str:
    """Gymnasium's name of a task: `go1-velocity-flat` -> `robolearn/Go1VelocityFlat-v0`."""
    return "robolearn/" + "".join(part.capitalize() for part in task.split("-")) + "-v0"


def register_all() -> None:
    """Register every task; harmless when called again."""
    from gymnasium.envs.registration import register, registry

    for task in TASK_NAMES:
        if gym_id(task) not in registry:
            entry = {"entry_point": "envs.gym:TaskEnv", "vector_entry_point": "envs.gym:TaskVectorEnv"}
            register(gym_id(task), **entry, kwargs={"task": task})
