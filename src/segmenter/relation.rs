//! Expressions with a relation, read in parts: "building beside the water".
//!
//! A network that has seen few relations is sure of none, and where it is unsure what is meant it marks
//! nothing; of buildings and of water it knows much more. The rule that makes the targets of such
//! expressions (section III-B of the paper, `dataset::relations`) takes only what lies where: connected
//! regions of the subject of whose outline a share lies near the reference. So the network is asked
//! for the subject and for the reference as well, and the regions that the rule picks are added.

use crate::mask::{Connectivity, MarginMap, Mask, Regions};

/// Cells of the network's output, four pixels of its input each, that still count as near. The rule has
/// metres; an image that somebody brings seldom says how many a pixel has.
const REACH: f32 = 2.5;

/// Words that say what lies at what, and the share of a region's outline that must be near for them:
/// those of the rule. Longer ones stand before what they begin with.
const RELATIONS: [(&str, f32); 9] = [
    ("alongside", 0.2),
    ("along", 0.2),
    ("adjacent to", 0.1),
    ("beside", 0.1),
    ("bordering", 0.1),
    ("close to", 0.1),
    ("near", 0.1),
    ("next to", 0.1),
    ("by", 0.1),
];

/// An expression in parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts {
    /// What is meant.
    pub(super) subject: String,
    /// What it lies at.
    pub(super) reference: String,
    /// Share of a region's outline that must be near the reference, from 0 to 1.
    pub(super) share: f32,
}

impl Parts {
    /// Takes an expression apart at its first relation. `None` where there is none, or nothing on one of
    /// its sides.
    pub(super) fn of(expression: &str) -> Option<Self> {
        let lower = expression.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        (1..words.len()).find_map(|at| {
            let (length, share) = relation_at(&words, at)?;
            let mut reference = &words[at + length..];
            while let [article, rest @ ..] = reference
                && ["the", "a", "an"].contains(article)
            {
                reference = rest;
            }
            let parts = [&words[..at], reference].map(|words| words.join(" "));
            let [subject, reference] = parts.map(|words| {
                words
                    .trim_matches(|c: char| c.is_ascii_punctuation() || c == ' ')
                    .to_owned()
            });
            (!subject.is_empty() && !reference.is_empty()).then_some(Self {
                subject,
                reference,
                share,
            })
        })
    }
}

/// The relation that begins at a word, as its number of words and its share.
fn relation_at(words: &[&str], at: usize) -> Option<(usize, f32)> {
    RELATIONS.iter().find_map(|(relation, share)| {
        let length = relation.split(' ').count();
        let same = relation
            .split(' ')
            .eq(words[at..].iter().take(length).copied());
        let something_else = match *relation {
            // Together with it.
            "along" => words.get(at + 1) == Some(&"with"),
            // Done by it: surrounded by trees.
            "by" => words[at - 1].ends_with("ed"),
            _ => false,
        };
        (same && !something_else).then_some((length, *share))
    })
}

/// What the network says of the whole expression, and at least what it says of the subject in those of
/// its regions that lie at the reference. All maps have one size.
pub(super) fn with_regions_at(
    mut whole: MarginMap,
    subject: &MarginMap,
    reference: &MarginMap,
    share: f32,
) -> MarginMap {
    let width = whole.width;
    let regions = Regions::find(&foreground(subject), Connectivity::Eight);
    let near = near(&foreground(reference));
    let mut outlines = vec![[0_u32; 2]; regions.count + 1];
    for at in (0..regions.of.len()).filter(|at| regions.is_outline(*at, width)) {
        let [all, there] = &mut outlines[regions.of[at] as usize];
        *all += 1;
        *there += u32::from(near[at]);
    }
    let cells = whole.data.iter_mut().zip(&subject.data).zip(&regions.of);
    for ((margin, of_subject), region) in cells {
        let [all, there] = outlines[*region as usize];
        // Outside the regions there is no outline, and one that fills the map has none either.
        if all > 0 && there as f32 >= share * all as f32 {
            *margin = margin.max(*of_subject);
        }
    }
    whole
}

fn foreground(map: &MarginMap) -> Mask {
    Mask {
        width: map.width,
        height: map.height,
        data: map
            .data
            .iter()
            .map(|value| u8::from(*value > 0.0))
            .collect(),
    }
}

/// Whether a cell lies within [`REACH`] of the mask.
fn near(mask: &Mask) -> Vec<bool> {
    let mut near = vec![false; mask.data.len()];
    let reach = REACH as isize;
    let around: Vec<[isize; 2]> = (-reach..=reach)
        .flat_map(|dy| (-reach..=reach).map(move |dx| [dx, dy]))
        .filter(|[dx, dy]| (dx * dx + dy * dy) as f32 <= REACH * REACH)
        .collect();
    for at in (0..mask.data.len()).filter(|at| mask.data[*at] != 0) {
        for [dx, dy] in &around {
            let x = (at % mask.width).checked_add_signed(*dx);
            let y = (at / mask.width).checked_add_signed(*dy);
            if let (Some(x), Some(y)) = (x, y)
                && x < mask.width
                && y < mask.height
            {
                near[y * mask.width + x] = true;
            }
        }
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(expression: &str) -> Option<(String, String, f32)> {
        Parts::of(expression).map(|p| (p.subject, p.reference, p.share))
    }

    #[test]
    fn relations_are_found_as_people_type_them() {
        for (expression, subject, reference, share) in [
            ("building along the road", "building", "road", 0.2),
            ("Houses next to a lake", "houses", "lake", 0.1),
            ("trees near the parking lot", "trees", "parking lot", 0.1),
            (
                "all the cabins by the river.",
                "all the cabins",
                "river",
                0.1,
            ),
            (
                "light-duty vehicle close to water",
                "light-duty vehicle",
                "water",
                0.1,
            ),
            (
                "bare land, adjacent to the vegetation",
                "bare land",
                "vegetation",
                0.1,
            ),
            (
                "sheds alongside an alley by the sea",
                "sheds",
                "alley by the sea",
                0.2,
            ),
        ] {
            let expected = (subject.to_owned(), reference.to_owned(), share);
            assert_eq!(parts(expression), Some(expected), "{expression}");
        }
    }

    #[test]
    fn everything_else_stays_whole() {
        for expression in [
            "",
            "building",
            "car on the road",
            "light-duty vehicle in the parking area",
            "road along with vehicles",
            "houses surrounded by trees",
            "near the water",
            "buildings beside",
            "houses near the",
            "nearby houses",
        ] {
            assert_eq!(parts(expression), None, "{expression}");
        }
    }

    /// A map with margins of 2 where the picture has the letter, -2 elsewhere.
    fn map(picture: &[&str], letter: char) -> MarginMap {
        let data: Vec<f32> = picture
            .iter()
            .flat_map(|row| row.chars().map(|c| if c == letter { 2.0 } else { -2.0 }))
            .collect();
        MarginMap {
            width: data.len() / picture.len(),
            height: picture.len(),
            data,
        }
    }

    #[test]
    fn only_regions_at_the_reference_are_added() {
        let picture = [
            "..............",
            ".bb.w.........",
            ".bb.w.........",
            "....w.........",
            "....w......bb.",
            "....w......bb.",
            "..............",
        ];
        let nothing = map(&picture, 'x');
        let [houses, water] = ['b', 'w'].map(|letter| map(&picture, letter));
        let found = with_regions_at(nothing.clone(), &houses, &water, 0.1);
        for (at, margin) in found.data.iter().enumerate() {
            let beside = picture[at / 14].as_bytes()[at % 14] == b'b' && at % 14 < 7;
            assert_eq!(*margin, if beside { 2.0 } else { -2.0 }, "cell {at}");
        }
        // Half of its outline lies two columns away, the other half three.
        assert_eq!(
            with_regions_at(nothing.clone(), &houses, &water, 0.6),
            nothing
        );
        assert_eq!(
            with_regions_at(nothing.clone(), &houses, &nothing, 0.1),
            nothing
        );
        // What the network found itself stays, and a subject that is everywhere has no outline.
        let everywhere = map(&["bb", "bb"], 'b');
        let corner = map(&["w.", ".."], 'w');
        assert_eq!(
            with_regions_at(corner.clone(), &everywhere, &corner, 0.1),
            corner
        );
        assert_eq!(
            with_regions_at(houses.clone(), &nothing, &water, 0.1),
            houses
        );
    }
}
