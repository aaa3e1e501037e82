"""Pictures of every format and mode come out upright in 8-bit RGB."""

from __future__ import annotations

import threading

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from vita.errors import LimitError, MediaError
from vita.media import MediaLimits, load_image, to_rgb

from . import make

RED = (200, 30, 30)


def corner_colours(image: PIL.Image.Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Colours of the upper left and the lower right corner."""
    assert image.mode == "RGB"
    return image.getpixel((1, 1)), image.getpixel((image.width - 2, image.height - 2))  # type: ignore[return-value]


def near(colour: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 12) -> bool:
    """Whether two colours are as good as equal."""
    return all(abs(a - b) <= tolerance for a, b in zip(colour, wanted, strict=True))


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "DDS", "SGI"]
)
def test_formats(form: str) -> None:
    picture = make.picture_of(3, (64, 48))
    loaded = load_image(make.encoded_image(picture, form))
    upper_left, lower_right = corner_colours(loaded)
    assert near(upper_left, make.GREEN, 30)
    assert near(lower_right, make.GROUND, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    """However the camera was held, the picture comes out as it was seen."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that a camera would store
    seen = make.picture_of(0, (60, 40))
    stored = seen.transpose(PIL.Image.Transpose(undo[orientation])) if orientation in undo else seen
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(make.encoded_image(stored, "PNG", exif=exif))
    assert loaded.size == seen.size
    assert np.array_equal(np.asarray(loaded), np.asarray(seen))


def test_transparency_on_white() -> None:
    half = PIL.Image.new("RGBA", (4, 4), (*RED, 128))
    assert near(load_image(make.encoded_image(half, "PNG")).getpixel((0, 0)), (227, 142, 142), 2)
    clear = PIL.Image.new("LA", (4, 4), (0, 0))
    assert load_image(make.encoded_image(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_a_transparent_colour_is_white(mode: str) -> None:
    """The tRNS entry of a PNG: one colour (here: black) is not there."""
    image = PIL.Image.new("RGB", (4, 4), "black").convert(mode)
    clear = (0, 0, 0) if mode == "RGB" else 0
    assert load_image(make.encoded_image(image, "PNG", transparency=clear)).getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_grey_keeps_its_scale() -> None:
    """65535 is white and 32768 is middle grey, not white as a plain conversion gives."""
    values = np.array([[0, 32_768, 65_535]], np.uint16)
    loaded = load_image(make.encoded_image(PIL.Image.fromarray(values), "PNG"))
    assert np.asarray(loaded)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[-10.0, 0.0, 10.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0.0, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[7.0, 7.0, 7.0]], np.float32), [0, 0, 0]),
    ],
)
def test_deep_grey(values: np.ndarray, expected: list[int]) -> None:
    loaded = load_image(make.encoded_image(PIL.Image.fromarray(values), "TIFF"))
    assert np.asarray(loaded)[0, :, 1].tolist() == expected


def test_cmyk_jpeg() -> None:
    cmyk = PIL.Image.new("RGB", (32, 32), RED).convert("CMYK")
    assert near(load_image(make.encoded_image(cmyk, "JPEG")).getpixel((9, 9)), RED)


def test_lab_tiff() -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(PIL.Image.new("RGB", (8, 8), RED), *profiles, outputMode="LAB")
    assert near(load_image(make.encoded_image(lab, "TIFF")).getpixel((3, 3)), RED)


def test_palette_png() -> None:
    image = PIL.Image.new("RGB", (8, 8), RED).quantize(4)
    assert image.mode == "P"
    assert near(load_image(make.encoded_image(image, "PNG")).getpixel((3, 3)), RED, 2)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(form: str) -> None:
    upper_left, _ = corner_colours(load_image(make.animation(form, 4)))
    assert near(upper_left, make.GREEN, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    assert load_image(make.encoded_image(PIL.Image.new("RGB", size, RED), "PNG")).size == size


def test_the_picture_does_not_need_its_file(tmp_path: object) -> None:
    path = f"{tmp_path}/picture.bin"
    PIL.Image.new("RGB", (5, 5), RED).save(path, "PNG")
    loaded = load_image(path)
    with open(path, "wb"):
        pass
    assert loaded.getpixel((4, 4)) == RED


def test_postscript_is_not_executed() -> None:
    """Pillow would start Ghostscript on it."""
    eps = make.encoded_image(PIL.Image.new("RGB", (8, 8), RED), "EPS")
    with pytest.raises(MediaError, match="no picture that can be read"):
        load_image(eps)


def test_pixel_limit_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds where Pillow's process-wide ceiling is switched off, and differs from thread to thread."""
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", None)
    data = make.encoded_image(PIL.Image.new("1", (100, 100)), "PNG")
    outcomes: dict[int, list[str]] = {50: [], 200: []}

    def load(edge: int) -> None:
        for _ in range(30):
            try:
                outcomes[edge].append(str(load_image(data, limits=MediaLimits(max_pixels=edge**2)).size))
            except LimitError:
                outcomes[edge].append("refused")

    threads = [threading.Thread(target=load, args=(edge,)) for edge in outcomes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {50: ["refused"] * 30, 200: ["(100, 100)"] * 30}


def test_pillows_ceiling_is_told_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(LimitError, match="too many pixels"):
        load_image(make.encoded_image(PIL.Image.new("1", (100, 100)), "PNG"))


def test_to_rgb_leaves_its_argument_alone() -> None:
    image = PIL.Image.new("RGB", (3, 3), RED)
    copy = to_rgb(image)
    copy.putpixel((0, 0), (0, 0, 0))
    assert image.getpixel((0, 0)) == RED
