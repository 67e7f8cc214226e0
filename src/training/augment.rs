//! Random changes to a training sample. The paper trains without any; they are off by default.

use super::config::AugmentationConfig;
use super::random::Random;
use crate::image::Raster;
use crate::mask::Mask;

/// A square sample, changed as `config` says and `random` decides; image and mask alike.
pub(super) fn augment(
    config: &AugmentationConfig,
    random: &mut Random,
    image: Raster,
    mask: Mask,
) -> (Raster, Mask) {
    // Drawn whether used or not: turning one change on must not alter the others.
    let (horizontal, vertical) = (random.flip(), random.flip());
    let turns = random.below(4);
    let factors: [f64; 3] = std::array::from_fn(|_| 1.0 + random.symmetric(config.colour));

    let placement = Placement {
        horizontal: config.flip_horizontal && horizontal,
        vertical: config.flip_vertical && vertical,
        turns: if config.rotate { turns } else { 0 },
        side: image.width,
    };
    let mut image = placement.image(image);
    let mask = placement.mask(mask);
    if config.colour > 0.0 {
        colour(&mut image, factors);
    }
    (image, mask)
}

/// Which of the eight symmetries of the square, in which a square of `side` pixels is moved.
struct Placement {
    horizontal: bool,
    vertical: bool,
    turns: usize,
    side: usize,
}

impl Placement {
    /// Index of the pixel that comes to lie at (x, y).
    fn source(&self, x: usize, y: usize) -> usize {
        let last = self.side - 1;
        let (mut x, mut y) = (x, y);
        for _ in 0..self.turns {
            // A quarter turn clockwise: what was at the left is now at the top.
            (x, y) = (y, last - x);
        }
        if self.horizontal {
            x = last - x;
        }
        if self.vertical {
            y = last - y;
        }
        y * self.side + x
    }

    fn sources(&self) -> impl Iterator<Item = usize> {
        (0..self.side).flat_map(move |y| (0..self.side).map(move |x| self.source(x, y)))
    }

    fn image(&self, image: Raster) -> Raster {
        let rgb = self
            .sources()
            .flat_map(|at| {
                [
                    image.rgb[3 * at],
                    image.rgb[3 * at + 1],
                    image.rgb[3 * at + 2],
                ]
            })
            .collect();
        Raster { rgb, ..image }
    }

    fn mask(&self, mask: Mask) -> Mask {
        let data = self.sources().map(|at| mask.data[at]).collect();
        Mask { data, ..mask }
    }
}

/// Brightness, contrast (about the mean grey) and saturation (about each pixel's grey), each times
/// a factor.
fn colour(image: &mut Raster, [brightness, contrast, saturation]: [f64; 3]) {
    let grey = |pixel: &[u8]| {
        0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2])
    };
    let pixels = image.rgb.len() / 3;
    let mean = image.rgb.chunks_exact(3).map(grey).sum::<f64>() / pixels as f64;
    for pixel in image.rgb.chunks_exact_mut(3) {
        let own = grey(pixel);
        for value in pixel {
            let saturated = own + (f64::from(*value) - own) * saturation;
            let contrasted = mean + (saturated - mean) * contrast;
            *value = (contrasted * brightness).round().clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::*;

    /// Red counts the pixels; the mask is their parity.
    fn sample(side: usize) -> (Raster, Mask) {
        let area = side * side;
        let rgb = (0..area).flat_map(|at| [at as u8, 0, 0]).collect();
        let data = (0..area).map(|at| (at % 2) as u8).collect();
        let image = Raster::new(side, side, rgb).expect("fits");
        let mask = Mask {
            width: side,
            height: side,
            data,
        };
        (image, mask)
    }

    fn red(image: &Raster) -> Vec<u8> {
        image.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn nothing_changes_where_nothing_is_asked_for() {
        let mut random = Random::new(0, Purpose::Augmentation, &[]);
        let (image, mask) = sample(4);
        let config = AugmentationConfig::default();
        let changed = augment(&config, &mut random, image.clone(), mask.clone());
        assert_eq!(changed, (image, mask));
    }

    #[test]
    fn flips_and_turns_move_pixels_where_they_should() {
        let (image, _) = sample(2);
        let place = |horizontal, vertical, turns| {
            let placement = Placement {
                horizontal,
                vertical,
                turns,
                side: 2,
            };
            red(&placement.image(image.clone()))
        };
        // 0 1
        // 2 3
        assert_eq!(place(true, false, 0), [1, 0, 3, 2]);
        assert_eq!(place(false, true, 0), [2, 3, 0, 1]);
        assert_eq!(place(false, false, 1), [2, 0, 3, 1]);
        assert_eq!(place(false, false, 2), [3, 2, 1, 0]);
    }

    #[test]
    fn image_and_mask_move_together() {
        let config = AugmentationConfig {
            flip_horizontal: true,
            flip_vertical: true,
            rotate: true,
            colour: 0.0,
        };
        let mut seen = std::collections::HashSet::new();
        for number in 0..64 {
            let mut random = Random::new(1, Purpose::Augmentation, &[number]);
            let (image, mask) = sample(4);
            let (image, mask) = augment(&config, &mut random, image, mask);
            let red = red(&image);
            for (value, bit) in red.iter().zip(&mask.data) {
                assert_eq!(value % 2, *bit);
            }
            seen.insert(red);
        }
        assert_eq!(seen.len(), 8, "all symmetries of the square");
    }

    #[test]
    fn brightness_scales_and_stays_within_bytes() {
        let mut image = Raster::new(2, 1, vec![100, 100, 100, 200, 200, 200]).expect("fits");
        colour(&mut image, [1.5, 1.0, 1.0]);
        assert_eq!(image.rgb, [150, 150, 150, 255, 255, 255]);
    }
}
