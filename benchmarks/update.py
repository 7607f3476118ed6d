"""The PPO update alone, on a rollout that is there already, against rsl_rl's on the same shapes and numbers.

Observation 48, action 12, hidden layers 512, 256, 128 with ELU in actor and critic each, 24 steps, 5 epochs of 4 minibatches. Both
adapt their learning rate to the KL divergence. Weights and optimizers are put back before each update.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.common import Entry, Options, alternate, entry, median, say, time_ratio
from policies.networks.teacher import TeacherPolicy
from robolearn.learning.ppo import Ppo, PpoCfg, Rollout
from robolearn.learning.threads import Threads

OBSERVATION, ACTION, HIDDEN, STEPS = 48, 12, (512, 256, 128), 24
RSL_MISSING = "rsl_rl is not installed: pip install rsl-rl-lib"

Update = tuple[Callable[[], object], Callable[[], object]]
"""An update, and what puts everything back as it was before it."""


def update_entries(options: Options) -> list[Entry]:
    """One entry a number of worlds."""
    entries = []
    for worlds in (8,) if options.quick else (256, 1024):
        say(f"train: PPO update, {worlds} worlds x {STEPS} steps")
        Threads().learning()
        generator = torch.Generator().manual_seed(0)
        observation = torch.randn(STEPS, worlds, OBSERVATION, generator=generator)
        noise = torch.randn(STEPS, worlds, ACTION, generator=generator)
        advantage = torch.randn(STEPS, worlds, generator=generator)
        target = torch.randn(STEPS, worlds, generator=generator)
        updates = {"robolearn": ours(observation, noise, advantage, target)}
        theirs = rsl_rl(observation, noise, advantage, target)
        if theirs is not None:
            updates["rsl_rl"] = theirs

        def before(updates: dict[str, Update] = updates) -> None:
            for _, restore in updates.values():
                restore()

        functions = {name: update for name, (update, _) in updates.items()}
        times = alternate(functions, quick=options.quick, seconds=options.seconds or 40.0, before=before)
        name = f"train: PPO update, {worlds} worlds"
        value = 1e3 * median(times["robolearn"])
        if theirs is None:
            entries.append(entry(name, value, "ms", RSL_MISSING))
        else:
            entries.append(entry(name, value, "ms", "rsl_rl", time_ratio(times, "robolearn", "rsl_rl")))
            entries.append(entry(f"{name}, rsl_rl", 1e3 * median(times["rsl_rl"]), "ms"))
    return entries


def ours(observation: torch.Tensor, noise: torch.Tensor, advantage: torch.Tensor, target: torch.Tensor) -> Update:
    """robolearn's update."""
    steps, worlds, _ = observation.shape
    cfg = PpoCfg(rollout_steps=steps, epochs=5, minibatches=4, symmetry="none")
    torch.manual_seed(0)
    policy = TeacherPolicy(OBSERVATION, ACTION, HIDDEN, 1.0)
    ppo = Ppo(cfg, policy, torch.Generator().manual_seed(0))
    rollout = Rollout(steps, worlds, OBSERVATION, ACTION, torch.device("cpu"))
    with torch.no_grad():
        rollout.observation[:] = observation
        rollout.mean[:] = policy.actor(observation)
        rollout.action[:] = rollout.mean + noise
        rollout.log_prob[:] = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.value[:] = policy.critic(observation).squeeze(-1)
        rollout.advantage, rollout.target = advantage, target
    weights, state = copy.deepcopy(policy.state_dict()), copy.deepcopy(ppo.optimizer.state_dict())

    def restore() -> None:
        policy.load_state_dict(weights)
        ppo.optimizer.load_state_dict(copy.deepcopy(state))
        ppo.learning_rate = cfg.learning_rate

    return lambda: ppo.update(rollout), restore


def rsl_rl(observation: torch.Tensor, noise: torch.Tensor, advantage: torch.Tensor, target: torch.Tensor) -> Update | None:
    """rsl_rl's update, None where it is not installed."""
    try:
        from rsl_rl.algorithms import PPO
        from rsl_rl.models import MLPModel
        from rsl_rl.storage import RolloutStorage
        from tensordict import TensorDict
    except ModuleNotFoundError:
        return None
    steps, worlds, _ = observation.shape
    torch.manual_seed(0)
    example = TensorDict({"policy": observation[0]}, batch_size=[worlds])
    groups = {"actor": ["policy"], "critic": ["policy"]}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 1.0}
    actor = MLPModel(example, groups, "actor", ACTION, hidden_dims=HIDDEN, activation="elu", distribution_cfg=gaussian)
    critic = MLPModel(example, groups, "critic", 1, hidden_dims=HIDDEN, activation="elu")
    storage: Any = RolloutStorage("rl", worlds, steps, example, [ACTION])
    ppo = PPO(actor, critic, storage, num_learning_epochs=5, num_mini_batches=4, learning_rate=1e-3, desired_kl=0.01)
    for t in range(steps):
        ppo.act(TensorDict({"policy": observation[t]}, batch_size=[worlds]))
        mean, std = ppo.transition.distribution_params
        ppo.transition.actions = mean + std * noise[t]
        ppo.transition.actions_log_prob = actor.get_output_log_prob(ppo.transition.actions).detach()
        ppo.process_env_step(example, torch.zeros(worlds), torch.zeros(worlds), {})
    storage.advantages, storage.returns = advantage[..., None].clone(), target[..., None].clone()
    weights = [copy.deepcopy(net.state_dict()) for net in (actor, critic)]
    state = copy.deepcopy(ppo.optimizer.state_dict())

    def restore() -> None:
        actor.load_state_dict(weights[0])
        critic.load_state_dict(weights[1])
        ppo.optimizer.load_state_dict(copy.deepcopy(state))
        ppo.learning_rate = 1e-3

    return ppo.update, restore
