"""Poses of arms on a standing robot: a pair hangs at the sides, slightly bent; one in the middle of a back is folded over it."""

from __future__ import annotations

import numpy as np

from envs.robots.describe.limbs import Chain
from envs.robots.describe.stance import Residual, Search, Stance

STARTS = 8
HANGING = np.array([0.25, 0.2, -0.94])  # from shoulder to hand, forward, outward and up
UPPER = np.array([0.0, 0.2, -0.97])  # from shoulder to elbow
OVER_THE_BACK = np.array([0.35, 0.0, 0.3])


def place_arms(stance: Stance, qpos: np.ndarray) -> np.ndarray:
    """A configuration (nq,) with the arms in these poses."""
    images = stance.mirror.joints
    for chain in stance.limbs.arms:
        shoulder = chain.own[0].name
        image = images.get(shoulder, (shoulder, 1.0))[0]
        if image < shoulder and any(other.own[0].name == image for other in stance.limbs.arms):
            continue  # it mirrors the other
        search = Search(stance, qpos, chain.own)
        stance.place(qpos)
        residual = _residual(stance, chain, search, alone=image == shoulder)
        best, least = search.neutral, np.inf
        random = np.random.default_rng(0)
        for start in (search.neutral, *(random.uniform(search.low, search.high) for _ in range(STARTS))):
            answer, cost = search.solve(start, residual)
            if cost < least - 1e-3:
                best, least = answer, cost
        qpos = search.full(best)
    return qpos


def _residual(stance: Stance, chain: Chain, search: Search, alone: bool) -> Residual:
    side = np.array([1.0, np.sign(stance.anchor(chain.own[0])[1]) or 1.0, 1.0])
    direction = OVER_THE_BACK if alone else 0.93 * HANGING * side
    elbow = chain.own[len(chain.own) // 2]

    def residual(angles: np.ndarray) -> np.ndarray:
        shoulder = stance.anchor(chain.own[0])
        tip = stance.tip(chain)
        hand = tip[:3, :3] @ chain.cloud.points.mean(axis=0) + tip[:3, 3]
        terms = [(hand - shoulder) / chain.reach - direction]
        upper = stance.anchor(elbow) - shoulder
        if not alone and np.linalg.norm(upper) > 0.2 * chain.reach:
            terms.append(upper / np.linalg.norm(upper) - UPPER * side)
        return np.concatenate([*terms, 0.05 * (angles - search.neutral)])

    return residual
