"""How well the teacher of a training does its task, as `robolearn evaluate` judges policy files: on any engine, with any settings.

python -m benchmarks.teachers runs/panda-pick --seeds 4
python -m benchmarks.teachers runs/panda-pick --env.randomization.object.held_out=true     # shapes that it has never seen
python -m benchmarks.teachers runs/panda-pick --strip pick.png                             # what it does, a row a world

RUN is a checkpoint, a run folder or a folder of runs, also of a training that is still running. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
from pathlib import Path
from typing import Any

if platform.system() == "Linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # read once, when MuJoCo is first imported

import cv2
import mujoco
import numpy as np
import torch

from envs.engines.face import Engine
from envs.robots.registry import get_robot
from envs.tasks.registry import get_task, make_env
from robolearn.config import schema
from robolearn.config.schema import TrainCfg
from robolearn.evaluation.actors import TeacherActor
from robolearn.evaluation.evaluate import evaluate
from robolearn.evaluation.rollout import Rollout
from robolearn.learning.run import find_checkpoint, load_checkpoint
from robolearn.learning.teacher import load_teacher

SEEN = ("geom_size", "geom_pos", "geom_rgba", "body_pos")
"""Fields of the model that differ between worlds and are seen."""
SIDE, PICTURES = 160, 12  # pixels of a picture, pictures in a row
VIEW = {"lookat": (0.38, 0.0, 0.26), "distance": 1.1, "azimuth": 125.0, "elevation": -20.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--engine", default="mujoco")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--strip", metavar="PNG", type=Path, help="write pictures of five worlds, a row each")
    args, overrides = parser.parse_known_args()
    path = find_checkpoint(args.run)
    state = load_checkpoint(path)
    cfg = schema.loads(state["config"], str(path), overrides)
    teacher = load_teacher(state, cfg)
    if args.strip:
        cv2.imwrite(str(args.strip), strip(cfg, teacher, args.seed)[..., ::-1])
    found = evaluate(lambda worlds: TeacherActor(teacher), cfg.task, cfg.robot, args.engine, args.seeds, args.seconds, args.seed, cfg.env)
    told = {"iteration": state["iteration"], "minutes": state["minutes"], "episodes": found.episodes, "engine": args.engine}
    figures = {name: {"value": figure.value, "interval": figure.interval} for name, figure in found.figures.items()}
    print(json.dumps(told | figures))


def strip(cfg: TrainCfg, teacher: Any, seed: int, worlds: int = 5) -> np.ndarray:
    """Pictures of an episode, (worlds * SIDE, PICTURES * SIDE, 3) uint8 RGB."""
    prepare = get_task(cfg.task).evaluation.prepare or (lambda env: env)
    env = make_env(cfg.task, get_robot(cfg.robot), dataclasses.replace(prepare(cfg.env), num_worlds=worlds, num_threads=1, seed=seed))
    rollout = Rollout(env, TeacherActor(teacher))
    rollout.start()
    rows: list[list[np.ndarray]] = [[] for _ in range(worlds)]
    every = env.max_steps // PICTURES
    with torch.no_grad():
        for step in range(every * PICTURES):
            if step % every == 0:
                for world, row in enumerate(rows):
                    row.append(picture(env.engine, world))
            rollout.step()
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def picture(engine: Engine, world: int) -> np.ndarray:
    """One world as it is now, (SIDE, SIDE, 3) uint8 RGB."""
    model = engine.model
    for name in SEEN:
        getattr(model, name)[:] = engine.field(name)[world].numpy()
    data, camera = mujoco.MjData(model), mujoco.MjvCamera()
    data.qpos[:] = engine.qpos[world].numpy()
    mujoco.mj_forward(model, data)
    camera.lookat[:], camera.distance = VIEW["lookat"], VIEW["distance"]
    camera.azimuth, camera.elevation = VIEW["azimuth"], VIEW["elevation"]
    model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.4, 0.6
    with mujoco.Renderer(model, SIDE, SIDE) as renderer:
        renderer.update_scene(data, camera)
        return renderer.render().copy()


if __name__ == "__main__":
    main()
