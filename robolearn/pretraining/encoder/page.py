"""What an encoder's training looks like: images that it never learned from, what it was shown of them and what was painted from that.

One HTML page with everything inside, and the same images as one strip (PNG).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from policies.files import whole
from policies.networks.vit import count
from robolearn.pretraining.encoder.frames import Pictures
from robolearn.pretraining.encoder.trainer import EncoderTrainer
from robolearn.report import plots
from robolearn.report.page import template, write_page

SHOWN = 24
COLUMNS = 4
"""Triples side by side in the strip."""
GAP, ZOOM = 2, 2
PAGE, STRIP = "reconstructions.html", "reconstructions.png"


def triples(trainer: EncoderTrainer) -> Pictures:
    """Images, what is seen of them, and what is painted: (K, 3, h, w, 3)."""
    images = trainer.tested()
    if not len(images):
        images = trainer.mixture.draw(SHOWN, trainer.cfg.seed, 0, 0)
    images = images[torch.linspace(0, len(images) - 1, min(SHOWN, len(images))).round().long()]
    order = trainer.policy.order(len(images), torch.Generator().manual_seed(1))
    net = trainer.policy
    device = next(net.parameters()).device
    seen, painted = net.pictures(images.to(device), order.to(device))
    return torch.stack([images, seen.cpu(), painted.cpu()], 1).numpy()


def strip(shown: Pictures) -> Pictures:
    """Triples (K, 3, h, w, 3) as one image (H, W, 3)."""
    h, w = shown.shape[2:4]
    rows = -(-len(shown) // COLUMNS)
    sheet = np.full((rows * (h + GAP) - GAP, COLUMNS * (3 * w + 3 * GAP) - GAP, 3), 255, np.uint8)
    for index, triple in enumerate(shown):
        top, left = (index // COLUMNS) * (h + GAP), (index % COLUMNS) * (3 * w + 3 * GAP)
        for place, picture in enumerate(triple):
            sheet[top : top + h, left + place * w : left + (place + 1) * w] = picture
    return sheet.repeat(ZOOM, 0).repeat(ZOOM, 1)


def write(trainer: EncoderTrainer, folder: Path, weights: str, licence: str) -> Path:
    """Write page and strip into a run's folder. Returns the page's path."""
    shown = triples(trainer)
    with whole(folder / STRIP) as temporary:
        temporary.write_bytes(_png(strip(shown)))
    columns = plots.read_metrics(folder / "metrics.jsonl") if (folder / "metrics.jsonl").is_file() else {}
    how, cfg = trainer.cfg.encoder, trainer.policy.encoder.cfg
    held = [value for value in columns.get("held_out/loss", []) if value == value]
    page = template("encoder.html.j2").render(
        facts={
            "network": f"{how.size}: {count(trainer.policy.encoder) / 1e6:.2f} million parameters, {cfg.layers} blocks of width {cfg.dim}",
            "pictures": f"{cfg.height} x {cfg.width}, {cfg.grid[0]} x {cfg.grid[1]} patches, of which {how.seen} are seen",
            "latent": f"{cfg.latent} numbers ({cfg.readout})",
            "learned from": f"{trainer.iteration * trainer.pictures_per_iteration:,} images in {trainer.minutes:.1f} min".replace(",", " "),
            "loss": f"{columns['loss'][-1]:.4f}" if len(columns.get("loss", [])) else "–",
            "held-out loss": f"{held[-1]:.4f}" if held else "–",
            "hash of the weights": weights,
            "licence": licence,
        },
        sources=[_told(source.about()) for source in trainer.mixture.sources],
        normalized=how.normalized,
        held_out=len(trainer.tested()) > 0,
        share=f"{100 * how.mask:g}",
        curve=_curve(columns),
        zoom=max(1, round(128 / cfg.width)) * cfg.width,
        triples=[[_url(picture) for picture in triple] for triple in shown],
    )
    return write_page(folder / PAGE, page)


def _told(about: Mapping[str, Any]) -> str:
    name = about.get("preset") or about.get("path", "")
    rest = ", ".join(f"{key} {value if not isinstance(value, list) else ', '.join(map(str, value))}" for key, value in about.items()
                     if key not in ("kind", "preset", "path") and value)  # fmt: skip
    return f"{about['kind']}: {name} ({rest})"


def _curve(columns: Mapping[str, np.ndarray]) -> str:
    """The loss over the training as inline SVG; empty where nothing was logged."""
    if not len(columns.get("loss", [])):
        return ""
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(9.6, 2.4), layout="constrained")
        axes = figure.subplots()
        seen = columns["pictures"] / 1000
        axes.plot(seen, columns["loss"], color=plots.COLORS[0], label="learned from")
        if "held_out/loss" in columns:
            kept = np.isfinite(columns["held_out/loss"])
            axes.plot(seen[kept], columns["held_out/loss"][kept], "o-", color=plots.COLORS[1], label="held out", markersize=3)
        axes.set_xlabel("thousand images")
        axes.set_ylabel("loss")
        axes.legend()
        return plots.to_svg(figure, "loss over the training")


def _png(picture: Pictures) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()


def _url(picture: Pictures) -> str:
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode('ascii')}"
