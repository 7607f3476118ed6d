"""Pictures off the wire: every encoding, byte order, padded rows, sizes, compression, lenses; and what is refused, with its reason."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.cameras import compressed
from bridge.cameras.compressed import decode_png, decompress, encode_jpeg, encode_png
from bridge.cameras.decode import PictureError, Raw, areas, decode, fit
from bridge.cameras.lens import distortion, lens_fault
from policies.contract.spec import ImageSpec, ObservationGroup

H, W = 6, 8


def group(kind: str = "rgb", **changes: Any) -> ObservationGroup:
    near, far = (0.1, 4.0) if kind == "depth" else (0.0, 0.0)
    labels = ("nothing", "robot") if kind == "segmentation" else ()
    image = ImageSpec(kind=kind, width=W, height=H, frame="eye", fx=5.0, fy=5.0, cx=3.5, cy=2.5, near=near, far=far, labels=labels)
    return ObservationGroup(
        name="view", image=dataclasses.replace(image, **changes), dtype="float32" if kind == "depth" else "uint8", every=5
    )


def rgb(seed: int = 0, size: tuple[int, int] = (H, W)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def wire(pixels: np.ndarray, encoding: str, pad: int = 0, bigendian: bool = False) -> Raw:
    """A picture as a driver would send it."""
    number = pixels.dtype.newbyteorder(">" if bigendian else "<")
    rows = np.ascontiguousarray(pixels, number).view(np.uint8).reshape(len(pixels), -1)
    rows = np.concatenate([rows, np.full((len(rows), pad), 7, np.uint8)], axis=1)
    return Raw(encoding, pixels.shape[1], pixels.shape[0], rows.shape[1], bigendian, rows.tobytes())


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "rgb16", "bgr16"])
@pytest.mark.parametrize("bigendian", [False, True])
def test_colours_arrive_as_red_green_blue(encoding: str, pad: int, bigendian: bool) -> None:
    want = rgb()
    sent = want[..., ::-1] if encoding.startswith("bgr") else want
    if "a" in encoding:
        sent = np.concatenate([sent, np.full((H, W, 1), 9, np.uint8)], axis=2)
    if encoding.endswith("16"):
        sent = (sent.astype(np.uint16) << 8) + 77
    got = decode(wire(sent, encoding, pad, bigendian), group())
    assert got.dtype == np.uint8
    assert not got.flags.writeable
    np.testing.assert_array_equal(got, want)


def test_grey_pictures_get_three_equal_channels() -> None:
    grey = rgb()[..., :1]
    np.testing.assert_array_equal(decode(wire(grey, "mono8"), group()), grey.repeat(3, axis=2))
    np.testing.assert_array_equal(decode(wire(grey.astype(np.uint16) << 8, "mono16"), group()), grey.repeat(3, axis=2))


@pytest.mark.parametrize("bigendian", [False, True])
def test_depth_arrives_in_metres_and_zero_where_nothing_was_measured(bigendian: bool) -> None:
    metres = np.linspace(0.05, 4.5, H * W, dtype=np.float32).reshape(H, W, 1)
    inside = np.where((metres >= 0.1) & (metres <= 4.0), metres, 0)
    got = decode(wire(np.rint(metres * 1000).astype(np.uint16), "16UC1", 3, bigendian), group("depth"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, inside, atol=6e-4)
    broken = metres.copy()
    broken[0, 0], broken[0, 1], broken[0, 2] = np.nan, np.inf, -np.inf
    inside[0, :3] = 0
    np.testing.assert_array_equal(decode(wire(broken, "32FC1", 0, bigendian), group("depth")), inside)


def test_labels_stay_what_they_are() -> None:
    labels = (rgb()[..., :1] > 100).astype(np.uint8)
    np.testing.assert_array_equal(decode(wire(labels, "8UC1"), group("segmentation")), labels)


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        (wire(rgb(), "8UC3"), "rgb", "does not tell the order of its colours"),
        (wire(rgb()[..., :1], "bayer_rggb8"), "rgb", r"convert it first \(image_proc\)"),
        (wire(rgb(), "rgb8"), "depth", "encoding 'rgb8' is not of depth; valid: 16UC1, mono16, 32FC1"),
        (wire(rgb(), "rgb8"), "segmentation", "encoding 'rgb8' is not of labels; valid: mono8, 8UC1"),
        (wire(rgb(size=(H, W + 1)), "rgb8"), "rgb", r"pictures are 9 x 6 pixels, the policy takes 8 x 6: .*--resize-images"),
        (dataclasses.replace(wire(rgb(), "rgb8"), data=b"\0" * 100), "rgb", "has 100 bytes, too few for 8 x 6 rgb8 with 24 bytes a row"),
        (dataclasses.replace(wire(rgb(), "rgb8"), step=10), "rgb", "too few for 8 x 6 rgb8 with 10 bytes a row"),
        (Raw("rgb8", 0, 0, 0, False, b""), "rgb", "too few"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(raw: Raw, kind: str, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        decode(raw, group(kind))


def test_the_last_row_may_lack_its_padding() -> None:
    raw = wire(rgb(), "rgb8", 5)
    np.testing.assert_array_equal(decode(dataclasses.replace(raw, data=raw.data[:-5]), group()), rgb())


@pytest.mark.parametrize("size", [(H * 10, W * 10), (H * 5 // 2, W * 5 // 2), (H // 2, W // 2)])
def test_a_picture_is_resized_by_the_means_of_areas_if_asked(size: tuple[int, int]) -> None:
    picture = rgb(size=size)
    got = decode(wire(picture, "rgb8"), group(), resize=True)
    if size[0] > H:
        want = cv2.resize(picture, (W, H), interpolation=cv2.INTER_AREA)
        assert int(np.abs(got.astype(int) - want).max()) <= 1
    assert got.shape == (H, W, 3)
    assert abs(float(got.mean()) - float(picture.mean())) < 1
    with pytest.raises(PictureError, match="of another shape"):
        decode(wire(rgb(size=(60, 60)), "rgb8"), group(), resize=True)


def test_areas_share_out_each_line_whole() -> None:
    for before, after in ((7, 3), (640, 64), (5, 8)):
        np.testing.assert_allclose(areas(before, after).sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(areas(before, after).sum(axis=0), after / before, atol=1e-5)


def test_depths_are_never_mixed() -> None:
    steps = np.where(np.arange(W * 10) < W * 5, 1.0, 3.0).astype(np.float32)[None, :, None].repeat(H * 10, axis=0)
    assert set(np.unique(decode(wire(steps, "32FC1"), group("depth"), resize=True))) == {1.0, 3.0}


def test_bytes_of_depth_have_no_unit() -> None:
    with pytest.raises(PictureError, match="whose unit its contract does not tell"):
        fit(np.ones((H, W, 1), np.float32), dataclasses.replace(group("depth"), dtype="uint8"))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))))
def test_png_keeps_every_bit(picture: np.ndarray) -> None:
    data = encode_png(picture)
    np.testing.assert_array_equal(decode_png(data), picture)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # another program's reading of it
    np.testing.assert_array_equal(other.reshape(picture.shape)[..., ::-1], picture)


def test_png_of_sixteen_bits_and_by_other_programs() -> None:
    depth = np.random.default_rng(1).integers(0, 65536, (H, W, 1), np.uint16)
    np.testing.assert_array_equal(decode_png(encode_png(depth)), depth)
    smooth = cv2.GaussianBlur(rgb(size=(40, 50)), (9, 9), 0)
    for strategy in (0, 1, 2, 3, 4):
        data = cv2.imencode(".png", smooth[..., ::-1], [cv2.IMWRITE_PNG_STRATEGY, strategy])[1].tobytes()
        np.testing.assert_array_equal(decode_png(data), smooth)
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "PNG")  # mixes all filters
    np.testing.assert_array_equal(decode_png(buffer.getvalue()), smooth)


@pytest.mark.parametrize("cut", [3, 20, 60])
def test_a_png_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(PictureError):
        decode_png(encode_png(rgb())[:cut])


@pytest.mark.parametrize("packages", [("cv2", "PIL.Image"), ("PIL.Image",), ()])
def test_compressed_messages_with_and_without_packages(packages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = compressed._package
    monkeypatch.setattr(compressed, "_package", lambda name: found(name) if name in packages else None)
    np.testing.assert_array_equal(decompress(encode_png(rgb())), rgb())
    depth = np.random.default_rng(1).integers(0, 65536, (H, W, 1), np.uint16)
    np.testing.assert_array_equal(decompress(b"\0" * 12 + encode_png(depth)), depth)  # compressedDepth
    smooth = cv2.GaussianBlur(rgb(size=(48, 64)), (15, 15), 0)
    if not packages:
        for call in (lambda: encode_jpeg(smooth), lambda: decompress(b"\xff\xd8\xff")):
            with pytest.raises(PictureError, match="JPEG needs OpenCV or Pillow; run: pip install"):
                call()
        return
    assert np.abs(decompress(encode_jpeg(smooth)).astype(int) - smooth).mean() < 4
    with pytest.raises(PictureError, match="neither PNG nor JPEG"):
        decompress(b"GIF89a")
    with pytest.raises(PictureError, match="a JPEG is damaged"):
        decompress(b"\xff\xd8\xff" + b"\0" * 40)


def test_lenses_are_compared_at_the_policys_size() -> None:
    image = group().image
    assert image is not None
    k = [5.0, 0, 3.5, 0, 5.0, 2.5, 0, 0, 1]
    assert lens_fault(image, k, W, H) is None
    big = [50.0, 0, 39.5, 0, 50.0, 29.5, 0, 0, 1]  # the same view with ten times the pixels
    assert lens_fault(image, big, W * 10, H * 10) is None
    assert lens_fault(image, [0.0] * 9, W, H) is None, "a camera that was never calibrated tells nothing"
    said = lens_fault(image, [6.0, *k[1:4], 6.0, *k[5:]], W, H)
    assert said is not None
    assert "fx 6 (trained with 5), fy 6 (trained with 5)" in said
    assert "--lens-tolerance (now 0.05)" in said
    assert lens_fault(image, [6.0, *k[1:4], 6.0, *k[5:]], W, H, tolerance=0.3) is None
    assert "cx 4.5" in (lens_fault(image, [5.0, 0, 4.5, *k[3:]], W, H) or "")
    assert "nan" in (lens_fault(image, [float("nan"), *k[1:]], W, H) or "")


def test_a_lens_that_bends_lines_is_remarked_on() -> None:
    assert distortion([0.0] * 5) is None
    assert distortion([]) is None
    assert "use rectified pictures" in (distortion([0.0, -0.3]) or "")
