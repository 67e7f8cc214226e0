//! Feature maps with their channels last and a border of zeros, for convolutions.

use crate::team::Team;

/// `height x width` pixels of `channels` values, with one pixel of zeros around them.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// Rows without the border.
    pub height: usize,
    /// Columns without the border.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
    values: Vec<f32>,
}

impl Map {
    /// Takes on a size. What the pixels hold is left open; the border is zero.
    pub fn shape(&mut self, height: usize, width: usize, channels: usize) {
        (self.height, self.width, self.channels) = (height, width, channels);
        let size = (height + 2) * self.stride();
        self.values.resize(size, 0.0);
        let stride = self.stride();
        self.values[..stride].fill(0.0);
        self.values[size - stride..].fill(0.0);
        for row in self.values.chunks_exact_mut(stride) {
            row[..channels].fill(0.0);
            row[stride - channels..].fill(0.0);
        }
    }

    /// Values of a row, border included.
    pub(crate) fn stride(&self) -> usize {
        (self.width + 2) * self.channels
    }

    /// All values, border included.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All rows but the border's, each with the border at both ends.
    pub(crate) fn inner(&mut self) -> &mut [f32] {
        let stride = self.stride();
        &mut self.values[stride..stride * (self.height + 1)]
    }

    /// Row `y`, `width * channels` values.
    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[(y + 1) * self.stride() + self.channels..][..self.width * self.channels]
    }

    /// Row `y`, `width * channels` values.
    pub fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let first = (y + 1) * self.stride() + self.channels;
        &mut self.values[first..][..self.width * self.channels]
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }

    /// `work(y, row)` for every row, without the border.
    pub fn each_row(&mut self, team: &Team, work: impl Fn(usize, &mut [f32]) + Sync) {
        let (stride, channels) = (self.stride(), self.channels);
        team.each_part(self.inner(), stride, |y, row| {
            work(y, &mut row[channels..stride - channels]);
        });
    }

    /// Becomes `from` at another size, bilinear with aligned corners.
    ///
    /// `lines`: memory that is kept from call to call.
    pub fn upsample(
        &mut self,
        from: &Map,
        [height, width]: [usize; 2],
        lines: &mut Vec<Vec<f32>>,
        team: &Team,
    ) {
        let channels = from.channels;
        self.shape(height, width, channels);
        let columns: Vec<Between> = (0..width)
            .map(|x| Between::new(x, width, from.width))
            .collect();
        let size = from.width * channels;
        team.prepare(lines, |line| line.resize(size.max(line.len()), 0.0));
        let stride = self.stride();
        team.share_parts(lines, self.inner(), stride, |line, y, row| {
            let line = &mut line[..size];
            let Between {
                before,
                after,
                share,
            } = Between::new(y, height, from.height);
            mix(from.row(before), from.row(after), share, line);
            let row = &mut row[channels..stride - channels];
            for (between, out) in columns.iter().zip(row.chunks_exact_mut(channels)) {
                let pixel = |x: usize| &line[x * channels..][..channels];
                mix(
                    pixel(between.before),
                    pixel(between.after),
                    between.share,
                    out,
                );
            }
        });
    }
}

/// A place between two others.
struct Between {
    before: usize,
    after: usize,
    /// How much the one after counts.
    share: f32,
}

impl Between {
    /// Place `at` of `to` among `from`, the first and the last of both being the same.
    fn new(at: usize, to: usize, from: usize) -> Self {
        let exact = match to {
            0 | 1 => 0.0,
            _ => (from - 1) as f64 / (to - 1) as f64 * at as f64,
        };
        let before = (exact as usize).min(from - 1);
        Self {
            before,
            after: (before + 1).min(from - 1),
            share: (exact - before as f64) as f32,
        }
    }
}

#[inline(always)]
fn mix(a: &[f32], b: &[f32], share: f32, out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a + (b - a) * share;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::team::tests::teams;
    use crate::testing::{assert_close, numbers};

    pub(crate) fn filled(height: usize, width: usize, channels: usize, seed: u32) -> Map {
        let mut map = Map::default();
        // Something else before.
        map.shape(height + 3, width + 1, channels);
        map.values.fill(7.0);
        map.shape(height, width, channels);
        let values = numbers(height * width * channels, seed);
        for (y, row) in values.chunks(width * channels).enumerate() {
            map.row_mut(y).copy_from_slice(row);
        }
        map
    }

    #[test]
    fn the_border_is_zero_whatever_was_there() {
        let map = filled(2, 3, 2, 1);
        let zeros = map.values.iter().filter(|value| **value == 0.0).count();
        assert_eq!(map.values.len(), 4 * 5 * 2);
        assert_eq!(zeros, (4 * 5 - 2 * 3) * 2);
    }

    #[test]
    fn corners_stay_and_what_is_between_is_mixed() {
        let from = filled(3, 2, 9, 5);
        for team in teams() {
            corners_stay(&from, &team);
        }
    }

    fn corners_stay(from: &Map, team: &Team) {
        let mut to = Map::default();
        to.upsample(from, [5, 4], &mut Vec::new(), team);
        assert_eq!(to.row(0)[..9], from.row(0)[..9]);
        assert_eq!(to.row(4)[27..], from.row(2)[9..]);
        let pixel = |y: usize, x: usize, channel: usize| f64::from(from.row(y)[x * 9 + channel]);
        // Row 1 lies half way between rows 0 and 1, column 2 two thirds of the way.
        let expected: Vec<f64> = (0..9)
            .map(|c| {
                let column = |x: usize| (pixel(0, x, c) + pixel(1, x, c)) / 2.0;
                column(0) / 3.0 + column(1) * 2.0 / 3.0
            })
            .collect();
        assert_close(&to.row(1)[18..27], &expected, 1e-6);
        to.upsample(&filled(1, 1, 9, 6), [2, 2], &mut Vec::new(), team);
        assert_eq!(to.row(0)[..9], to.row(1)[9..]);
    }
}
