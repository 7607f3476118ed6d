"""Refuses settings that a command would record without using them, so that a config shows what really happened.

A setting that these tables do not name has an effect, or changes a network's size, which fails when the checkpoint is loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from envs.env_cfg import EnvCfg
from envs.robots.registry import get_robot
from envs.terms.about import told
from envs.terms.randomization import TOGETHER
from envs.terms.rewards import EASING, GROWING
from robolearn.config import loading as config
from robolearn.config.schema import TrainCfg
from robolearn.errors import ConfigError
from robolearn.learning.ppo import PpoCfg

_ENV_SEED = "worlds are seeded from `seed`"
_ALWAYS = {
    "env.seed": _ENV_SEED,
    "student.ppo.target_kl": "a student's learning rate follows a cosine",
    "student.ppo.symmetry": "a student acts through a fold, or sees only one side",
}
_BEGUN = {
    "task": "a training continues with its own task",
    "robot": "a training continues with its own robot",
    "algorithm": "a training continues with its own algorithm",
    "seed": "a training continues with its own random numbers",
    "sb3.*": "this training is not by Stable-Baselines3",
}
_TRAINED = {"teacher.*": "the teacher is trained already; start a new one with: robolearn train"}

HARMLESS = {"student.ppo.target_kl": (0.0,), "student.ppo.symmetry": ("none", "fold")}
"""Values that are allowed for settings without effect: they state that themselves, or they are the only ones with an effect."""

OWN = _ALWAYS | {"sb3.*": "only read with `algorithm: sb3`"}
"""Never read by robolearn's own algorithm."""
_NO_PRETRAINING = {"pretrain.*": "only read by `robolearn pretrain`"}
_NO_INIT = {"student.imitation.pretrained_weight": "the student does not start from a pretrained network; see distill --init"}
TRAIN = OWN | _NO_PRETRAINING
TRAIN_INIT = TRAIN | {"teacher.initial_std": "the teacher of --init brings its own"}
TRAIN_SB3 = _NO_PRETRAINING | {
    "precision": "Stable-Baselines3 multiplies in fp32",
    "env.seed": _ENV_SEED,
    "checkpoint_every": "Stable-Baselines3's model is saved at the end",
    **{f"teacher.{name}": "Stable-Baselines3 does not read it" for name in ("iterations", "until*", "hidden")},
    **{
        f"teacher.ppo.{name}": "Stable-Baselines3 does not read it; see the settings under sb3"
        for name in ("rollout_steps", "epochs", "minibatches", "learning_rate", "target_kl", "symmetry")
    },
    "student.*": "a policy of Stable-Baselines3 is not distilled",
}
RESUME_TEACHER = _ALWAYS | _BEGUN | _NO_PRETRAINING | {"teacher.initial_std": "the checkpoint has the current standard deviation"}
DISTILL = (
    _ALWAYS
    | _TRAINED
    | _NO_PRETRAINING
    | {
        "task": "a student learns its teacher's task",
        "robot": "a student learns on its teacher's robot",
        "algorithm": "students are distilled by robolearn's own algorithm",
        "sb3.*": _BEGUN["sb3.*"],
        "env.randomization.disturbance_ramp": "a student meets all disturbances from the start",
    }
)
RESUME_STUDENT = (
    _ALWAYS
    | _BEGUN
    | _TRAINED
    | _NO_PRETRAINING
    | {
        "student.initial_std": RESUME_TEACHER["teacher.initial_std"],
        "student.imitation.pretrained_weight": "the checkpoint keeps its weight for the network that it started from",
        "env.randomization.disturbance_ramp": DISTILL["env.randomization.disturbance_ramp"],
    }
)
DISTILL_PLAIN = DISTILL | _NO_INIT
"""For a start without a pretrained network."""
DISTILL_INIT = DISTILL | {"student.network.*": "the size is the pretrained network's own"}
"""With one."""
_PRETRAIN = {
    "env.seed": _ENV_SEED,
    "teacher.*": "a pretraining has no teacher",
    **{
        f"student.{name}": "a pretraining only reads student.network and student.ppo.symmetry"
        for name in ("iterations", "until*", "initial_std")
    },
    "student.imitation.*": "a pretraining has no teacher",
    **{
        f"student.ppo.{field.name}": "a pretraining is not reinforcement learning; see the settings under pretrain"
        for field in dataclasses.fields(PpoCfg)
        if field.name != "symmetry"
    },
    "sb3.*": _BEGUN["sb3.*"],
    "algorithm": "pretraining is robolearn's own algorithm",
}
PRETRAIN = _PRETRAIN
STUDY_PRETRAIN = PRETRAIN | {"seed": "see the study's seeds"}
RESUME_PRETRAIN = (
    _PRETRAIN
    | _BEGUN
    | {
        **{
            f"pretrain.{name}": "a pretraining continues as it began; start another one with --init"
            for name in ("data", "objective", "aligned", "normalize", "held_out", "allow")
        }
    }
)
RESUME = {"teacher": RESUME_TEACHER, "student": RESUME_STUDENT, "pretrain": RESUME_PRETRAIN}
"""By kind of checkpoint."""
_OF_FILE = "the policy file decides it"
STUDY = DISTILL | {
    "seed": "see the study's seeds",
    "student.until*": "all variants of a study train for as many iterations",
}
EVALUATE = {
    **{f"env.{name}": _OF_FILE for name in ("control_dt", "decimation", "clock*", "action.*")},
    "env.num_worlds": "there is one world for each episode; see --seeds",
    "env.engine": "see --engine",
    "env.seed": "see --seed",
    "env.episode_s": "see --seconds",
    "env.command.hold_s": "a command is held for the whole episode",
    "env.curriculum*": "evaluations have none",
    "env.success*": "evaluations have no curriculum",
    "env.metrics*": "evaluations measure what the task says",
    "env.randomization.disturbance_ramp": "a policy is judged under all disturbances",
    "env.rewards.*": "a policy is not judged by its reward",
    "teacher.*": _OF_FILE,
    "student.*": _OF_FILE,
    "pretrain.*": _OF_FILE,
    "sb3.*": _OF_FILE,
    "algorithm": _OF_FILE,
    "seed": "see --seed",
    "threads": "evaluations do not learn",
    "precision": "evaluations do not learn",
    "checkpoint_every": "evaluations do not learn",
}


def suite(*envs: EnvCfg) -> dict[str, str]:
    """Settings without effect in a suite of items: disturbances during an episode, by entries of the tables of `envs`."""
    tables = [env.randomization for env in envs]
    names = {name for together in TOGETHER for name in together}
    names |= {name for table in tables for name in table.entries if name not in table.undisturbed().entries}
    return {key: "the suite brings its own disturbances, or those of the training" for name in names for key in _entry(name)}


def _entry(name: str) -> tuple[str, str]:
    """Patterns of an entry of the table of randomization, whole and inner; other entries may begin with the same letters."""
    return f"env.randomization.{name}", f"env.randomization.{name}.*"


def changed(before: TrainCfg, after: TrainCfg) -> list[str]:
    """Dotted names of the settings that differ between two configs."""
    return _differences(config.to_dict(before), config.to_dict(after), "")


def leaves(values: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Dotted name -> value of every setting of a config as plain data."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = f"{name}.{key}" if name else key
        found |= leaves(value, inner) if isinstance(value, dict) else {inner: value}
    return found


def named(overrides: Sequence[str]) -> list[str]:
    """Dotted names of overrides `--section.key=value`."""
    return [override.removeprefix("--").partition("=")[0] for override in overrides]


def _differences(before: Any, after: Any, name: str) -> list[str]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after and type(before) is type(after) else [name]
    names = [*before, *(key for key in after if key not in before)]
    return [found for key in names for found in _differences(before.get(key), after.get(key), f"{name}.{key}" if name else key)]


def refuse(before: TrainCfg, after: TrainCfg, without_effect: Mapping[str, str], where: str) -> list[str]:
    """Check the settings that were changed. Returns their names.

    Args:
        before: the config without the changes.
        after: the config with them.
        without_effect: pattern of a setting -> why it would have no effect.
        where: the command, for the message, e.g. `train --resume`.

    Raises:
        ConfigError: one of them would have no effect; names all that do.
    """
    names = changed(before, after)
    without_effect = {**without_effect, **_idle(before.env, after.env)}
    if not get_robot(after.robot).feet:
        without_effect["env.contact_force"] = f"{after.robot} has no feet"
    given = leaves(config.to_dict(after))
    acting = [name for name in names if given.get(name) not in HARMLESS.get(name, ())]
    idle = [(name, why) for name in acting for pattern, why in without_effect.items() if fnmatchcase(name, pattern)]
    if idle:
        told = "; ".join(f"{name} ({why})" for name, why in dict(idle).items())
        raise ConfigError(f"no effect in {where}: {told}; leave it out")
    return names


def _idle(before: EnvCfg, env: EnvCfg) -> dict[str, str]:
    """Settings of terms that the environment `env` does not compute, and why; terms of `before` may have been removed from it."""
    lacking = {"terrain": "there is no terrain"} if env.terrain is None else {}
    if not env.randomization.disturbance_ramp:
        lacking["ramp"] = "env.randomization.disturbance_ramp is off"
    found: dict[str, str] = {} if "clock" in env.observations else {"env.clock*": "no observation is the clock"}
    for table in ("privileged", "terminations", "curriculum", "metrics"):
        for name, term in {**getattr(before, table), **getattr(env, table)}.items():
            if (needs := told(term.func).needs) in lacking:
                found[f"env.{table}.{name}*"] = lacking[needs]
    for name, term in {**before.randomization.terms(), **env.randomization.terms()}.items():
        if (needs := told(term.func).needs) in lacking:
            found |= dict.fromkeys(_entry(name), lacking[needs])
    for name, term in env.rewards.items():
        if not term.weight:
            found |= {f"env.rewards.{name}.{parameter}": "the term's weight is 0" for parameter in term.params}
        elif "ramp" in lacking and term.func in GROWING:
            found[f"env.rewards.{name}.grows"] = lacking["ramp"]
        if "terrain" in lacking and term.func in EASING:
            found[f"env.rewards.{name}.hardest"] = lacking["terrain"]
    if "ramp" in lacking and all(f"env.curriculum.{name}*" in found for name in env.curriculum):
        found["env.success*"] = "there is no ramp of disturbances, and no curriculum"
    return found


def changes_worlds(names: Collection[str]) -> bool:
    """Whether changes of these settings make other worlds, which cannot continue from the state of the old ones."""
    return any(name.startswith("env.") and name not in ("env.num_threads", "env.device") for name in names)
