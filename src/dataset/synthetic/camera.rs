//! What lies between the ground and the file: texture of the surfaces, haze, colour, blur, noise.

use super::random::{Random, mix};
use crate::dataset::scene::LabelMap;
use crate::dataset::skyscapes as labels;
use crate::image::Raster;

/// A camera on a day.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    seed: u64,
    gain: [f64; 3],
    gamma: f64,
    contrast: f64,
    haze: f64,
    saturation: f64,
    blur: usize,
    noise: f64,
}

/// How much a surface varies: in grains (about 0.4 m), patches (2 m), stretches (14 m), and from green
/// to yellow.
fn roughness(label: u8) -> [f64; 4] {
    match label {
        labels::LOW_VEGETATION => [0.14, 0.16, 0.20, 0.16],
        labels::TREE => [0.26, 0.18, 0.05, 0.06],
        labels::NON_PAVED_ROAD | labels::NON_PAVED_PARKING | labels::CLUTTER => {
            [0.12, 0.12, 0.14, 0.05]
        }
        labels::BUILDING => [0.06, 0.05, 0.04, 0.01],
        labels::IMPERVIOUS | labels::SIDEWALK => [0.09, 0.06, 0.06, 0.01],
        labels::CAR..=labels::BUS => [0.02, 0.01, 0.0, 0.0],
        labels::LANE_MARKING => [0.10, 0.04, 0.0, 0.0],
        _ => [0.07, 0.05, 0.07, 0.01],
    }
}

impl Camera {
    pub(super) fn new(random: &mut Random) -> Self {
        let warmth = random.about(0.0, 0.05);
        Self {
            seed: (random.unit() * 2f64.powi(53)) as u64,
            gain: [1.0 + warmth, random.about(1.0, 0.02), 1.0 - warmth]
                .map(|g| g * random.about(1.05, 0.09)),
            gamma: random.about(1.0, 0.14),
            contrast: random.about(1.0, 0.16),
            haze: if random.chance(0.4) {
                random.between(0.02, 0.22)
            } else {
                0.0
            },
            saturation: random.about(0.95, 0.22),
            blur: *random.pick(&[(0.45, 0), (0.4, 1), (0.15, 2)]),
            noise: random.between(0.004, 0.018),
        }
    }

    /// The image as the camera takes it. `rgb` are the drawn colours.
    pub(super) fn take(&self, rgb: &[u8], ground: &LabelMap, gsd_m: f64) -> Raster {
        let LabelMap { width, height, .. } = *ground;
        let mut out = Vec::with_capacity(rgb.len());
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let drawn = &rgb[3 * at..3 * at + 3];
                let metres = [x as f64 * gsd_m, y as f64 * gsd_m];
                out.extend(self.texture(drawn, ground.data[at], metres));
            }
        }
        for _ in 0..self.blur {
            out = smoothed(&out, width, height);
        }
        for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
            self.expose(pixel, at as u64);
        }
        Raster {
            width,
            height,
            rgb: out,
        }
    }

    fn texture(&self, drawn: &[u8], label: u8, at: [f64; 2]) -> [u8; 3] {
        let [grains, patches, stretches, hue] = roughness(label);
        let octave = |size: f64, salt: u64| smooth_noise(at, size, self.seed ^ salt);
        let wide = octave(14.0, 3);
        let light = 1.0
            + grains * octave(0.35, 1)
            + grains * 0.6 * octave(0.8, 5)
            + patches * octave(2.2, 2)
            + stretches * wide;
        let turn = hue * (0.6 * octave(5.0, 4) + 0.4 * wide);
        [1.0 + turn, 1.0, 1.0 - turn]
            .into_iter()
            .zip(drawn)
            .map(|(part, value)| (f64::from(*value) * light * part).round().clamp(0.0, 255.0) as u8)
            .collect::<Vec<u8>>()
            .try_into()
            .unwrap_or_default()
    }

    fn expose(&self, pixel: &mut [u8], at: u64) {
        let colour =
            [0, 1, 2].map(|channel| f64::from(pixel[channel]) / 255.0 * self.gain[channel]);
        let grey = (colour[0] + colour[1] + colour[2]) / 3.0;
        for (channel, value) in pixel.iter_mut().enumerate() {
            let mut level = grey + (colour[channel] - grey) * self.saturation;
            level = 0.42 + (level - 0.42) * self.contrast;
            level = level.max(0.0).powf(self.gamma);
            level += (0.78 - level) * self.haze;
            let grain = unit(mix(self.seed ^ (3 * at + channel as u64))) - 0.5;
            level += grain * 2.0 * self.noise;
            *value = (level * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    }
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Value noise from -1 to 1, with features of so many metres.
fn smooth_noise(at: [f64; 2], size: f64, seed: u64) -> f64 {
    let position = at.map(|value| value / size);
    let cell = position.map(f64::floor);
    let corner = |dx: f64, dy: f64| {
        let key = ((cell[0] + dx) as u64) << 32 | ((cell[1] + dy) as u64 & 0xFFFF_FFFF);
        unit(mix(key.wrapping_add(seed))) * 2.0 - 1.0
    };
    let [fx, fy] = [0, 1].map(|axis| {
        let share = position[axis] - cell[axis];
        share * share * (3.0 - 2.0 * share)
    });
    let top = corner(0.0, 0.0) * (1.0 - fx) + corner(1.0, 0.0) * fx;
    let bottom = corner(0.0, 1.0) * (1.0 - fx) + corner(1.0, 1.0) * fx;
    top * (1.0 - fy) + bottom * fy
}

/// A 1-2-1 filter both ways.
fn smoothed(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let pass = |data: &[u8],
                step: usize,
                is_first: &dyn Fn(usize) -> bool,
                is_last: &dyn Fn(usize) -> bool| {
        (0..data.len())
            .map(|at| {
                let before = if is_first(at) { at } else { at - step };
                let after = if is_last(at) { at } else { at + step };
                let sum =
                    u16::from(data[before]) + 2 * u16::from(data[at]) + u16::from(data[after]);
                ((sum + 2) / 4) as u8
            })
            .collect::<Vec<u8>>()
    };
    let stride = width * 3;
    let rows = pass(rgb, 3, &|at| at % stride < 3, &|at| {
        at % stride >= stride - 3
    });
    pass(&rows, stride, &|at| at < stride, &|at| {
        at >= stride * (height - 1)
    })
}
