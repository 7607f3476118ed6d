"""The sources that the settings name, in their order: images, videos, data, render."""

from __future__ import annotations

from robolearn.data.licence import FREE, verdict
from robolearn.errors import UserError
from robolearn.pretraining.encoder.config import EncoderTraining
from robolearn.pretraining.encoder.files import Filed
from robolearn.pretraining.encoder.frames import Frames
from robolearn.pretraining.encoder.recorded import Recorded
from robolearn.pretraining.encoder.rendered import Rendered


def make_sources(cfg: EncoderTraining, rank: int = 0) -> list[Frames]:
    """Open all sources.

    Raises:
        UserError: one is not there, cannot be read, or its licence is not allowed.
    """
    how = cfg.encoder
    if how.images or how.videos:
        check_own(cfg.licence, how.allow)
    if how.policy and not how.render:
        raise UserError("encoder.policy moves rendered robots; give --render PRESET with it")
    sources: list[Frames] = [Filed(path, "images", how, cfg.licence, cfg.seed) for path in how.images]
    sources += [Filed(path, "videos", how, cfg.licence, cfg.seed) for path in how.videos]
    sources += [Recorded(path, how, cfg.seed) for path in how.data]
    return [*sources, *(Rendered(preset, how, cfg.seed, rank) for preset in how.render)]


def check_own(licence: str, allow: tuple[str, ...]) -> None:
    """Refuse images of files whose licence nobody says, or forbids some use, unless that is allowed by name.

    Raises:
        UserError: says what to type.
    """
    if verdict(licence) == "free" or licence.lower() in {name.lower() for name in allow}:
        return
    if licence == "unknown":
        raise UserError(
            "say under which licence the images of --images and --videos are, e.g. --licence CC-BY-4.0, or --licence LicenseRef-own for "
            f"your own; to learn from them all the same: --allow-licence unknown. Free ones: {', '.join(FREE[:6])}, ..."
        )
    raise UserError(f"the licence {licence} is not known to be free; to learn from the images all the same: --allow-licence {licence}")


def licence_of(about: list[dict[str, str]]) -> str:
    """The licence of weights that were learned from sources: all of theirs, each once, joined by AND."""
    names = [part for source in about for part in source["licence"].split(" AND ")]
    return " AND ".join(sorted(dict.fromkeys(names)))
