"""Small GeoTIFF files as GDAL writes them, for the Rust tests: `pip install rasterio`, then

    python make_geotiffs.py --out ../tests/goldens/geotiff
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine, from_origin

#: metres a pixel, upper left corner: UTM zone 33 north
UTM = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_300_000, 0.5, 0.5)}
WIDTH, HEIGHT = 70, 50


def ramp(bands: int, dtype: str, low: float, high: float) -> np.ndarray:
    """Band k grows from left to right (even k) or from top to bottom (odd k)."""
    x = np.linspace(low, high, WIDTH)[None].repeat(HEIGHT, 0)
    y = np.linspace(low, high, HEIGHT)[:, None].repeat(WIDTH, 1)
    return np.stack([(x, y)[k % 2] for k in range(bands)]).astype(dtype)


def write(path: Path, data: np.ndarray, **options) -> None:
    with rasterio.open(path, "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=len(data), dtype=data.dtype, **options) as file:
        file.write(data)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    out = p.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 32}
    # A satellite product: four bands of 16 bits, infrared last, each band apart, nodata 0 in a corner.
    satellite = ramp(4, "uint16", 300, 4000)
    satellite[:, :10, :12] = 0
    write(out / "satellite_u16_planar_lzw_tiled.tif", satellite, compress="lzw", predictor=2, interleave="band", nodata=0, **tiled, **UTM)
    # The same pixel by pixel, in strips.
    write(out / "satellite_u16_pixel_deflate.tif", satellite, compress="deflate", interleave="pixel", nodata=0, **UTM)
    # An orthophoto: JPEG in tiles, colours as Y, Cb, Cr.
    write(out / "orthophoto_jpeg_tiled.tif", ramp(3, "uint8", 0, 255), compress="jpeg", photometric="ycbcr", jpeg_quality=95,
          tiled=True, blockxsize=32, blockysize=32, interleave="pixel", **UTM)
    # The same with an alpha band that takes out the right edge.
    alpha = np.full((1, HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :, 60:] = 0
    write(out / "orthophoto_rgba.tif", np.concatenate([ramp(3, "uint8", 0, 255), alpha]), photometric="rgb", alpha="yes", **UTM)
    # Elevation or reflectance: floats, one band, NaN and nodata, in degrees.
    floats = ramp(1, "float32", -50, 150)
    floats[:, 5, 5], floats[:, 20:30, 20:30] = np.nan, -9999
    write(out / "floats_degrees.tif", floats, nodata=-9999, compress="deflate", predictor=3, crs="EPSG:4326",
          transform=from_origin(13.0, 60.0, 1e-5, 1e-5))
    # Turned by 30 degrees: the place is a matrix. Big endian BigTIFF, twelve bands.
    write(out / "twelve_bands_turned_bigtiff.tif", ramp(12, "int16", -100, 900), BIGTIFF="YES", ENDIANNESS="BIG", crs="EPSG:32633",
          transform=Affine.translation(500_000, 5_300_000) * Affine.rotation(30) * Affine.scale(2, -2))
    for file in sorted(out.iterdir()):
        print(file.name, file.stat().st_size)


if __name__ == "__main__":
    main()
