"""The PPO update alone, on a rollout that is there already, against rsl_rl's on the same shapes and numbers.

Hidden layers with ELU in actor and critic each, 24 steps, 5 epochs of 4 minibatches. Both adapt their learning rate to the KL divergence.
Weights and optimizers are put back before each update. rsl_rl runs twice in turn: with torch's fp32 products as they are by default, and as
we set them (`medium`, see `robolearn.learning.threads`); ours in bf16 where this computer has it (`--precision=auto`), and in fp32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks import rivals
from benchmarks.common import Entry, Options, alternate, entry, median, say, time_ratio
from policies.networks.teacher import TeacherPolicy
from robolearn.learning.ppo import Ppo, PpoCfg, Rollout
from robolearn.learning.precision import FP32, Products, choose
from robolearn.learning.threads import Threads, choose_matmul_precision

STEPS = 24
DEFAULT = "highest"
"""torch's own setting of fp32 products."""
BF16, FP32_NAME = "robolearn", "robolearn in fp32"
RSL, RSL_MEDIUM = "rsl_rl", "rsl_rl with fp32 products as we set them"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of the networks and of the rollout.

    Attributes:
        observation, action: numbers.
        hidden: layers.
        worlds: of the rollout.
    """

    observation: int
    action: int
    hidden: tuple[int, ...]
    worlds: int

    @property
    def text(self) -> str:
        """For a result's name."""
        return f"{self.worlds} worlds, {'-'.join(str(width) for width in self.hidden)}"


LARGE = (512, 256, 128)
SIZES = (
    Size(observation=48, action=12, hidden=LARGE, worlds=256),
    Size(observation=48, action=12, hidden=LARGE, worlds=1024),
    Size(observation=121, action=29, hidden=(256, 128, 64), worlds=1024),  # of g1-velocity-flat
)
QUICK = (Size(observation=48, action=12, hidden=LARGE, worlds=8),)

Update = tuple[Callable[[], object], Callable[[], object]]
"""An update, and what puts everything back as it was before it."""
Data = Mapping[str, torch.Tensor]
"""`observation` and `noise` (T, N, ...), `advantage` and `target` (T, N)."""


def update_entries(options: Options) -> list[Entry]:
    """Some entries a size."""
    entries = []
    for size in QUICK if options.quick else SIZES:
        say(f"train: PPO update, {size.text}, {STEPS} steps")
        entries += entries_of(size, options)
    return entries


def entries_of(size: Size, options: Options) -> list[Entry]:
    """Our update in bf16 and fp32 against both of rsl_rl's."""
    Threads().learning()
    generator = torch.Generator().manual_seed(0)
    sizes = {"observation": (size.observation,), "noise": (size.action,), "advantage": (), "target": ()}
    data = {name: torch.randn(STEPS, size.worlds, *shape, generator=generator) for name, shape in sizes.items()}
    updates = {FP32_NAME: with_products(choose_matmul_precision(), ours(size, data, FP32))}
    own = choose("auto", policy_of(size), STEPS * size.worlds // 4, torch.device("cpu"))
    if own.name == "bf16":
        updates[BF16] = with_products(choose_matmul_precision(), ours(size, data, own))
    theirs = rsl_rl(size, data)
    if theirs is not None:
        updates |= {RSL: with_products(DEFAULT, theirs), RSL_MEDIUM: with_products(choose_matmul_precision(), theirs)}

    def before() -> None:
        for _, restore in updates.values():
            restore()

    functions = {name: update for name, (update, _) in updates.items()}
    times = alternate(functions, quick=options.quick, seconds=options.seconds or 40.0, before=before)
    torch.set_float32_matmul_precision(choose_matmul_precision())
    name, entries = f"train: PPO update, {size.text}", []
    value = {who: 1e3 * median(values) for who, values in times.items()}
    others = [who for who in (RSL, RSL_MEDIUM) if who in times]
    if BF16 in times:
        entries.append(entry(f"{name}, bf16", value[BF16], "ms", "the same in fp32", time_ratio(times, BF16, FP32_NAME)))
        entries += [entry(f"{name}, bf16", value[BF16], "ms", other, time_ratio(times, BF16, other)) for other in others]
    entries += [entry(f"{name}, fp32", value[FP32_NAME], "ms", other, time_ratio(times, FP32_NAME, other)) for other in others]
    if theirs is None:
        entries.append(entry(f"{name}, fp32", value[FP32_NAME], "ms", rivals.MISSING))
    return entries + [entry(f"{name}, {other}", value[other], "ms") for other in others]


def with_products(mode: str, update: Update) -> Update:
    """An update under torch's mode of fp32 products, set together with what it puts back, outside its time."""
    run, restore = update

    def under() -> None:
        torch.set_float32_matmul_precision(mode)
        run()

    return under, restore


def policy_of(size: Size) -> TeacherPolicy:
    """Actor and critic, untrained."""
    torch.manual_seed(0)
    return TeacherPolicy(size.observation, size.action, size.hidden, 1.0)


def ours(size: Size, data: Data, products: Products) -> Update:
    """robolearn's update."""
    cfg = PpoCfg(rollout_steps=STEPS, epochs=5, minibatches=4, symmetry="none")
    policy = policy_of(size)
    ppo = Ppo(cfg, policy, torch.Generator().manual_seed(0), products=products)
    rollout = Rollout(STEPS, size.worlds, size.observation, size.action, torch.device("cpu"))
    with torch.no_grad():
        rollout.observation[:] = data["observation"]
        rollout.mean[:] = ppo.means(data["observation"])
        rollout.action[:] = rollout.mean + data["noise"]
        rollout.log_prob[:] = policy.distribution.log_prob(rollout.mean, rollout.action)
        rollout.value[:] = policy.critic(data["observation"]).squeeze(-1)
        rollout.advantage, rollout.target = data["advantage"], data["target"]
    weights, state = copy.deepcopy(policy.state_dict()), copy.deepcopy(ppo.optimizer.state_dict())

    def restore() -> None:
        policy.load_state_dict(weights)
        ppo.optimizer.load_state_dict(copy.deepcopy(state))
        ppo.learning_rate = cfg.learning_rate

    return lambda: ppo.update(rollout), restore


def rsl_rl(size: Size, data: Data) -> Update | None:
    """rsl_rl's update, None where it is not installed."""
    rivals.find()
    try:
        from rsl_rl.algorithms import PPO  # pyright: ignore[reportMissingImports]
        from rsl_rl.models import MLPModel  # pyright: ignore[reportMissingImports]
        from rsl_rl.storage import RolloutStorage  # pyright: ignore[reportMissingImports]
        from tensordict import TensorDict  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        return None
    observation, noise, worlds = data["observation"], data["noise"], size.worlds
    torch.manual_seed(0)
    example = TensorDict({"policy": observation[0]}, batch_size=[worlds])
    groups = {"actor": ["policy"], "critic": ["policy"]}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 1.0}
    actor = MLPModel(example, groups, "actor", size.action, hidden_dims=size.hidden, activation="elu", distribution_cfg=gaussian)
    critic = MLPModel(example, groups, "critic", 1, hidden_dims=size.hidden, activation="elu")
    storage: Any = RolloutStorage("rl", worlds, STEPS, example, [size.action])
    ppo = PPO(actor, critic, storage, num_learning_epochs=5, num_mini_batches=4, learning_rate=1e-3, desired_kl=0.01)
    for t in range(STEPS):
        ppo.act(TensorDict({"policy": observation[t]}, batch_size=[worlds]))
        mean, std = ppo.transition.distribution_params
        ppo.transition.actions = mean + std * noise[t]
        ppo.transition.actions_log_prob = actor.get_output_log_prob(ppo.transition.actions).detach()
        ppo.process_env_step(example, torch.zeros(worlds), torch.zeros(worlds), {})
    storage.advantages, storage.returns = data["advantage"][..., None].clone(), data["target"][..., None].clone()
    weights = [copy.deepcopy(net.state_dict()) for net in (actor, critic)]
    state = copy.deepcopy(ppo.optimizer.state_dict())

    def restore() -> None:
        actor.load_state_dict(weights[0])
        critic.load_state_dict(weights[1])
        ppo.optimizer.load_state_dict(copy.deepcopy(state))
        ppo.learning_rate = 1e-3

    return ppo.update, restore
