"""Every entry of the table that changes how worlds look: its effect, measured in the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from envs.robots.registry import get_robot
from envs.sensing import assets
from envs.sensing.camera import CameraTerm
from envs.terms import looks
from envs.terms.term import EventTerm
from robolearn.config import loading, schema
from tests.envs.seeing import SIDE, at_rest, pictures, seeing, view

EFFECTS: list[tuple[object, Callable[[Path], None]]] = []


def effect(term: object) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """What a test measures."""

    def mark(test: Callable[[Path], None]) -> Callable[[Path], None]:
        EFFECTS.append((term, test))
        return test

    return mark


def shown(*terms: EventTerm, worlds: int = 2, **views: CameraTerm) -> dict[str, np.ndarray]:
    """What cameras show of arms that are all in the default pose, float."""
    env = seeing(*terms, worlds=worlds, **(views or {"view": view()}))
    at_rest(env)
    return {name: pictures(env, name).astype(float) for name in env.images}


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Where the ground and the robot are in the view, (h, w) bool, without the pixels beside an edge."""
    labels = shown(view=view(modality="segmentation"))["view"][0, ..., 0].astype(np.uint8)
    inside = cv2.erode((labels == 1).astype(np.uint8), np.ones((3, 3))), cv2.erode((labels == 2).astype(np.uint8), np.ones((3, 3)))
    return inside[0].astype(bool), inside[1].astype(bool)


@effect(looks.Textures)
def pictures_of_a_folder_cover_the_ground_and_nothing_else(folder: Path) -> None:
    for name, bgr in (("red", (0, 0, 255)), ("blue", (255, 0, 0))):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((8, 12, 3), bgr, np.uint8))
    ground, robot = masks()
    plain = shown(worlds=12)["view"]
    seen = shown(EventTerm(looks.Textures, folder=str(folder), shine=(0.0, 0.0)), worlds=12)["view"]
    of_ground = seen[:, ground].mean(1)
    assert np.minimum(of_ground[:, 0], of_ground[:, 2]).max() < 5 < of_ground.max(1).min()  # red or blue alone, and lit
    assert len({bool(color[0] > color[2]) for color in of_ground}) == 2  # both, in some worlds
    assert np.abs(seen[:, robot] - plain[:, robot]).mean() < 1
    term = EventTerm(looks.Textures, kinds=("checker",), repeat=(3.0, 4.0), shine=(0.0, 0.0))
    made, bare = (shown(*terms, worlds=6, view=view(height=48, width=48))["view"] for terms in ((term,), ()))
    edges = [(np.abs(np.diff(picture, axis=2)).max(-1) > 12).mean() for picture in (made, bare)]
    assert edges[0] > 2 * edges[1]


@effect(looks.colors)
def links_have_other_colors_and_the_ground_its_own(folder: Path) -> None:
    ground, robot = masks()
    plain = shown()["view"]
    seen = shown(EventTerm(looks.colors, on=("robot",), spread=0.4))["view"]
    assert np.abs(seen[:, robot] - plain[:, robot]).mean() > 15
    assert np.abs(seen[:, ground] - plain[:, ground]).mean() < 1
    assert np.abs(seen[0, robot] - seen[1, robot]).mean() > 15
    assert np.array_equal(shown(EventTerm(looks.colors, spread=0.0))["view"], plain)


@effect(looks.Light)
def a_brighter_sun_is_brighter_and_a_lower_one_throws_longer_shadows(folder: Path) -> None:
    still = {"turn": 0.0, "tint": 0.0, "ambient": (1.0, 1.0)}
    dim, plain, bright = (shown(EventTerm(looks.Light, brightness=(x, x), **still))["view"] for x in (0.5, 1.0, 1.4))
    assert dim.mean() < 0.8 * plain.mean() < 0.75 * bright.mean()
    np.testing.assert_array_equal(plain, shown()["view"])
    dark = shown(EventTerm(looks.Light, turn=0.0, tint=0.0, brightness=(1.0, 1.0), ambient=(0.2, 0.2)))["view"]
    assert dark.mean() < 0.8 * plain.mean()
    turned = shown(EventTerm(looks.Light, turn=1.0, tint=0.0, brightness=(1.0, 1.0), ambient=(1.0, 1.0)))["view"]
    assert np.abs(turned - plain).mean() > 3
    tinted = shown(EventTerm(looks.Light, turn=0.0, tint=0.4, brightness=(1.0, 1.0), ambient=(1.0, 1.0)))["view"]
    balance = (tinted / np.maximum(plain, 1)).mean((1, 2))
    assert np.ptp(balance, axis=1).max() > 0.05


@effect(looks.CameraPose)
def a_camera_off_its_place_sees_the_scene_from_there(folder: Path) -> None:
    """A shift of the hand camera along its axis changes the depth of the ground by as much, and not more than the bound."""
    plain = shown(view=view("wrist", modality="depth", far=5.0))["view"]
    shifted = shown(EventTerm(looks.CameraPose, position=0.05, angle=0.0), worlds=8, view=view("wrist", modality="depth", far=5.0))["view"]
    change = np.abs(shifted[:, 2, SIDE // 2, 0] - plain[0, 2, SIDE // 2, 0])
    assert 0.003 < change.max() < 0.12  # sqrt(3) x 5 cm, over a cosine
    turned = shown(EventTerm(looks.CameraPose, on=("wrist",), position=0.0, angle=0.2), worlds=4,
                   view=view("wrist", modality="depth", far=5.0), room=view(modality="depth"))  # fmt: skip
    assert np.abs(turned["view"] - plain[:1]).mean((1, 2, 3)).max() > 0.01
    np.testing.assert_allclose(turned["room"], shown(room=view(modality="depth"), worlds=4)["room"], atol=1e-3)


@effect(looks.FieldOfView)
def a_wider_angle_shows_the_robot_smaller(folder: Path) -> None:
    count = [
        (shown(EventTerm(looks.FieldOfView, factor=(x, x)), view=view(modality="segmentation", height=48, width=48))["view"] == 2).mean()
        for x in (0.8, 1.0, 1.25)
    ]
    assert count[0] > 1.1 * count[1] > 1.1**2 * count[2]


@effect(looks.Background)
def the_sky_is_a_picture(folder: Path) -> None:
    """Through a camera of one's own that looks at the horizon: the upper half changes, the lower does not."""
    cv2.imwrite(str(folder / "green.png"), np.full((10, 16, 3), (0, 255, 0), np.uint8))
    env = seeing(EventTerm(looks.Background, folder=str(folder), count=1), worlds=12, robot=level(), view=view("level"))
    at_rest(env)
    plain = seeing(worlds=1, robot=level(), view=view("level"))
    at_rest(plain)
    seen, before = pictures(env).astype(float), pictures(plain).astype(float)
    green = [bool((world[:8] == [0, 255, 0]).all()) for world in seen]
    assert 1 <= sum(green) < 12  # the plain sky is one of the two
    assert all(np.array_equal(world, before[0]) for world, is_green in zip(seen, green, strict=True) if not is_green)
    assert np.abs(seen[:, 16:] - before[:, 16:]).mean() < 1


def level():
    """Panda with a camera that looks away from it, level."""
    import dataclasses

    from envs.robots.robot import Camera

    return dataclasses.replace(get_robot("panda"), cameras={"level": Camera(body="world", position=(1.0, 0.0, 1.0))})


@effect(looks.Distractors)
def things_lie_about_that_nothing_touches(folder: Path) -> None:
    term = EventTerm(looks.Distractors, count=5, size=(0.05, 0.08))
    env = seeing(term, worlds=8, parts=view(modality="segmentation"))
    at_rest(env)
    labels = env.spec.group("parts").image.labels
    assert labels == ("nothing", "ground", "robot", "distractor")
    share = (pictures(env, "parts") == labels.index("distractor")).mean((1, 2, 3))
    assert share.max() > 0.02
    assert share.min() < share.max() / 3  # some worlds have few
    assert env.engine.model.ngeom == get_robot("panda").compiled.ngeom


@pytest.mark.parametrize("measure", [test for _, test in EFFECTS], ids=lambda test: test.__name__)
def test_effect(measure: Callable[[Path], None], tmp_path: Path) -> None:
    measure(tmp_path)


def test_every_entry_is_measured() -> None:
    there = {value for value in vars(looks).values() if getattr(getattr(value, "__about__", None), "needs", None) == "camera"}
    assert {term for term, _ in EFFECTS} == there


# pictures ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", assets.KINDS)
def test_a_made_texture_has_two_colors_and_fits_edge_to_edge(kind: str) -> None:
    picture = assets.procedural(kind, np.random.default_rng(1))
    assert picture.shape == (assets.SIDE, assets.SIDE, 3)
    assert picture.astype(float).std((0, 1)).max() > 3
    if kind not in ("checker", "stripes", "dots"):  # whose edges are edges anyway
        inner = np.abs(np.diff(picture.astype(float), axis=1)).max()
        assert np.abs(picture[:, 0].astype(float) - picture[:, -1]).max() <= 1.5 * inner + 1


def test_what_cannot_be_a_texture_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no texture 'plaid'; valid: checker, stripes"):
        seeing(EventTerm(looks.Textures, kinds=("plaid",)), view=view())
    with pytest.raises(ValueError, match="there is no folder"):
        seeing(EventTerm(looks.Textures, folder=str(tmp_path / "none")), view=view())
    with pytest.raises(ValueError, match="has no pictures"):
        seeing(EventTerm(looks.Textures, folder=str(tmp_path)), view=view())
    with pytest.raises(ValueError, match=r"nothing that is seen is called 'tabel'; valid: ground, robot, objects, or a pattern of floor"):
        seeing(EventTerm(looks.colors, on=("tabel",)), view=view())
    with pytest.raises(ValueError, match=r"there is no camera 'hed' among the observations; valid: \*, outside, view"):
        seeing(EventTerm(looks.CameraPose, on=("hed",)), view=view())
    with pytest.raises(ValueError, match="cameras see no field 'body_mass'"):
        seeing(view=view()).cameras.stage.set_field("body_mass", torch.tensor([0]), torch.zeros(1, 1))


def test_cameras_and_looks_stand_in_yaml_and_come_back() -> None:
    cfg = schema.load("panda-reach", [
        "--env.observations.hand={camera: wrist, rate: 10, height: 32}",
        "--env.observations.room.camera=outside",
        "--env.randomization.floor={func: 'envs.terms.looks:Textures', on: [ground], repeat: [1.0, 2.0]}",
    ])  # fmt: skip
    assert cfg.env.observations["hand"] == CameraTerm(camera="wrist", rate=10.0, height=32)
    again = schema.loads(loading.dump(cfg), "the text")
    assert again.env == cfg.env
    less = schema.loads(loading.dump(cfg), "the text", ["--env.observations.room=null", "--env.observations.hand.width=48"])
    assert less.env.observations["hand"].width == 48
    assert "room" not in less.env.observations
    with pytest.raises(loading.ConfigError, match=r"did you mean 'env.observations.hand.height'\?"):
        schema.loads(loading.dump(cfg), "the text", ["--env.observations.hand.heigth=3"])
