//! Run lengths as COCO writes them.

use serde::{Deserialize, Serialize};

use super::Mask;

/// A mask in COCO's compressed run-length encoding, as `pycocotools` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CocoRle {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Lengths of the runs of background and foreground in turn, column by column, as text.
    pub counts: String,
}

impl From<&Mask> for CocoRle {
    fn from(mask: &Mask) -> Self {
        Self {
            size: [mask.height, mask.width],
            counts: written(&runs(mask)),
        }
    }
}

/// Lengths of the runs, down each column; the first is background.
fn runs(mask: &Mask) -> Vec<i64> {
    let (mut runs, mut length, mut current) = (Vec::new(), 0, 0);
    for x in 0..mask.width {
        for y in 0..mask.height {
            let value = mask.data[y * mask.width + x];
            if value != current {
                runs.push(length);
                (length, current) = (0, value);
            }
            length += 1;
        }
    }
    runs.push(length);
    runs
}

/// Five bits a character from `0` on, the sixth saying that more follow; from the fourth number on
/// the difference to the last run of the same kind.
fn written(runs: &[i64]) -> String {
    let mut text = String::new();
    for (index, run) in runs.iter().enumerate() {
        let mut rest = if index > 2 {
            run - runs[index - 2]
        } else {
            *run
        };
        loop {
            let low = rest & 0x1f;
            rest >>= 5;
            // What remains must be more than the sign that the fifth bit already tells.
            let more = if low & 0x10 != 0 {
                rest != -1
            } else {
                rest != 0
            };
            let code = low | i64::from(more) << 5;
            text.push(char::from(48 + code as u8));
            if !more {
                break;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width, pixels row by row, counts.
    const GOLDENS: &[(usize, &str, &str)] = &[
        (2, "....", "4"),
        (2, "####", "04"),
        (3, ".#.##...#", "11112O"),
        (
            40,
            ".......................................#.......................................#.......................................#.....############################......#.....############################......#.....#####..#####################......#.....############################......#.....############################......#.....############################......#.......................................#.......................................#.......................................#",
            "o16600000000LK15OK1530000000000000000000000000000000000000000U26",
        ),
        (
            17,
            "..#.##.#.#..#.######.##....##..#....#.##...#....#...#.##...###...##...##.#.#.....#.#.#.###.######.#..#...#.#.####..###.#...########.........####..#..#.##",
            "1130N010O042LO52L0OM040L024NL2220LN20N01011NO0030M20N000;2E21L0001OO013ON0",
        ),
    ];

    #[test]
    fn as_pycocotools_writes_it() {
        // `pycocotools.mask.encode` of these masks, version 2.0.
        for (width, rows, counts) in GOLDENS {
            let data: Vec<u8> = rows.bytes().map(|b| u8::from(b == b'#')).collect();
            let mask = Mask {
                width: *width,
                height: data.len() / width,
                data,
            };
            assert_eq!(CocoRle::from(&mask).counts, *counts, "{rows}");
        }
    }
}
