"""Any picture to an RGB PIL image, upright. Called by chat, the data pipeline, the server and `animation.py`.

The size is read from the header and checked before a pixel is decoded, by our own limit and not by Pillow's
process-wide one (which stays as a second net).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import PIL.Image
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from vita.errors import LimitError, MediaError
from vita.media.fetch import DEFAULT_POLICY, FetchPolicy
from vita.media.limits import DEFAULT_LIMITS, MediaLimits
from vita.media.source import Opened, Source, open_source

_NOT_READ = ("EPS",)
"""Formats that Pillow would hand to another program: PostScript is a language that Ghostscript executes."""
_READER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
"""What Pillow's many readers raise on bytes they did not expect (found by damaging files at random)."""


def load_image(
    source: Source, *, limits: MediaLimits = DEFAULT_LIMITS, policy: FetchPolicy = DEFAULT_POLICY
) -> PIL.Image.Image:
    """A picture in RGB: EXIF orientation applied, transparency on white, first frame of an animation.

    Raises:
        MediaError: not a picture, or a damaged one.
        LimitError: too many bytes or pixels.
    """
    with open_source(source, limits=limits, policy=policy) as opened, open_picture(opened, limits) as picture:
        return to_rgb(picture, copy=False)


@contextmanager
def open_picture(opened: Opened, limits: MediaLimits) -> Iterator[PIL.Image.Image]:
    """The picture with its header read and its size checked, nothing decoded; errors of the block are told as ours."""
    PIL.Image.init()
    formats = [name for name in PIL.Image.OPEN if name not in _NOT_READ]
    opened.file.seek(0)
    with _decoding(opened.name, limits), PIL.Image.open(opened.file, formats=formats) as picture:
        check_pixels(opened.name, picture.size, limits)
        yield picture


def check_pixels(name: str, size: tuple[int, int], limits: MediaLimits) -> None:
    """Refuse a picture or frame of more pixels than the limit."""
    if size[0] * size[1] > limits.max_pixels:
        raise _too_many_pixels(name, f"{size[0]} x {size[1]}", limits)


def to_rgb(image: PIL.Image.Image, *, copy: bool = True) -> PIL.Image.Image:
    """A picture of any mode in RGB, upright, transparency on white; without `copy` it may be the picture itself."""
    if copy:
        image = ImageOps.exif_transpose(image)
    else:
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _deep_grey(image).convert("RGB")
    if image.mode == "LAB":
        return ImageCms.profileToProfile(  # type: ignore[return-value]
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        picture = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        white = PIL.Image.new("RGBA", picture.size, "white")
        return PIL.Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: PIL.Image.Image) -> PIL.Image.Image:
    """Grey values of 16 or 32 bits or floats to 8 bits: 16 bits keep their scale, other ranges are stretched."""
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    elif image.mode != "F" and low >= 0.0 and high <= 65535.0:
        low, high = 0.0, 65535.0
    scaled = (values - low) * (255.0 / ((high - low) or 1.0))
    return PIL.Image.fromarray(np.rint(scaled).astype(np.uint8))


@contextmanager
def _decoding(name: str, limits: MediaLimits) -> Iterator[None]:
    """Turns what Pillow's readers raise on a bad file into ours."""
    try:
        yield
    except MediaError:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        pixels = re.search(r"\d+ pixels", str(error))
        raise _too_many_pixels(name, pixels[0] if pixels else error, limits) from None
    except UnidentifiedImageError:
        raise MediaError(
            f"{name} is no picture that can be read",
            expected="PNG, JPEG, WebP, GIF, TIFF, BMP, ...",
            fix="check the file or convert it to PNG",
        ) from None
    except _READER_ERRORS as error:
        raise MediaError(f"{name} is a damaged picture", got=error, fix="export or download it again") from error


def _too_many_pixels(name: str, got: object, limits: MediaLimits) -> LimitError:
    return LimitError(
        f"{name} has too many pixels",
        got=got,
        expected=f"at most {limits.max_pixels} pixels",
        fix="scale it down or raise max_pixels",
    )
