//! Expressions and masks on label maps drawn by hand, whose answer is known by construction.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use rrsis::dataset::instance::{Instance, Outline};
use rrsis::dataset::scene::{IGNORE, LabelMap, Origin, Scene};
use rrsis::dataset::skyscapes;
use rrsis::dataset::triplets::{Referral, Rules, referrals};
use rrsis::dataset::vocabulary::{ExpressionKind, Relation};
use rrsis::image::Raster;

/// A scene of one metre a pixel: a letter is a class. Capitals are other objects of the same class.
fn scene(rows: &[&str]) -> Scene {
    let class = |letter: u8| match letter.to_ascii_lowercase() {
        b'.' => skyscapes::LOW_VEGETATION,
        b'r' => skyscapes::PAVED_ROAD,
        b'u' => skyscapes::NON_PAVED_ROAD,
        b'p' => skyscapes::PAVED_PARKING,
        b'k' => skyscapes::BIKEWAY,
        b's' => skyscapes::SIDEWALK,
        b'm' => skyscapes::LANE_MARKING,
        b'b' => skyscapes::BUILDING,
        b'c' => skyscapes::CAR,
        b'v' => skyscapes::VAN,
        b't' => skyscapes::TREE,
        b'l' => skyscapes::LARGE_TRUCK,
        b'x' => skyscapes::CLUTTER,
        b'?' => IGNORE,
        other => panic!("no class for {}", char::from(other)),
    };
    let (width, height) = (rows[0].len(), rows.len());
    Scene {
        name: "drawn/by-hand".to_owned(),
        image_path: "drawn/by-hand.png".into(),
        image: Raster::new(width, height, vec![0; width * height * 3]).unwrap(),
        trimmed: true,
        labels: LabelMap {
            width,
            height,
            data: rows.iter().flat_map(|row| row.bytes().map(class)).collect(),
        },
        classes: skyscapes::classes(),
        annotated: skyscapes::CLASSES.map(String::from).to_vec(),
        instances: Vec::new(),
        gsd_m: Some(1.0),
        origin: Origin {
            source: "drawn".to_owned(),
            license: "none".to_owned(),
            attribution: "the test".to_owned(),
        },
    }
}

/// Everything that can be said, however small.
fn everything() -> Rules {
    Rules {
        extended: true,
        min_target_pixels: 1,
        max_category_share: 1.0,
        max_target_share: 1.0,
        max_selected_share: 1.0,
        max_present: [usize::MAX; 3],
        max_absent: [usize::MAX; 3],
        ..Rules::refsegrs()
    }
}

fn find(scene: &Scene, rules: &Rules, expression: &str) -> Option<Referral> {
    let mut found = referrals(scene, rules);
    found.retain(|referral| referral.expression == expression);
    assert!(found.len() < 2, "{expression} comes twice");
    found.pop()
}

/// Asserts that the expression's mask has exactly the pixels of these letters.
#[track_caller]
fn assert_means(rows: &[&str], expression: &str, letters: &str) {
    let found = find(&scene(rows), &everything(), expression);
    let found = found.unwrap_or_else(|| panic!("\"{expression}\" is missing"));
    assert_pixels(rows, &found.mask.data, letters, expression);
}

#[track_caller]
fn assert_pixels(rows: &[&str], mask: &[u8], letters: &str, what: &str) {
    let drawn: Vec<u8> = rows.concat().into_bytes();
    let shown = |is_set: &dyn Fn(usize) -> bool| -> String {
        (0..drawn.len())
            .map(|at| {
                let end = if (at + 1) % rows[0].len() == 0 {
                    "\n"
                } else {
                    ""
                };
                format!("{}{end}", if is_set(at) { '#' } else { '.' })
            })
            .collect()
    };
    let found = shown(&|at| mask[at] != 0);
    let expected = shown(&|at| letters.as_bytes().contains(&drawn[at]));
    assert_eq!(found, expected, "{what}");
}

#[test]
fn categories_are_unions_of_classes() {
    let rows = ["rrruuu", "ccvlll", "......"];
    assert_means(&rows, "road", "ru");
    assert_means(&rows, "vehicle", "cvl");
    assert_means(&rows, "low vegetation", ".");
    assert_means(&rows, "truck", "l");
}

#[test]
fn attributes_are_unions_of_classes_too() {
    let rows = ["rrruuu", "ccvlll", "......"];
    assert_means(&rows, "light-duty vehicle", "cv");
    assert_means(&rows, "heavy-duty vehicle", "l");
    assert_means(&rows, "long truck", "l");
    assert_means(&rows, "paved road", "r");
    assert_means(&rows, "unpaved road", "u");
}

#[test]
fn paint_belongs_to_the_ground_around_it() {
    let rows = [
        "rrrrrrrrpppppppp",
        "rrmmmrrrppMMMppp",
        "rrrrrrrrpppppppp",
        "................",
    ];
    assert_means(&rows, "road", "rm");
    assert_means(&rows, "parking area", "pM");
    assert_means(&rows, "road marking", "mM");
}

/// A car in the middle of the road, one at the kerb, one on the grass.
const CARS: [&str; 15] = [
    "rrrrrrrrrrrrrrrrrr",
    "rrrrrrrrrrrrrrrrrr",
    "rrrrrrrrrrrrrrrrrr",
    "rrrcccrrrrrrrrrrrr",
    "rrrcccrrrrrrrrrrrr",
    "rrrrrrrrrrrrrrrrrr",
    "rrrrrrrrrrrCCCrrrr",
    "rrrrrrrrrrrCCCrrrr",
    "..................",
    "..................",
    "..................",
    "...VVV............",
    "...VVV............",
    "..................",
    "..................",
];

#[test]
fn on_is_most_of_the_ground_around() {
    assert_means(&CARS, "vehicle on the road", "cC");
    assert_means(&CARS, "van on the road", "");
}

#[test]
fn driving_on_is_all_of_the_ground_around() {
    assert_means(&CARS, "vehicle driving on the road", "c");
}

#[test]
fn neighbours_do_not_count_as_ground() {
    // A row of vehicles door to door: the road shows before and behind them only.
    let rows = [
        "rrrrrrrrrrr",
        "rrrrrrrrrrr",
        "rrccvvCCrrr",
        "rrccvvCCrrr",
        "rrrrrrrrrrr",
        "rrrrrrrrrrr",
        "...........",
    ];
    assert_means(&rows, "van driving on the road", "v");
}

#[test]
fn in_is_most_of_the_ground_around() {
    let rows = [
        "pppppppppprrrrrrrrrr",
        "pppppppppprrrrrrrrrr",
        "pppccppppprrrCCrrrrr",
        "pppccppppprrrCCrrrrr",
        "pppppppppprrrrrrrrrr",
        "pppppppppprrrrrrrrrr",
        "pppppTTppprrrrrrtttr",
        "pppppppppprrrrrrrrrr",
        "pppppppppprrrrrrrrrr",
    ];
    assert_means(&rows, "car in the parking area", "c");
    assert_means(&rows, "tree in the parking area", "T");
    assert_means(&rows, "car driving on the road", "C");
}

#[test]
fn along_is_a_side_that_faces_the_road() {
    // Three metres away, eight metres away, and a tower whose foot alone is near.
    let rows = [
        "rrrrrrrrrrrrrrrrrrrrrrrrrrrr",
        "rrrrrrrrrrrrrrrrrrrrrrrrrrrr",
        "............................",
        "............................",
        "bbbbbbb.....................",
        "bbbbbbb...............B.....",
        "bbbbbbb...............B.....",
        "......................B.....",
        "......................B.....",
        "..........BBBBBB......B.....",
        "..........BBBBBB......B.....",
        "..........BBBBBB......B.....",
        "......................B.....",
        "......................B.....",
        "......................B.....",
        "......................B.....",
        "......................B.....",
        "......................B.....",
    ];
    assert_means(&rows, "building along the road", "b");
}

#[test]
fn along_with_is_accompanied() {
    let rows = [
        "..t...t...t...t.....",
        "ssssssssssssssssssss",
        "....................",
        "....................",
        "....................",
        "....................",
        "SSSSSSSSSSSSSSSSSSSS",
        "....................",
        "...................T",
    ];
    // One tree at the end accompanies nothing: 2 of 40 pixels of the outline are near it.
    assert_means(&rows, "sidewalk along with tree", "s");
}

#[test]
fn beside_nearly_touches() {
    let rows = [
        "bbbbb.......",
        "bbbbbtt.....",
        "bbbbbtt...TT",
        "bbbbb.....TT",
    ];
    assert_means(&rows, "tree beside the building", "t");
}

#[test]
fn with_has_enough_of_the_reference() {
    let rows = [
        "bbbb..pppp......BBBB",
        "bbbb..pppp......BBBB",
        "bbbb............BBBB",
        "bbbb............BBBB",
    ];
    assert_means(&rows, "building with a parking lot", "b");
    let rows = [
        "rrrrrrrrrr",
        "rmmmmmmmrr",
        "rrrrrrrrrr",
        "..........",
        "..........",
        "..........",
        "..........",
        "..........",
        "..........",
        "RRRRRRRRRR",
    ];
    assert_means(&rows, "road with road marking", "rm");
}

#[test]
fn what_is_unknown_is_ignored_and_not_decided() {
    // Were the unknown ground road, the car would be on it.
    let rows = [
        "??????....rrrrrrr",
        "??????....rrrrrrr",
        "??cc??....rrrCCrr",
        "??????....rrrrrrr",
        "??????....rrrrrrr",
    ];
    let referral = find(&scene(&rows), &everything(), "car on the road").unwrap();
    assert_pixels(&rows, &referral.mask.data, "C", "target");
    assert_pixels(&rows, &referral.ignore.data, "?c", "ignored");
}

#[test]
fn every_relation_has_a_test_above() {
    // The number that this file has to keep up with.
    assert_eq!(Relation::ALL.len(), 7);
}

#[test]
fn a_relation_that_selects_all_says_nothing() {
    let rules = Rules {
        max_selected_share: 0.95,
        ..everything()
    };
    let rows = ["rrrrrr", "rrccrr", "rrrrrr"];
    assert!(find(&scene(&rows), &rules, "car on the road").is_none());
    assert!(find(&scene(&rows), &everything(), "car on the road").is_some());
}

#[test]
fn targets_that_are_too_small_or_too_large_are_left_out() {
    let rows = ["......", "..cc..", "......"];
    let rules = |min_target_pixels, share| Rules {
        min_target_pixels,
        max_category_share: share,
        ..everything()
    };
    assert!(find(&scene(&rows), &rules(2, 1.0), "car").is_some());
    assert!(find(&scene(&rows), &rules(3, 1.0), "car").is_none());
    assert!(find(&scene(&rows), &rules(1, 0.89), "low vegetation").is_some());
    assert!(find(&scene(&rows), &rules(1, 0.88), "low vegetation").is_none());
}

#[test]
fn absent_expressions_need_certainty() {
    let absent = |rows: &[&str], expression: &str| {
        find(&scene(rows), &everything(), expression).map(|found| found.mask.foreground())
    };
    assert_eq!(absent(&["cc....", "......"], "bus"), Some(0));
    let near = absent(&["cc....", "..rr.."], "car driving on the road");
    assert_eq!(near, Some(0), "it stands beside it");
    assert_eq!(
        absent(&["??....", "......"], "bus"),
        None,
        "a bus may hide there"
    );
    let none = Rules {
        max_absent: [0; 3],
        ..everything()
    };
    assert!(find(&scene(&["cc....", "......"]), &none, "bus").is_none());
}

#[test]
fn only_the_papers_words_without_extension() {
    let paper = Rules {
        extended: false,
        ..everything()
    };
    let rows = ["pppp....", "pccp..cc", "pppp...."];
    for (expression, is_there) in [
        ("car in the parking area", true),
        ("parking area", false),
        ("vegetation", false),
        ("car", true),
    ] {
        let found = find(&scene(&rows), &paper, expression);
        assert_eq!(found.is_some(), is_there, "{expression}");
    }
}

fn instance(class: &str, bounds: [f64; 4], attributes: &[(&str, &str)]) -> Instance {
    let attributes = attributes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect::<BTreeMap<_, _>>();
    Instance {
        class: class.to_owned(),
        outline: Outline::Box(bounds),
        attributes,
    }
}

#[test]
fn objects_with_unknown_attributes_are_ignored() {
    let rows = ["bbb...BBB...bbb...BBB"];
    let mut scene = scene(&rows);
    scene.instances = vec![
        instance(
            "building",
            [0.0, 0.0, 3.0, 1.0],
            &[("roof_material", "tin")],
        ),
        instance(
            "building",
            [6.0, 0.0, 9.0, 1.0],
            &[("roof_material", "concrete")],
        ),
        // The third has no material, the fourth no instance at all.
        instance(
            "building",
            [12.0, 0.0, 15.0, 1.0],
            &[("roof_shape", "flat")],
        ),
    ];
    let tin = find(&scene, &everything(), "building with tin roof").unwrap();
    assert_eq!(tin.kind, ExpressionKind::Attribute);
    let pixels =
        |mask: &[u8]| -> Vec<usize> { (0..mask.len()).filter(|at| mask[*at] != 0).collect() };
    assert_eq!(pixels(&tin.mask.data), [0, 1, 2]);
    assert_eq!(pixels(&tin.ignore.data), [12, 13, 14, 18, 19, 20]);
    // One of the unknown ones may have a metal roof.
    assert!(find(&scene, &everything(), "building with metal roof").is_none());

    scene.instances[2] = instance(
        "building",
        [12.0, 0.0, 21.0, 1.0],
        &[("roof_material", "tin")],
    );
    let metal = find(&scene, &everything(), "building with metal roof").unwrap();
    assert_eq!(metal.mask.foreground(), 0);
}

#[test]
fn outlines_that_overlap_and_disagree_are_ignored() {
    let rows = ["cccccc"];
    let mut scene = scene(&rows);
    scene.instances = vec![
        instance("car", [0.0, 0.0, 4.0, 1.0], &[("tone", "dark")]),
        instance("car", [3.0, 0.0, 6.0, 1.0], &[("tone", "light")]),
    ];
    let dark = find(&scene, &everything(), "dark car").unwrap();
    assert_eq!(dark.mask.data, [1, 1, 1, 0, 0, 0]);
    assert_eq!(dark.ignore.data, [0, 0, 0, 1, 0, 0]);
}

#[test]
fn what_is_not_annotated_is_not_asked_for() {
    let mut scene = scene(&["rrcc..", "rr...."]);
    scene.annotated = vec!["car".to_owned(), "van".to_owned()];
    let found: Vec<String> = referrals(&scene, &everything())
        .into_iter()
        .map(|referral| referral.expression)
        .filter(|expression| !expression.contains("coloured") && !expression.contains(" car"))
        .collect();
    assert!(
        found.contains(&"light-duty vehicle".to_owned()),
        "{found:?}"
    );
    for expression in ["road", "vehicle", "car on the road", "low vegetation"] {
        assert!(!found.contains(&expression.to_owned()), "{expression}");
    }
}

#[test]
fn the_draw_is_the_same_each_time() {
    let few = Rules {
        max_present: [usize::MAX, 2, 1],
        ..everything()
    };
    let once = referrals(&scene(&CARS), &few);
    assert_eq!(once, referrals(&scene(&CARS), &few));
    let of_kind = |kind| {
        once.iter()
            .filter(|r| r.kind == kind && r.mask.foreground() > 0)
            .count()
    };
    assert_eq!(of_kind(ExpressionKind::Relation), 1);
    assert_eq!(of_kind(ExpressionKind::Attribute), 2);
}
