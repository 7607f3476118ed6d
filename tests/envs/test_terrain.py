"""The map: seeded, as steep and as high as asked, and its height lookup is what rays and robots meet."""

import time

import mujoco
import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.scene.places import Places
from envs.scene.terrain import KINDS, Terrain, TerrainCfg

SMALL = {"kinds": KINDS, "levels": 3, "tile": 6.0, "border": 1.0}


def small(**changes) -> Terrain:
    return Terrain(TerrainCfg(**{**SMALL, **changes}))


def model_of(terrain: Terrain, robot: str = "go1") -> mujoco.MjModel:
    spec = get_robot(robot).scene()
    terrain.add_to(spec)
    return spec.compile()


def tile(terrain: Terrain, level: int, kind: str) -> np.ndarray:
    """Heights of a tile's grid points."""
    cfg = terrain.cfg
    n, border, column = round(cfg.tile / cfg.cell), round(cfg.border / cfg.cell), cfg.kinds.index(kind)
    a, b = border + level * n, border + column * n
    return terrain.heights[a : a + n, b : b + n].numpy()


def test_same_seed_same_map():
    one, two, other = small(), small(), small(seed=1)
    assert torch.equal(one.heights, two.heights)
    assert not torch.equal(one.heights, other.heights)


def test_heights_are_what_rays_meet():
    terrain = small()
    model = model_of(terrain)
    data = mujoco.MjData(model)
    data.qpos[:3] = [0, 0, 50]
    mujoco.mj_forward(model, data)
    rng, geom = np.random.default_rng(0), np.zeros(1, np.int32)
    points = rng.uniform(-terrain.half + 0.01, terrain.half - 0.01, (3000, 2))
    floor = mujoco.mjtGeom.mjGEOM_HFIELD
    met = []
    for x, y in points:
        distance = mujoco.mj_ray(model, data, [x, y, 5.0], [0, 0, -1.0], None, 1, -1, geom, None)
        assert model.geom_type[geom[0]] == floor
        met.append(5.0 - distance)
    looked_up = terrain.height(torch.tensor(points, dtype=torch.float32)).numpy()
    # a point within rounding of a cell's edge may be taken for the next cell's
    error = np.abs(looked_up - met)
    assert np.median(error) < 1e-6
    assert np.quantile(error, 0.999) < 1e-4
    assert error.max() < 2e-3


def test_levels_grow_to_what_the_config_says():
    terrain = small(grade=0.25, step=0.12, roughness=0.04, plank=0.05)
    cfg = terrain.cfg
    for level in range(3):
        share = (level + 1) / 3
        slope = np.abs(np.diff(tile(terrain, level, "slope_up"), axis=0)).max() / cfg.cell
        assert slope == pytest.approx(0.25 * share, rel=1e-3)
        steps = tile(terrain, level, "steps_up")
        assert np.abs(np.diff(steps, axis=0)).max() == pytest.approx(0.12 * share, rel=1e-3)
        assert steps.max() == pytest.approx(0.12 * share * 2, rel=1e-3)  # two steps of 0.4 m fit into 1.1 m
        assert 0.8 * 0.04 * share < np.abs(tile(terrain, level, "rough")).max() <= 0.04 * share
        assert 0.5 * 0.05 * share < tile(terrain, level, "planks").max() <= 0.05 * share
        assert not tile(terrain, level, "flat").any()
    assert tile(terrain, 2, "slope_down").min() == pytest.approx(-tile(terrain, 2, "slope_up").max(), rel=1e-6)


def test_tiles_are_flat_in_the_middle_and_join_without_cliffs():
    terrain = small()
    around = torch.tensor([[x, y] for x in (-0.6, 0.0, 0.6) for y in (-0.6, 0.0, 0.6)])
    assert terrain.height(terrain.origins[..., None, :] + around).abs().max() == 0
    edges = terrain.origins + torch.tensor([terrain.cfg.tile / 2, 0.0])
    assert terrain.height(edges).abs().max() < 0.01
    edges = terrain.origins + torch.tensor([0.0, terrain.cfg.tile / 2])
    assert terrain.height(edges).abs().max() < 0.01


def test_inside_ends_before_the_map_does():
    terrain = small()
    half = torch.tensor(terrain.half, dtype=torch.float32)
    points = torch.stack([torch.zeros(2), half - 0.9, half - 1.1, -half + 1.1, -half + 0.9])
    assert terrain.inside(points).tolist() == [True, False, True, True, False]
    assert torch.isfinite(terrain.height(torch.tensor([[1e6, -1e6]]))).all()


@pytest.mark.parametrize("robot", ["go1", "g1"])
def test_robots_stay_on_the_ground(robot):
    """Dropped onto the hardest tile of every kind, away from the platform, nothing sinks in by more than contacts do."""
    terrain = small()
    model = model_of(terrain, robot)
    data = mujoco.MjData(model)
    for column in range(len(KINDS)):
        mujoco.mj_resetDataKeyframe(model, data, 0)
        data.qpos[:2] = terrain.origins[2, column].numpy() + np.array([1.6, 0.3])
        data.qpos[2] += 0.6
        data.ctrl[:] = get_robot(robot).default_pose
        mujoco.mj_step(model, data, 200)
        assert not any(warning.number for warning in data.warning)
        feet = [data.site(f"{foot}_foot").xpos for foot in get_robot(robot).feet]
        ground = terrain.height(torch.tensor(np.array(feet)[:, :2], dtype=torch.float32)).numpy()
        assert (np.array(feet)[:, 2] > ground - 0.03).all(), KINDS[column]
        assert data.qpos[2] < 1.5


def test_the_default_map_is_built_fast_and_costs_no_memory_a_world():
    start = time.perf_counter()
    terrain = Terrain(TerrainCfg())
    model = model_of(terrain, "g1")
    assert time.perf_counter() - start < 20  # 0.5 s where it was measured; a guard against something quadratic
    plain = get_robot("g1").scene().compile()
    assert (model.ngeom, model.nbody) == (plain.ngeom, plain.nbody)


def test_curriculum_moves_up_down_and_around():
    terrain = small(start_levels=1)
    curriculum = Places(terrain, 70, torch.Generator().manual_seed(0))
    ids = torch.arange(70)
    assert set(curriculum.column.tolist()) == set(range(7))
    no, yes = torch.zeros(70, dtype=torch.bool), torch.ones(70, dtype=torch.bool)
    far, near = torch.full((70,), 4.0), torch.full((70,), 0.3)
    curriculum.update(ids, near, no, yes)
    assert (curriculum.level == 0).all()
    curriculum.update(ids, far, yes, no)
    assert (curriculum.level == 1).all()
    curriculum.update(ids, near, yes, no)  # who was asked to stand, or walked in a circle, stays
    assert (curriculum.level == 1).all()
    curriculum.update(ids, far, no, no)  # and who crossed the ground more slowly than it was asked to
    assert (curriculum.level == 1).all()
    curriculum.update(ids, far, no, yes)  # a fall is no success, however far
    assert (curriculum.level == 0).all()
    curriculum.update(ids, far, yes, no)
    curriculum.update(ids, near, no, no)  # who was to walk and stood still
    assert (curriculum.level == 0).all()
    for _ in range(2):
        curriculum.update(ids[:35], far[:35], yes[:35], no[:35])
    assert (curriculum.level[:35] == 2).all()
    curriculum.update(ids[:35], far[:35], yes[:35], no[:35])  # beyond the hardest: anywhere
    assert set(curriculum.level[:35].tolist()) == {0, 1, 2}
    assert (curriculum.level[35:] == 0).all()
    curriculum.level[:] = 1
    flat = torch.tensor([terrain.cfg.kinds[column] == "flat" for column in curriculum.column])
    assert torch.equal(curriculum.difficulty(), torch.where(flat, 0.0, 0.5))
    assert torch.equal(curriculum.origins(ids[:2]), terrain.origins[curriculum.level[:2], curriculum.column[:2]])


def test_worlds_go_on_where_they_were_unless_they_are_to_begin_elsewhere() -> None:
    before = Places(small(start_levels=1), 70, torch.Generator().manual_seed(0))
    before.level[:] = 2
    same, wider = (Places(small(start_levels=levels), 70, torch.Generator().manual_seed(1)) for levels in (1, 3))
    for places in (same, wider):
        places.load_state(before.state())
    assert (same.level == 2).all()
    assert set(wider.level.tolist()) == {0, 1, 2}


def test_impossible_maps_are_refused():
    with pytest.raises(ValueError, match="at least one kind"):
        TerrainCfg(kinds=())
    with pytest.raises(ValueError, match="too small"):
        TerrainCfg(tile=1.0)
    with pytest.raises(ValueError, match=r"terrain.tile \(8 m\) must be a whole number of cells of 0.15 m"):
        TerrainCfg(cell=0.15)
    with pytest.raises(ValueError, match=r"terrain.cell must be positive"):
        TerrainCfg(cell=0.0)
