"""Real photographs that scikit-image installs with itself: nothing is downloaded.

Sources and licences: https://scikit-image.org/docs/stable/api/skimage.data.html
"""

from __future__ import annotations

from functools import cache

import numpy as np
import skimage.data
from skimage.color import rgb2gray
from skimage.transform import resize
from skimage.util import img_as_float32

GREY = ("camera", "cell", "clock", "coins", "moon", "page", "text")
COLOUR = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
)

ZOOM = 2.0  # photos are shown at full size down to half of it
MIN_STD = 0.03  # flatter crops are sky or paper: nothing but noise once contrast is equalised


@cache
def photo(name: str, channels: int) -> np.ndarray:
    """Photo `name` as float32 (H, W, channels) in [0, 1]; ValueError for a grey photo in colour."""
    pixels = img_as_float32(getattr(skimage.data, name)())
    if channels == 1:
        grey = rgb2gray(pixels) if pixels.ndim == 3 else pixels
        return grey[..., None].astype(np.float32)
    if pixels.ndim == 2:
        raise ValueError(f"photo '{name}' is grey")
    return pixels[..., :3]


def sample_crops(
    image: np.ndarray, size: int, count: int, rng: np.random.Generator, zoom: float = 1.0
) -> np.ndarray:
    """`count` random square crops of `image` (H, W, C), resized to `size`: (count, size, size, C).

    A crop's side is `size` times a factor drawn from [1, zoom], at most the photo's short side. Crops with
    a standard deviation below MIN_STD are drawn again.
    """
    height, width, _ = image.shape
    crops: list[np.ndarray] = []
    for _ in range(200 * count):
        side = min(round(size * rng.uniform(1, zoom)), height, width)
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        crop = image[top : top + side, left : left + side]
        if crop.std() < MIN_STD:
            continue
        if side != size:
            crop = resize(crop, (size, size), anti_aliasing=side > size).astype(np.float32)
        crops.append(crop)
        if len(crops) == count:
            return np.stack(crops)
    raise ValueError("the photo has too few crops with any contrast")


def photo_crops(
    channels: int, size: int, count: int, rng: np.random.Generator, without: tuple[str, ...] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Crops spread evenly over the photos: float32 (count, size, size, channels), and their names.

    Colour crops come from colour photos only, so that lack of colour is no cue. without: photos left out.
    """
    names = [name for name in (GREY + COLOUR if channels == 1 else COLOUR) if name not in without]
    shares = [len(part) for part in np.array_split(np.arange(count), len(names))]
    crops = [
        sample_crops(photo(name, channels), size, share, rng, ZOOM)
        for name, share in zip(names, shares, strict=True)
        if share
    ]
    labels = tuple(f"{name}-{i:03d}" for name, share in zip(names, shares, strict=True) for i in range(share))
    return np.concatenate(crops), labels
