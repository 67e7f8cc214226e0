"""Augmentation that breaks the link between a camera and its classes: colours, sharpness, and vehicles pasted anywhere."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

IGNORE = 255
#: share of the crops that take the colours of another scene, unless told otherwise
RECOLOURED = 0.35


def photometric(image: Image.Image, rng: random.Random, palette: tuple[np.ndarray, np.ndarray] | None = None,
                recoloured: float = RECOLOURED) -> Image.Image:
    """Colour, contrast, haze, sharpness and compression; `palette` = (mean, std) of another scene, whose colours it takes now and then."""
    if rng.random() < 0.25:
        n = image.size[0]
        m = int(n / rng.uniform(1.3, 2.6))
        image = image.resize((m, m), Image.BILINEAR).resize((n, n), Image.BILINEAR)
    elif rng.random() < 0.2:
        image = image.filter(ImageFilter.UnsharpMask(rng.uniform(0.7, 2), rng.randint(40, 130), 2))
    if rng.random() < 0.15:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(25, 80))
        image = Image.open(buffer)
    x = np.asarray(image, np.float32) / 255
    if palette is not None and rng.random() < recoloured:
        part = rng.uniform(0.4, 1.0)
        # Never so dark that nothing can be seen.
        moved = (x - x.mean((0, 1))) / (x.std((0, 1)) + 0.02) * np.clip(palette[1], 0.08, 0.3) + np.clip(palette[0], 0.25, 0.7)
        x = x + (moved.astype(np.float32) - x) * part
    if rng.random() < 0.85:
        x = np.clip(x, 0, 1) ** rng.uniform(0.65, 1.5)
        mean = x.mean((0, 1))
        x = (x - mean) * rng.uniform(0.6, 1.4) + mean * rng.uniform(0.75, 1.25)
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * rng.uniform(0.4, 1.5)
        x = x * np.array([rng.uniform(0.87, 1.15) for _ in range(3)], np.float32)
        if rng.random() < 0.15:  # haze
            x = x + (rng.uniform(0.6, 0.9) - x) * rng.uniform(0.05, 0.3)
    if rng.random() < 0.2:
        noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(x.shape, np.float32)
        x = x + noise * rng.uniform(0.005, 0.04)
    return Image.fromarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8))


@dataclass
class Cutout:
    """A vehicle cut out of its scene."""

    concept: str
    image: Image.Image  # RGB
    mask: Image.Image  # L, 0 or 255


#: colour -> (red, green, blue) of a body that its brightness is multiplied with
PAINTS = {"red": (1.0, 0.16, 0.14), "blue": (0.18, 0.32, 1.0), "yellow": (1.0, 0.85, 0.15), "green": (0.2, 0.6, 0.28)}


def paint(vehicle: np.ndarray, colour: str) -> np.ndarray:
    """Recolours a vehicle (H, W, 3 in 0..1): its brightness under the colour, windows (dark) as they are."""
    light = vehicle.mean(2, keepdims=True)
    strength = np.clip((light - 0.15) / 0.3, 0, 1)
    body = np.clip(light * 0.5 + 0.4, 0, 1) * np.array(PAINTS[colour], np.float32)
    return vehicle * (1 - strength) + body * strength


def paste_vehicles(image: Image.Image, cutouts: list[Cutout], rng: random.Random) -> tuple[Image.Image, np.ndarray, list[str]]:
    """Pastes two to nine vehicles of about one size, each with a soft shadow.

    -> the image; a map (H, W): 255 unknown, 254 the ground beside a vehicle, i < 254 the i-th vehicle; what each is
    ("car", "red car", "bus", ...).
    """
    n = image.size[0]
    canvas = np.asarray(image, np.float32) / 255
    placed = np.full((n, n), 255, np.uint8)
    names: list[str] = []
    length = rng.uniform(14, 64)
    heading = rng.choice([None, rng.uniform(0, 360)])
    sun = (rng.uniform(-0.25, 0.25) * length, rng.uniform(-0.25, 0.25) * length)
    for _ in range(rng.randint(2, 9)):
        cut = rng.choice(cutouts)
        scale = length * rng.uniform(0.85, 1.15) * (2.2 if cut.concept == "bus" else 1.25 if cut.concept in ("van", "truck") else 1) / max(cut.image.size)
        size = tuple(max(4, round(s * scale)) for s in cut.image.size)
        if max(size) > n // 2:
            continue
        angle = rng.uniform(0, 360) if heading is None else heading + rng.choice([0, 0, 90, 180]) + rng.gauss(0, 4)
        vehicle = cut.image.resize(size, Image.BILINEAR).rotate(angle, Image.BILINEAR, expand=True)
        mask = cut.mask.resize(size, Image.BILINEAR).rotate(angle, Image.BILINEAR, expand=True)
        w, h = vehicle.size
        x0, y0 = rng.randint(0, n - w), rng.randint(0, n - h)
        window = (slice(y0, y0 + h), slice(x0, x0 + w))
        if (placed[window] < 254).any():
            continue
        colour = rng.choice([None, None, *PAINTS]) if cut.concept == "car" else None
        pixels = np.asarray(vehicle, np.float32) / 255
        pixels = paint(pixels, colour) if colour else pixels
        alpha = np.asarray(mask, np.float32)[..., None] / 255
        shadow = np.asarray(mask.filter(ImageFilter.GaussianBlur(max(1, length / 20))), np.float32) / 255
        dx, dy = (round(v) for v in sun)
        ys, xs = slice(max(0, y0 + dy), min(n, y0 + dy + h)), slice(max(0, x0 + dx), min(n, x0 + dx + w))
        part = shadow[ys.start - y0 - dy:ys.stop - y0 - dy, xs.start - x0 - dx:xs.stop - x0 - dx]
        canvas[ys, xs] *= 1 - 0.5 * part[..., None]
        canvas[window] = canvas[window] * (1 - alpha) + pixels * alpha
        margin = round(0.4 * length)
        ring = placed[max(0, y0 - margin):y0 + h + margin, max(0, x0 - margin):x0 + w + margin]
        ring[ring == 255] = 254
        placed[window][alpha[..., 0] > 0.5] = len(names)
        names.append(f"{colour} {cut.concept}" if colour else cut.concept)
    return Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)), placed, names
