"""An image encoder learns from images, goes on exactly, and leaves a file, a page and their origin behind."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from policies.encoders.file import EncoderFile
from policies.networks import vit
from robolearn import cli
from robolearn.data.columns import DataError
from robolearn.data.writer import DatasetWriter
from robolearn.errors import UserError
from robolearn.learning.run import Run, load_checkpoint
from robolearn.pretraining.encoder import loop
from robolearn.pretraining.encoder.config import EncoderCfg, EncoderTraining
from robolearn.pretraining.encoder.files import Filed
from robolearn.pretraining.encoder.frames import Mixture, cut
from robolearn.pretraining.encoder.making import licence_of, make_sources
from robolearn.pretraining.encoder.model import MaskedAutoencoder
from robolearn.pretraining.encoder.recorded import Recorded
from robolearn.pretraining.encoder.trainer import EncoderTrainer
from tests.learning_helpers import assert_identical
from tests.robolearn.data.showing import COLUMNS, FOREIGN, FPS, FRONT, dataset, episode
from tests.robolearn.test_distributed import two_processes

TINY = {"height": 32, "width": 32, "readout": "mean", "decoder_dim": 16, "decoder_layers": 1, "iterations": 4, "updates": 3, "batch": 8}
SHORT = [f"--encoder.{name}={value}" for name, value in TINY.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of a bright square on a slope of colours, in two folders."""
    place = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index in range(40):
        row, column = generator.integers(0, 36, 2)
        y, x = np.mgrid[0:48, 0:60]
        picture = np.stack([4 * x, 5 * y, np.full_like(x, 60)], -1).astype(np.uint8)
        picture[row : row + 12, column : column + 12] = (30, 220, 250)
        (place / str(index % 2)).mkdir(exist_ok=True)
        cv2.imwrite(str(place / str(index % 2) / f"{index:02d}.png"), picture)
    (place / "notes.txt").write_text("not an image")
    return place


def cfg_of(folder: Path, **changes: Any) -> EncoderTraining:
    how = EncoderCfg(**{**TINY, "images": (str(folder),), **changes})
    return EncoderTraining(licence="CC0-1.0", threads=1, precision="fp32", encoder=how)


def trainer_of(cfg: EncoderTraining) -> EncoderTrainer:
    return EncoderTrainer(cfg, make_sources(cfg))


# the autoencoder -----------------------------------------------------------------------------------------------------


def autoencoder(**changes: Any) -> tuple[MaskedAutoencoder, EncoderCfg]:
    torch.manual_seed(0)
    how = EncoderCfg(**{**TINY, **changes})
    return MaskedAutoencoder(how.vit, how), how


def test_what_is_hidden_changes_nothing_that_is_painted() -> None:
    net, how = autoencoder()
    images = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    patches = net.encoder.patches(images)
    order = net.order(5, torch.Generator().manual_seed(1))
    guess = net.guess(patches, order)
    assert how.seen == 4
    assert bool((guess.hidden.sum(1) == 12).all())
    other = torch.where(guess.hidden[..., None], patches + 3.0, patches)
    assert torch.equal(net.guess(other, order).painted, guess.painted)
    seen = torch.where(guess.hidden[..., None], patches, patches + 3.0)
    assert not torch.allclose(net.guess(seen, order).painted, guess.painted)


def test_the_loss_is_of_hidden_patches_by_their_own_mean_and_deviation() -> None:
    net, _ = autoencoder()
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    order = net.order(3, torch.Generator().manual_seed(1))
    patches, guess = net.encoder.patches(images), net.guess(net.encoder.patches(images), order)
    errors = []
    for n in range(3):
        for p in order[n, 4:].tolist():
            pixels = patches[n, p].detach().numpy().astype(np.float64)
            target = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 1e-6)
            errors.append(((guess.painted[n, p].detach().numpy() - target) ** 2).mean())
    assert float(net(images, order).detach()) == pytest.approx(np.mean(errors), rel=1e-4)


def test_painted_pictures_are_whole_where_all_is_right() -> None:
    """A decoder that is right everywhere gives the image back; what is seen comes through as it is."""
    net, _ = autoencoder()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    order = net.order(2, torch.Generator().manual_seed(1))
    patches = net.encoder.patches(images)
    right = dataclasses.replace(net.guess(patches, order), painted=net.target(patches))
    net.guess = lambda *_: right  # type: ignore[method-assign]
    seen, painted = net.pictures(images, order)
    assert int((painted.int() - images.int()).abs().max()) <= 1
    hidden = right.hidden.reshape(2, 4, 4).repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert torch.equal(seen[~hidden], images[~hidden])


def test_masks_fall_on_every_patch_alike() -> None:
    net, _ = autoencoder()
    order = net.order(4000, torch.Generator().manual_seed(0))
    share = torch.stack([(order[:, :4] == patch).any(1).float().mean() for patch in range(16)])
    assert float((share - 0.25).abs().max()) < 0.03


# images ------------------------------------------------------------------------------------------------------------


def test_a_window_has_the_right_shape_and_lies_inside() -> None:
    picture = np.dstack([np.tile(np.arange(100, dtype=np.uint8), (60, 1))] * 3)
    whole = cut(picture, (30, 30), 0.5, None)
    assert whole.shape == (30, 30, 3)
    assert abs(int(whole[0, 0, 0]) - 20) <= 2  # the middle 60 columns
    widths = set()
    for seed in range(50):
        window = cut(picture, (30, 30), 0.5, np.random.default_rng(seed))
        assert window.shape == (30, 30, 3)
        widths.add(int(window[0, -1, 0]) - int(window[0, 0, 0]))
    assert 25 <= min(widths) < 35
    assert 50 <= max(widths) <= 60


def test_a_folder_is_searched_and_a_part_held_out(folder: Path) -> None:
    source = Filed(str(folder), "images", EncoderCfg(**{**TINY, "held_out": 0.25, "crop": 1.0}), "MIT", seed=0)
    assert source.about() == {
        "kind": "images", "path": str(folder), "licence": "MIT", "files": 40, "pictures": 40, "held_out": 10,
    }  # fmt: skip
    held = {picture.tobytes() for picture in source.held_out(100)}
    assert len(held) == 10
    crops = {source.draw(1, (seed,), 0)[0].tobytes() for seed in range(200)}
    assert not held & crops


def test_the_same_key_draws_the_same_pictures_and_weights_share_them(folder: Path) -> None:
    how = EncoderCfg(**TINY)
    one, other = (Filed(str(folder / name), "images", how, "MIT", seed=0) for name in "01")
    mixture = Mixture([one, other], (1.0, 3.0))
    batch = mixture.draw(8, 0, 5, 0)
    assert torch.equal(batch, mixture.draw(8, 0, 5, 0))
    assert not torch.equal(batch, mixture.draw(8, 0, 6, 0))
    assert not torch.equal(batch, mixture.draw(8, 0, 5, 1))
    assert np.array_equal(batch[:2].numpy(), one.draw(2, (0, 5, 0, 0), 0))
    assert np.array_equal(batch[2:].numpy(), other.draw(6, (0, 5, 0, 1), 0))


def video(path: Path, count: int = 30) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * index, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_videos_give_every_nth_frame_and_hold_out_their_end(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    source = Filed(str(path), "videos", EncoderCfg(**{**TINY, "every": 3, "held_out": 0.2}), "MIT", seed=0)
    assert source.about()["pictures"] == 10
    assert source.held_out(9).mean((1, 2, 3)) == pytest.approx([192, 216], abs=4)
    assert source.draw(50, (0,), 0).mean((1, 2, 3)).max() < 172


def test_datasets_give_the_pictures_that_they_have(tmp_path: Path) -> None:
    """Only one of four episodes has images, and those from its 20th row on; the rest of the column is black."""
    pytest.importorskip("av")
    path = dataset(tmp_path / "d")
    source = Recorded(str(path), EncoderCfg(**{**TINY, "every": 2, "held_out": 0.0}), seed=0)
    assert source.about() | {"path": ""} == {
        "kind": "data", "path": "", "licence": "LicenseRef-own", "cameras": [FRONT], "pictures": 65, "held_out": 0,
    }  # fmt: skip
    batch = source.draw(30, (1,), 0)
    assert batch.shape == (30, 32, 32, 3)
    assert batch.mean((1, 2, 3)).min() > 30
    assert np.array_equal(batch, source.draw(30, (1,), 0))
    assert source.held_out(5).shape == (0, 32, 32, 3)


def test_datasets_hold_out_episodes_and_ask_for_licences(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with DatasetWriter(tmp_path / "d", COLUMNS, FPS) as writer:
        writer.add(*(episode(40, FOREIGN, pictures=True) for _ in range(4)))
    with pytest.raises(DataError, match=r"--allow-licence CC-BY-NC-4.0"):
        Recorded(str(tmp_path / "d"), EncoderCfg(**TINY), seed=0)
    source = Recorded(str(tmp_path / "d"), EncoderCfg(**{**TINY, "every": 1, "held_out": 0.25, "allow": ("CC-BY-NC-4.0",)}), seed=0)
    assert (source.about()["pictures"], source.about()["held_out"]) == (80, 20)
    assert len(source.held_out(100)) == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "there is nothing to learn from: give --images FOLDER"),
        (["--images", "{tmp}/none", "--licence", "MIT"], "is neither a file nor a folder"),
        (["--images", "{tmp}", "--licence", "MIT"], r"a folder without such files; valid: \.png"),
        (["--images", "{folder}"], "say under which licence the images .* are, e.g. --licence CC-BY-4.0"),
        (["--images", "{folder}", "--licence", "CC-BY-NC-4.0"], "--allow-licence CC-BY-NC-4.0"),
        (["--render", "velocity-flat"], "robot"),
        (["--render", "go1-velocity-flat"], "names no camera, and neither does go1"),
        (["--images", "{folder}", "--licence", "MIT", "--encoder.sise=nano"], "unknown key 'encoder.sise'; did you mean 'encoder.size'"),
        (["--images", "{folder}", "--licence", "MIT", "--encoder.size=huge"], "encoder.size must be one of nano, micro, tiny, small"),
        (["--images", "{folder}", "--licence", "MIT", "--encoder.mask=0.99"], "mask must leave some of the 16 patches"),
        (["--images", "{folder}", "--licence", "MIT", "--encoder.height=30"], "height 30 is not a multiple of the patch"),
        (["--images", "{folder}", "--licence", "MIT", "--encoder.weights=[1, 2]"], "weights must be one number for each of the 1 sources"),
        (["--images", "{folder}", "--licence", "MIT", "--policy", "p.onnx"], "give --render PRESET with it"),
        (["--images", "{folder}", "--licence", "MIT", "--init", "{tmp}/none.onnx"], "no encoder at"),
        (["--resume", "{tmp}", "--images", "{folder}"], "leave out --images"),
        (["--resume", "{tmp}"], "no checkpoint at"),
        (["--images", "{folder}", "--licence", "MIT", "--device", "gpu"], "device must be one of cpu, cuda"),
        (["--image", "{folder}"], "did you mean '--images'"),
    ],
)
def test_wrong_arguments_are_told_what_is_valid(
    options: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [text.format(tmp=tmp_path, folder=folder) for text in options]
    more = (
        []
        if "--resume" in options
        else ["--runs", str(tmp_path / "runs"), *[text for text in SHORT if text.partition("=")[0] not in str(options)]]
    )
    assert cli.main(["pretrain", "encoder", *given, *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(said, error), error
    assert not (tmp_path / "runs").exists()


def test_licences_are_joined() -> None:
    assert licence_of([{"licence": "MIT"}, {"licence": "CC0-1.0 AND MIT"}]) == "CC0-1.0 AND MIT"


# training ------------------------------------------------------------------------------------------------------------


def test_it_learns(folder: Path) -> None:
    trainer = trainer_of(cfg_of(folder, iterations=12, updates=10, learning_rate=3e-3))
    before = trainer.check()["held_out/loss"]
    for _ in range(12):
        trainer.iterate()
    assert trainer.check()["held_out/loss"] < 0.75 * before


def test_a_resumed_training_is_the_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    cfg = cfg_of(folder)
    whole = trainer_of(cfg)
    told = [whole.iterate() for _ in range(4)]
    first = trainer_of(cfg)
    for _ in range(2):
        first.iterate()
    run = Run(tmp_path / "run", cfg)
    loop.save(first, run)
    run.close()
    state = load_checkpoint(tmp_path / "run")
    second = trainer_of(loop.resumed(state, "it", []))
    second.load_state_dict(state)
    assert [second.iterate() for _ in range(2)] == told[2:]
    assert_identical(second.policy.state_dict(), whole.policy.state_dict())


def test_resuming_refuses_other_pictures_and_other_settings(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(cfg_of(folder))
    trainer.iterate()
    run = Run(tmp_path / "run", trainer.cfg)
    loop.save(trainer, run)
    run.close()
    state = load_checkpoint(tmp_path / "run")
    with pytest.raises(UserError, match="cannot change; what can: --encoder"):
        loop.resumed(state, "it", ["--encoder.batch=4"])
    other = trainer_of(cfg_of(folder / "0"))
    with pytest.raises(UserError, match="images have changed"):
        other.load_state_dict(state)


def test_an_interrupted_training_has_saved(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(cfg_of(folder))
    iterate = trainer.iterate

    def interrupted() -> dict[str, float]:
        if trainer.iteration == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return iterate()

    trainer.iterate = interrupted  # type: ignore[method-assign]
    run = Run(tmp_path / "run", trainer.cfg)
    with pytest.raises(loop.Interrupted):
        loop.train(trainer, run)
    run.close()
    assert load_checkpoint(tmp_path / "run")["iteration"] == 2


def test_a_training_that_diverges_says_so_and_keeps_its_checkpoint(folder: Path, tmp_path: Path) -> None:
    trainer = trainer_of(cfg_of(folder))
    trainer.cfg = dataclasses.replace(trainer.cfg, checkpoint_every=1)
    iterate = trainer.iterate

    def broken() -> dict[str, float]:
        metrics = iterate()
        return metrics | {"loss": float("nan")} if trainer.iteration == 2 else metrics

    trainer.iterate = broken  # type: ignore[method-assign]
    run = Run(tmp_path / "run", trainer.cfg)
    with pytest.raises(UserError, match="diverged in iteration 2: loss not finite"):
        loop.train(trainer, run)
    run.close()
    assert load_checkpoint(tmp_path / "run")["iteration"] == 1


def test_the_command_leaves_a_file_that_tells_its_origin(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["pretrain", "encoder", "--images", str(folder), "--licence", "CC0-1.0", "--runs", str(tmp_path), *SHORT, "--seed=5"]
    assert cli.main(arguments) == 0
    (run,) = (tmp_path / "encoder-nano").iterdir()
    file = EncoderFile(run / "encoder.onnx")
    assert file.verify() <= 1e-4
    origin = file.origin
    assert (origin["licence"], origin["seed"], origin["steps"], origin["pictures"]) == ("CC0-1.0", 5, 12, 96)
    assert origin["data"][0]["path"] == str(folder)
    assert origin["held_out_loss"] > 0
    state = load_checkpoint(run)
    weights = {name.removeprefix("encoder."): value for name, value in state["policy"].items() if name.startswith("encoder.")}
    for path in (run / "encoder.onnx", run / "checkpoint.pt", run):
        assert torch.equal(vit.load(path).blocks[3].up.weight, weights["blocks.3.up.weight"])  # type: ignore[union-attr]
    assert cv2.imread(str(run / "reconstructions.png")) is not None
    page = (run / "reconstructions.html").read_text(encoding="utf-8")
    assert origin["weights_sha256"] in page
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is fetched
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "images_per_s", "held_out/loss"} <= lines[-1].keys()
    capsys.readouterr()
    assert cli.main(["pretrain", "encoder", "--resume", str(run), "--encoder.iterations=5"]) == 0
    assert load_checkpoint(run)["iteration"] == 5
    assert "iteration" not in capsys.readouterr().err.partition("error")[2]
    again = ["pretrain", "encoder", str(run / "config.yaml"), "--init", str(run), "--runs", str(tmp_path / "next")]
    assert cli.main(again) == 0
    (after,) = (tmp_path / "next" / "encoder-nano").iterdir()
    assert EncoderFile(after / "encoder.onnx").origin["started_from"]["path"] == str(run)


def test_another_kind_of_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"kind": "teacher", "config": "", "iteration": 1, "policy": {}}, tmp_path / "checkpoint.pt")
    assert cli.main(["pretrain", "encoder", "--resume", str(tmp_path)]) == 2
    assert "is a checkpoint of a teacher, not of an encoder" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_learn_one_encoder(folder: Path, tmp_path: Path) -> None:
    arguments = ["-m", "robolearn", "pretrain", "encoder", "--images", str(folder), "--licence", "MIT", "--runs", str(tmp_path), *SHORT]
    outputs = two_processes(arguments)
    (run,) = (tmp_path / "encoder-nano").iterdir()
    assert load_checkpoint(run)["iteration"] == 4
    assert EncoderFile(run / "encoder.onnx").origin["pictures"] == 2 * 96
    assert sum("done: 4 iterations" in text for text in outputs) == 1
