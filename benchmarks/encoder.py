"""Do image encoders learn where things are? Sizes by amounts of images, asked by a straight line for the places of hand and ball.

    python -m benchmarks.encoder FOLDER [--sizes nano micro] [--amounts 2048 32768] [--seeds 0 1] [--steps 1500]

Each encoder is trained by masked autoencoding on images of the family of looks `seen` (`benchmarks.encoder_frames`), then frozen. A ridge
regression from its latent gives the middle of the hand and of the ball in the image [pixels], from 6,144 other images of `seen`; it is
judged on further images of `seen` and on `unseen`, whose textures, light and cameras nothing was learned from. Only images that show
the thing with 4 pixels or more count. Beside them stand a random encoder, EfficientNet-Lite0 (if its package is installed), the images
themselves at 16 x 16 pixels, and the mean place. Results are kept in FOLDER/results, one JSON each, and are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.encoder_frames import Arrays, kept
from policies.encoders.errors import EncoderError
from policies.encoders.shape import Readout, named
from policies.export.encoder import export_encoder
from policies.networks import efficientnet
from policies.networks.vit import VitEncoder, count, load
from robolearn.pretraining.encoder.config import EncoderCfg, EncoderTraining
from robolearn.pretraining.encoder.frames import Pictures
from robolearn.pretraining.encoder.trainer import EncoderTrainer
from robolearn.writing import write_json

PROBED, JUDGED, LEAST_PIXELS = 6144, 3072, 4
THINGS = ("ball", "hand")
PENALTIES = 10.0 ** np.arange(-2, 5)
READOUTS: tuple[Readout, ...] = ("grid", "mean", "class")
Encode = Callable[[torch.Tensor], torch.Tensor]


class Stored:
    """A fixed set of images as a source; see `robolearn.pretraining.encoder.frames.Frames`."""

    def __init__(self, images: Pictures, tested: Pictures) -> None:
        self.name, self._images, self._tested = "stored", images, tested

    def about(self) -> dict[str, Any]:
        """What they are."""
        return {"kind": "stored", "licence": "LicenseRef-own", "pictures": len(self._images)}

    def draw(self, count: int, key: Sequence[int], taken: int) -> Pictures:
        """Some of them."""
        return self._images[np.random.default_rng(list(key)).integers(len(self._images), size=count)]

    def held_out(self, count: int) -> Pictures:
        """Others."""
        return self._tested[:count]


def latents(encode: Encode, images: Pictures) -> NDArray[Any]:
    """(K, D) of images (K, h, w, 3)."""
    with torch.no_grad():
        return np.concatenate([encode(torch.from_numpy(images[i : i + 128])).numpy() for i in range(0, len(images), 128)]).astype(
            np.float64
        )


def probe(encode: Encode, probing: Arrays, judged: dict[str, Arrays]) -> dict[str, float]:
    """Mean distance of the probe's place from the true one [pixels], by thing and set, over both cameras.

    A camera has a probe of its own; the penalty is chosen on a quarter of what is probed with.
    """
    x = latents(encode, probing["images"])
    tests = {name: latents(encode, arrays["images"]) for name, arrays in judged.items()}
    errors: dict[str, list[NDArray[Any]]] = {}
    for camera in (0, 1):
        for index, thing in enumerate(THINGS):
            rows = (probing["camera"] == camera) & (probing["places"][:, index, 2] >= LEAST_PIXELS)
            if rows.sum() < 200:
                continue
            fitted = _ridge(x[rows], probing["places"][rows, index, :2].astype(np.float64))
            for name, arrays in judged.items():
                shown = (arrays["camera"] == camera) & (arrays["places"][:, index, 2] >= LEAST_PIXELS)
                apart = np.linalg.norm(fitted(tests[name][shown]) - arrays["places"][shown, index, :2], axis=1)
                errors.setdefault(f"{thing}_{name}", []).append(apart)
    return {name: float(np.concatenate(parts).mean()) for name, parts in errors.items()}


def _ridge(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A ridge regression of y (n, 2) on x (n, D), with the penalty that is best on a quarter."""
    middle, spread = x.mean(0), x.std(0) + 1e-6
    z, base = (x - middle) / spread, y.mean(0)
    split = len(z) * 3 // 4  # worlds follow one another, so the last quarter is of others

    def solve(a: NDArray[Any], b: NDArray[Any], penalty: float) -> NDArray[Any]:
        if a.shape[1] <= len(a):
            return np.linalg.solve(a.T @ a + penalty * len(a) * np.eye(a.shape[1]) / 1000, a.T @ b)
        return a.T @ np.linalg.solve(a @ a.T + penalty * len(a) * np.eye(len(a)) / 1000, b)

    found = [np.linalg.norm(z[split:] @ solve(z[:split], y[:split] - base, p) + base - y[split:], axis=1).mean() for p in PENALTIES]
    weights = solve(z, y - base, float(PENALTIES[int(np.argmin(found))]))
    return lambda new: (new - middle) / spread @ weights + base


def trained(folder: Path, size: str, amount: int, seed: int, steps: int) -> tuple[VitEncoder, dict[str, float]]:
    """An encoder of a size, trained on an amount of images, and figures of its training."""
    path = folder / "encoders" / f"{size}-{amount}-{seed}-{steps}.onnx"
    images, tested = kept(folder, "seen", amount, 10 if amount < 10_000 else 11)["images"], kept(folder, "seen", 512, 9)["images"]
    how = EncoderCfg(size=size, iterations=steps // 20, updates=20)  # pyright: ignore[reportArgumentType]
    trainer = EncoderTrainer(EncoderTraining(seed=seed, threads=1, encoder=how), [Stored(images, tested)])
    figures: dict[str, float] = {}
    start, used = time.monotonic(), time.process_time()
    while trainer.iteration < trainer.iterations:
        figures = trainer.iterate()
        if trainer.iteration % 5 == 0:
            rate = trainer.iteration * trainer.pictures_per_iteration / (time.process_time() - used)
            print(
                f"{path.stem} {trainer.iteration}/{trainer.iterations} loss {figures['loss']:.3f} {rate:.0f} images/s of a core", flush=True
            )
    figures = {
        "loss": figures["loss"],
        **trainer.check(),
        "minutes": (time.monotonic() - start) / 60,
        "core_minutes": (time.process_time() - used) / 60,
    }
    origin = {"licence": "LicenseRef-own", "seed": seed, "steps": steps, "pictures": amount}
    export_encoder(trainer.policy.encoder, origin, tested[:2].copy(), path)
    return load(path), figures


def run(folder: Path, sizes: list[str], amounts: list[int], seeds: list[int], steps: int, only: list[str]) -> list[dict[str, Any]]:
    """All encoders that are not judged yet, then all results."""
    torch.set_num_threads(1)
    probing = kept(folder, "seen", PROBED, 1)
    judged = {"unseen": kept(folder, "unseen", JUDGED, 2), "seen": kept(folder, "seen", JUDGED, 3)}
    results: list[dict[str, Any]] = []

    def judge(name: str, make: Callable[[], tuple[dict[str, Encode], dict[str, Any]]]) -> None:
        place = folder / "results" / f"{name}.json"
        if not place.is_file() and (not only or any(word in name for word in only)):
            place.parent.mkdir(parents=True, exist_ok=True)
            encoders, figures = make()
            found = {readout: probe(encode, probing, judged) for readout, encode in encoders.items()}
            write_json(place, {"name": name, **figures, "pixels": found})
            print(place.read_text(encoding="utf-8"), flush=True)
        if place.is_file():
            results.append(json.loads(place.read_text(encoding="utf-8")))

    judge("mean-place", lambda: ({"none": lambda images: torch.zeros(len(images), 1)}, {}))
    judge("pixels-16x16", lambda: ({"pixels": _pixels}, {}))
    for seed in seeds:
        for size in sizes:
            judge(f"random-{size}-{seed}", lambda size=size, seed=seed: (_readouts(_random(size, seed)), {}))
    for enlarge in (1, 2):
        judge(f"efficientnet-x{enlarge}", lambda enlarge=enlarge: (_supervised(enlarge), {}))
    for seed in seeds:
        for amount in amounts:
            for size in sizes:

                def make(size: str = size, amount: int = amount, seed: int = seed) -> tuple[dict[str, Encode], dict[str, Any]]:
                    net, figures = trained(folder, size, amount, seed, steps)
                    return _readouts(net), {"size": size, "amount": amount, "seed": seed, "parameters": count(net), **figures}

                judge(f"mae-{size}-{amount}-{seed}-{steps}", make)
    return results


def _random(size: str, seed: int) -> VitEncoder:
    torch.manual_seed(seed)
    return VitEncoder(named(size, 64, 64)).freeze()


def _readouts(net: VitEncoder) -> dict[str, Encode]:
    """The same weights, read in all ways."""
    found: dict[str, Encode] = {}
    for readout in READOUTS:
        twin = VitEncoder(dataclasses.replace(net.cfg, readout=readout))
        twin.load_state_dict(net.state_dict())
        found[readout] = twin.freeze()
    return found


def _supervised(enlarge: int) -> dict[str, Encode]:
    try:
        net = efficientnet.load((64, 64), enlarge)
    except EncoderError as error:
        print(f"left out: {error}", flush=True)
        return {}
    return {
        "mean": net,
        "grid": lambda images: torch.nn.functional.adaptive_avg_pool2d(net.features(images), min(4, 2 * enlarge)).flatten(1),
    }


def _pixels(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(images.permute(0, 3, 1, 2).float(), 4).flatten(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["nano", "micro"])
    parser.add_argument("--amounts", nargs="+", type=int, default=[2048, 32768])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--only", nargs="+", default=[], help="parts of names; the others are left for later")
    given = parser.parse_args()
    print(json.dumps(run(given.folder, given.sizes, given.amounts, given.seeds, given.steps, given.only), indent=1))
