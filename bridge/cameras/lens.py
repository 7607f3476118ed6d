"""Compares a camera's lens, as its `CameraInfo` tells it, with the one that the policy was trained with."""

from __future__ import annotations

from collections.abc import Sequence

from policies.contract.spec import ImageSpec

TOLERANCE = 0.05
"""Largest difference of focal lengths, as a share, and of the principal point, as a share of the picture's side."""
DISTORTED = 1e-3


def lens_fault(image: ImageSpec, k: Sequence[float], width: int, height: int, tolerance: float = TOLERANCE) -> str | None:
    """What is wrong with a lens for a policy, in words; None if it fits, or if the camera does not tell (K is zero).

    Args:
        image: what the policy was trained with.
        k: the matrix K of `CameraInfo`, 9 numbers by rows [pixels].
        width, height: the size of picture that K is for [pixels]; for another size than the policy's it is scaled.
        tolerance: see `TOLERANCE`.
    """
    if len(k) != 9 or not k[0] or width < 1 or height < 1:
        return None
    across, down = image.width / width, image.height / height
    told = {"fx": k[0] * across, "fy": k[4] * down, "cx": (k[2] + 0.5) * across - 0.5, "cy": (k[5] + 0.5) * down - 0.5}
    sides = {"fx": image.fx, "fy": image.fy, "cx": image.width, "cy": image.height}
    off = [
        f"{name} {value:.4g} (trained with {getattr(image, name):.4g})"
        for name, value in told.items()
        if not abs(value - getattr(image, name)) <= tolerance * sides[name]
    ]
    if not off:
        return None
    return (
        f"its lens, at the policy's {image.width} x {image.height} pixels, has {', '.join(off)}: it shows things larger, smaller or "
        f"elsewhere than in training; take a camera or a crop with that view, or allow more with --lens-tolerance (now {tolerance:g})"
    )


def distortion(d: Sequence[float]) -> str | None:
    """A remark on a lens that bends straight lines, by the coefficients of `CameraInfo`; None for one that does not."""
    worst = max((abs(value) for value in d), default=0.0)
    return (
        f"its lens distorts (coefficients up to {worst:.2g}); the policy was trained without: use rectified pictures"
        if worst > DISTORTED
        else None
    )
