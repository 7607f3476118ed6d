"""Run by the Python of an environment with lerobot: opens, writes and goes on with datasets, and prints what it found as JSON.

python lerobot_side.py open FOLDER          what lerobot reads of it
python lerobot_side.py count FOLDER...      of each, episodes, frames, and whether its first and last frame could be read
python lerobot_side.py write FOLDER FILE    a new dataset of the episodes in an npz
python lerobot_side.py resume FOLDER FILE   the same, added to one that is there
python lerobot_side.py killed FOLDER FILE   as `write`, but killed before it has ended
"""

import json
import logging
import os
import signal
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
logging.disable(logging.ERROR)  # decoders of video that are not there

import numpy as np
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def values(item):
    return {name: value if isinstance(value, str) else value.tolist() for name, value in item.items()}


def opened(folder):
    dataset = LeRobotDataset("local/test", root=folder)
    rows = dataset.hf_dataset.with_format("numpy")
    columns = {name: np.array(rows[name]) for name in rows.column_names if dataset.features[name]["dtype"] != "string"}
    bounds = [(row["dataset_from_index"], row["dataset_to_index"]) for row in dataset.meta.episodes]
    features = {name: dataset.features[name] for name in columns}
    parts = [compute_episode_stats({name: rows[start:stop] for name, rows in columns.items()}, features) for start, stop in bounds]
    own = aggregate_stats(parts)
    return {
        "episodes": dataset.num_episodes,
        "frames": len(dataset),
        "first": values(dataset[0]),
        "last": values(dataset[len(dataset) - 1]),
        "fps": dataset.fps,
        "robot_type": dataset.meta.robot_type,
        "stats_of_file": {
            name: {key: np.asarray(value).tolist() for key, value in item.items()} for name, item in dataset.meta.stats.items()
        },
        "stats_of_lerobot": {name: {key: np.asarray(value).tolist() for key, value in item.items()} for name, item in own.items()},
        "windows": values(LeRobotDataset("local/test", root=folder, delta_timestamps={"action": [-1 / dataset.fps, 0.0]})[1]),
    }


def counted(folder):
    try:
        dataset = LeRobotDataset("local/test", root=folder)
        last = dataset[len(dataset) - 1]
        good = (
            int(dataset[0]["index"]) == 0
            and int(last["index"]) == len(dataset) - 1 == int(dataset.meta.episodes[dataset.num_episodes - 1]["dataset_to_index"]) - 1
        )
        return [dataset.num_episodes, len(dataset), good]
    except Exception as error:
        return [-1, 0, repr(error)[:300]]


def fill(dataset, file, end=True):
    data = np.load(file)
    for episode in range(int(data["episodes"])):
        for row in range(len(data[f"{episode}/observation.state"])):
            frame = {
                name: np.zeros(feature["shape"], dtype=feature["dtype"])
                for name, feature in dataset.features.items()
                if feature["dtype"] != "video" and name not in ("timestamp", "frame_index", "episode_index", "index", "task_index")
            }
            given = [name for name in dataset.features if f"{episode}/{name}" in data]
            frame |= {name: data[f"{episode}/{name}"][row] for name in given}
            frame["next.done"] = np.array([row == len(data[f"{episode}/observation.state"]) - 1])
            dataset.add_frame({**frame, "task": f"task {episode}"})
        dataset.save_episode()
    if end:
        dataset.finalize()
    return dataset


def write(folder, file, end=True):
    data = np.load(file)
    features = {
        "observation.state": {"dtype": "float32", "shape": data["0/observation.state"].shape[1:], "names": None},
        "action": {
            "dtype": "float32",
            "shape": data["0/action"].shape[1:],
            "names": {"motors": [f"m{i}" for i in range(data["0/action"].shape[1])]},
        },
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    }
    seen = "0/observation.images.front" in data
    if seen:
        shape = data["0/observation.images.front"].shape[1:]
        features["observation.images.front"] = {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}
    return fill(LeRobotDataset.create("local/test", 30, features, root=folder, robot_type="so101", use_videos=seen), file, end)


def killed(folder, file):
    kept = write(folder, file, end=False)  # one that is let go of ends well
    assert kept is not None
    os.kill(os.getpid(), signal.SIGKILL)


def resume(folder, file):
    dataset = LeRobotDataset.resume("local/test", root=folder)
    fill(dataset, file)


def main():
    action, folder = sys.argv[1], sys.argv[2]
    if action == "open":
        print(json.dumps(opened(folder)))
    elif action == "count":
        print(json.dumps([counted(folder) for folder in sys.argv[2:]]))
    else:
        {"write": write, "resume": resume, "killed": killed}[action](folder, sys.argv[3])


main()
