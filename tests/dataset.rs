//! Data sets: the release layout in and out, and its making from annotated scenes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{encoded, pattern, shared_path};
use image::ImageFormat;
use rrsis::dataset::release::{ImageSource, ReleaseWriter, Split};
use rrsis::dataset::scene::IGNORE;
use rrsis::dataset::triplets::Rules;
use rrsis::dataset::{DatasetError, Provenance, SplitSummary, unified};
use rrsis::mask::Mask;
use tempfile::TempDir;

/// A data set of two samples, 4 x 3 pixels, in the release layout.
fn small_release(phrases: &str) -> TempDir {
    let root = TempDir::new().unwrap();
    for folder in ["images", "masks"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    let image = encoded(&pattern(4, 3), 4, 3, ImageFormat::Tiff);
    fs::write(root.path().join("images/7.tif"), &image).unwrap();
    fs::write(
        root.path().join("images/8.png"),
        encoded(&pattern(4, 3), 4, 3, ImageFormat::Png),
    )
    .unwrap();
    let mut mask = Mask::empty(4, 3);
    mask.data[5] = 1;
    for id in ["7", "8"] {
        fs::write(
            root.path().join(format!("masks/{id}.png")),
            mask.to_png().unwrap(),
        )
        .unwrap();
    }
    fs::write(root.path().join("output_phrase_test.txt"), phrases).unwrap();
    root
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_split_is_read_in_the_order_of_its_file() {
    // Windows line ends, a byte order mark and blank lines are all in use out there.
    let root = small_release("\u{feff}8 road marking\r\n\r\n7 car\n");
    let split = Split::open(root.path(), "test").unwrap();
    let read: Vec<_> = split
        .triplets
        .iter()
        .map(|t| (t.id.as_str(), t.expression.as_str()))
        .collect();
    assert_eq!(read, [("8", "road marking"), ("7", "car")]);
    for triplet in &split.triplets {
        let image = triplet
            .decode_image(&triplet.read_image().unwrap())
            .unwrap();
        assert_eq!(image.rgb, pattern(4, 3));
        assert_eq!(triplet.read_mask(&image).unwrap().foreground(), 1);
    }
}

#[test]
fn malformed_lines_are_named_by_file_and_line() {
    for (phrases, wrong) in [("7 car\n8\n", 2), ("../7 car\n", 1), ("7 car\n\n8  \n", 3)] {
        let root = small_release(phrases);
        let error = Split::open(root.path(), "test").unwrap_err();
        assert!(
            matches!(&error, DatasetError::Line { line, .. } if *line == wrong),
            "{error}"
        );
        let message = error.to_string();
        assert!(message.contains("output_phrase_test.txt"), "{message}");
        assert!(
            message.contains("an id, a space and an expression"),
            "{message}"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_named_by_line() {
    let root = small_release("");
    fs::write(
        root.path().join("output_phrase_test.txt"),
        b"7 car\n8 stra\xdfe\n",
    )
    .unwrap();
    let error = Split::open(root.path(), "test").unwrap_err();
    assert!(
        matches!(error, DatasetError::Line { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn absent_files_and_splits_are_named() {
    let root = small_release("7 car\n9 bus\n");
    let error = Split::open(root.path(), "test").unwrap_err();
    assert!(
        matches!(
            &error,
            DatasetError::NoFile {
                line: 2,
                what: "image",
                ..
            }
        ),
        "{error}"
    );
    fs::remove_file(root.path().join("masks/7.png")).unwrap();
    let error = Split::open(root.path(), "test").unwrap_err();
    assert!(
        matches!(
            &error,
            DatasetError::NoFile {
                line: 1,
                what: "mask",
                ..
            }
        ),
        "{error}"
    );

    let error = Split::open(root.path(), "val").unwrap_err();
    assert!(error.to_string().contains("Its splits: test."), "{error}");
    assert!(matches!(
        Split::open(&root.path().join("nowhere"), "val"),
        Err(DatasetError::Io { .. })
    ));
    assert!(matches!(
        Split::open(root.path(), "../x"),
        Err(DatasetError::Name { .. })
    ));
    let empty = small_release("\n");
    assert!(matches!(
        Split::open(empty.path(), "test"),
        Err(DatasetError::NoSamples { .. })
    ));
}

#[test]
fn a_mask_of_another_size_is_refused() {
    let root = small_release("7 car\n");
    fs::write(
        root.path().join("masks/7.png"),
        Mask::empty(3, 4).to_png().unwrap(),
    )
    .unwrap();
    let split = Split::open(root.path(), "test").unwrap();
    let triplet = &split.triplets[0];
    let image = triplet
        .decode_image(&triplet.read_image().unwrap())
        .unwrap();
    let error = triplet.read_mask(&image).unwrap_err();
    assert!(
        matches!(
            error,
            DatasetError::Size {
                found: (3, 4),
                image: (4, 3),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_limit_is_spread_over_the_split() {
    let lines: String = (0..10)
        .map(|at| format!("{} number {at}\n", 7 + at % 2))
        .collect();
    let root = small_release(&lines);
    let mut split = Split::open(root.path(), "test").unwrap();
    split.thin_out(3);
    let kept: Vec<_> = split
        .triplets
        .iter()
        .map(|t| t.expression.as_str())
        .collect();
    assert_eq!(kept, ["number 0", "number 3", "number 6"]);
    split.thin_out(100);
    assert_eq!(split.triplets.len(), 3);
}

#[test]
fn what_is_written_can_be_read() {
    let parent = TempDir::new().unwrap();
    let target = parent.path().join("set");
    let mut writer = ReleaseWriter::create(&target).unwrap();
    let mut image = ImageSource::bytes(encoded(&pattern(5, 4), 5, 4, ImageFormat::Png), "png");
    let mut mask = Mask::empty(5, 4);
    mask.data[3] = 1;
    writer
        .add("val", "a-road", "road", &mut image, &mask)
        .unwrap();
    writer
        .add(
            "val",
            "a-car",
            "car on the road",
            &mut image,
            &Mask::empty(5, 4),
        )
        .unwrap();
    assert!(!target.exists(), "nothing is there before it is complete");
    writer.finish().unwrap();

    assert_eq!(names(parent.path()), ["set"]);
    let split = Split::open(&target, "val").unwrap();
    let written: Vec<_> = split
        .triplets
        .iter()
        .map(|t| t.expression.as_str())
        .collect();
    assert_eq!(written, ["road", "car on the road"]);
    let triplet = &split.triplets[0];
    let raster = triplet
        .decode_image(&triplet.read_image().unwrap())
        .unwrap();
    assert_eq!(triplet.read_mask(&raster).unwrap(), mask);
}

#[test]
fn nothing_is_left_of_a_data_set_that_is_not_finished() {
    let parent = TempDir::new().unwrap();
    let mut writer = ReleaseWriter::create(&parent.path().join("set")).unwrap();
    let mut image = ImageSource::file(Path::new("no/such/image.jpg"));
    assert!(
        writer
            .add("val", "a", "road", &mut image, &Mask::empty(1, 1))
            .is_err()
    );
    drop(writer);
    assert_eq!(names(parent.path()), Vec::<String>::new());
}

#[test]
fn an_existing_directory_is_never_overwritten() {
    let parent = TempDir::new().unwrap();
    fs::write(parent.path().join("keep"), "me").unwrap();
    let error = ReleaseWriter::create(parent.path()).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert_eq!(names(parent.path()), ["keep"]);
}

#[test]
fn what_the_layout_cannot_hold_is_refused() {
    let parent = TempDir::new().unwrap();
    let mut writer = ReleaseWriter::create(&parent.path().join("set")).unwrap();
    let mut image = ImageSource::bytes(vec![1], "png");
    let mask = Mask::empty(1, 1);
    for (id, expression) in [
        ("a b", "road"),
        ("a/b", "road"),
        ("a", "two\nlines"),
        ("a", " "),
    ] {
        let result = writer.add("val", id, expression, &mut image, &mask);
        assert!(
            matches!(result, Err(DatasetError::Name { .. })),
            "{id:?} {expression:?}"
        );
    }
    writer.add("val", "a", "road", &mut image, &mask).unwrap();
    assert!(
        writer.add("val", "a", "car", &mut image, &mask).is_err(),
        "the id is taken"
    );
}

/// Draws unified scenes of 40 x 30 pixels whose labels follow a rule.
struct Scenes(TempDir);

impl Scenes {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let classes = r#"{"0":"other","1":"building","2":"car","3":"van","4":"truck","5":"bus",
            "6":"trailer","9":"road","11":"vegetation","12":"water","13":"bare land"}"#;
        fs::write(root.path().join("classes.json"), classes).unwrap();
        Self(root)
    }

    fn add(&self, name: &str, annotated: &[&str], label: impl Fn(u32, u32) -> u8) -> PathBuf {
        self.add_of("drawn", name, annotated, label)
    }

    fn add_of(
        &self,
        source: &str,
        name: &str,
        annotated: &[&str],
        label: impl Fn(u32, u32) -> u8,
    ) -> PathBuf {
        let base = self.0.path().join("val").join(source).join(name);
        fs::create_dir_all(base.parent().unwrap()).unwrap();
        let jpeg = encoded(&pattern(40, 30), 40, 30, ImageFormat::Jpeg);
        fs::write(base.with_extension("jpg"), jpeg).unwrap();
        let labels = image::GrayImage::from_fn(40, 30, |x, y| image::Luma([label(x, y)]));
        labels.save(base.with_extension("png")).unwrap();
        let json = serde_json::json!({
            "source": source, "license": "CC0", "attribution": "the test", "gsd_m": null,
            "annotated": annotated, "instances": [],
        });
        fs::write(base.with_extension("json"), json.to_string()).unwrap();
        base
    }

    fn build(&self) -> Result<(PathBuf, SplitSummary), DatasetError> {
        let out = self.0.path().join("out");
        let summaries = unified::build(
            self.0.path(),
            &out,
            &["val".to_owned()],
            &Rules::unified(),
            |_, _| {},
        )?;
        Ok((out, summaries["val"]))
    }
}

fn expressions(out: &Path) -> Vec<(String, u64)> {
    let split = Split::open(out, "val").unwrap();
    let mut found: Vec<_> = split
        .triplets
        .iter()
        .map(|triplet| {
            let image = triplet
                .decode_image(&triplet.read_image().unwrap())
                .unwrap();
            (
                triplet.expression.clone(),
                triplet.read_mask(&image).unwrap().foreground(),
            )
        })
        .collect();
    found.sort();
    found
}

fn owned(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected
        .iter()
        .map(|(name, pixels)| ((*name).to_owned(), *pixels))
        .collect()
}

#[test]
fn categories_are_unions_of_annotated_classes() {
    let scenes = Scenes::new();
    // Columns 0-9 car, 10-14 van, 15-39 other.
    let label = |x, _| {
        if x < 10 {
            2
        } else if x < 15 {
            3
        } else {
            0
        }
    };
    scenes.add("a", &["car", "van", "truck", "bus"], label);
    let (out, summary) = scenes.build().unwrap();
    // "bus" is annotated and not there; "truck" is no expression of its own.
    let expected = [
        ("bus", 0),
        ("car", 300),
        ("heavy-duty vehicle", 0),
        ("light-duty vehicle", 450),
        ("van", 150),
        ("vehicle", 450),
    ];
    assert_eq!(expressions(&out), owned(&expected));
    assert_eq!((summary.scenes, summary.present, summary.absent), (1, 4, 2));
}

#[test]
fn what_is_not_annotated_is_neither_there_nor_absent() {
    let scenes = Scenes::new();
    scenes.add("a", &["building"], |x, _| u8::from(x < 20));
    let (out, _) = scenes.build().unwrap();
    assert_eq!(expressions(&out), owned(&[("building", 600)]));
}

#[test]
fn a_few_pixels_are_neither_there_nor_absent() {
    let scenes = Scenes::new();
    let label = |x: u32, y: u32| {
        if x < 20 {
            9
        } else {
            u8::from(x == 39 && y == 29) * 12
        }
    };
    scenes.add("a", &["road", "water"], label);
    let (out, _) = scenes.build().unwrap();
    assert_eq!(expressions(&out), owned(&[("road", 600)]));
}

#[test]
fn absent_expressions_are_few_and_the_same_each_time() {
    let scenes = Scenes::new();
    scenes.add(
        "a",
        &["building", "road", "water", "vegetation", "bare land"],
        |_, _| 13,
    );
    let (out, summary) = scenes.build().unwrap();
    let most: usize = Rules::unified().max_absent.iter().sum();
    assert_eq!((summary.present, summary.absent), (1, most));
    let first = fs::read(out.join("output_phrase_val.txt")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    scenes.build().unwrap();
    assert_eq!(fs::read(out.join("output_phrase_val.txt")).unwrap(), first);
}

/// Labels of the satellite scenes leave out what grows in gardens and beside roads.
#[test]
fn what_a_source_outlines_only_where_it_covers_much_is_never_absent() {
    let annotated = ["building", "road", "water", "vegetation", "bare land"];
    // Buildings and road, and nothing else.
    let label = |x: u32, _: u32| if x < 12 { 1 } else { 9 };
    for (source, asked) in [("drawn", true), ("dubai", false)] {
        let scenes = Scenes::new();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            scenes.add_of(source, name, &annotated, label);
        }
        let (out, summary) = scenes.build().unwrap();
        let absent: Vec<String> = expressions(&out)
            .into_iter()
            .filter(|(_, pixels)| *pixels == 0)
            .map(|(expression, _)| expression)
            .collect();
        assert_eq!(absent.len(), summary.absent);
        assert!(absent.iter().any(|expression| expression == "water"));
        let named = absent.iter().any(|text| text.contains("vegetation"));
        assert_eq!(named, asked, "{source}: {absent:?}");
    }
    // What is there is asked for all the same.
    let scenes = Scenes::new();
    scenes.add_of("dubai", "a", &annotated, |x, _| if x < 12 { 11 } else { 9 });
    let (out, _) = scenes.build().unwrap();
    assert!(expressions(&out).contains(&("vegetation".to_owned(), 360)));
}

#[test]
fn ignored_rims_are_cut_off_and_ignored_pixels_are_never_target() {
    let scenes = Scenes::new();
    // A rim of 5 columns on the left, and 1 % of ignored pixels inside.
    let label = |x, y| {
        if x < 5 || (x == 20 && y < 10) {
            IGNORE
        } else {
            9
        }
    };
    scenes.add("a", &["road", "water"], label);
    let (out, _) = scenes.build().unwrap();
    let split = Split::open(&out, "val").unwrap();
    let triplet = &split.triplets[0];
    let image = triplet
        .decode_image(&triplet.read_image().unwrap())
        .unwrap();
    assert_eq!((image.width, image.height), (35, 30));
    let ignored = triplet.read_ignored(&image).unwrap().unwrap();
    assert_eq!(ignored.foreground(), 10, "the rest of the scene is known");
    assert_eq!(
        expressions(&out),
        owned(&[
            ("road", 35 * 30 - 10),
            ("water", 0),
            ("water along the road", 0)
        ])
    );
}

#[test]
fn scenes_with_much_ignored_give_nothing() {
    let scenes = Scenes::new();
    // Every third pixel: no rim.
    scenes.add(
        "a",
        &["road"],
        |x, y| if (x + y) % 3 == 0 { IGNORE } else { 9 },
    );
    scenes.add("b", &["road"], |_, _| IGNORE);
    assert!(matches!(scenes.build(), Err(DatasetError::Nothing { .. })));
    assert!(!scenes.0.path().join("out").exists());

    scenes.add("c", &["road"], |_, _| 9);
    let (_, summary) = scenes.build().unwrap();
    assert_eq!((summary.scenes, summary.left_out), (1, 2));
}

#[test]
fn an_absent_expression_needs_a_scene_that_is_known() {
    let scenes = Scenes::new();
    // 5 % ignored: a target could hide there.
    scenes.add("a", &["road", "water"], |x, y| {
        if x == 20 || (x == 9 && y < 30) {
            IGNORE
        } else {
            9
        }
    });
    let (out, _) = scenes.build().unwrap();
    assert_eq!(expressions(&out), owned(&[("road", 38 * 30)]));
}

#[test]
fn the_original_image_is_taken_over_and_its_origin_kept() {
    let scenes = Scenes::new();
    let base = scenes.add("a", &["road"], |x, _| if x < 20 { 9 } else { 0 });
    let (out, _) = scenes.build().unwrap();
    assert_eq!(
        fs::read(out.join("images/drawn-a-road.jpg")).unwrap(),
        fs::read(base.with_extension("jpg")).unwrap()
    );
    let provenance = fs::read(out.join("provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).unwrap();
    assert_eq!(provenance["scenes"]["drawn/a"]["license"], "CC0");
    let sample = &provenance["samples"]["drawn-a-road"];
    assert_eq!(sample["scene"], "drawn/a");
    assert_eq!(sample["source"], "drawn");
    assert_eq!(sample["kind"], "category");
    assert_eq!(sample["category"], "road");
    assert_eq!(sample["absent"], false);
}

#[test]
fn damaged_scenes_are_named() {
    let scenes = Scenes::new();
    let base = scenes.add("a", &["road"], |_, _| 77);
    let error = scenes.build().unwrap_err().to_string();
    assert!(
        error.contains("a.png") && error.contains("label 77"),
        "{error}"
    );

    scenes.add("a", &["motorway"], |_, _| 9);
    let error = scenes.build().unwrap_err().to_string();
    assert!(
        error.contains("a.json") && error.contains("motorway"),
        "{error}"
    );

    fs::write(base.with_extension("json"), "{").unwrap();
    assert!(matches!(scenes.build(), Err(DatasetError::Json { .. })));
    assert!(!scenes.0.path().join("out").exists());
}

/// The scenes of shared/data: every category is there, in both splits the same way.
#[test]
fn the_shared_scenes_give_every_category() {
    let Some(root) = shared_path("data") else {
        return;
    };
    let parent = TempDir::new().unwrap();
    let out = parent.path().join("set");
    let summaries = unified::build(
        &root,
        &out,
        &["val".to_owned()],
        &Rules::unified(),
        |_, _| {},
    )
    .unwrap();
    let summary = summaries["val"];
    assert_eq!(
        summary.scenes + summary.left_out,
        123,
        "scenes, by shared/data/README.md"
    );
    let split = Split::open(&out, "val").unwrap();
    assert_eq!(split.triplets.len(), summary.present + summary.absent);
    let provenance = Provenance::read(&out).unwrap();
    let count = |expression: &str, absent: bool| {
        let of_it = split.triplets.iter().filter(|t| t.expression == expression);
        of_it
            .filter(|t| provenance.samples[&t.id].absent == absent)
            .count()
    };
    let categories = [
        "building",
        "vegetation",
        "water",
        "road",
        "bare land",
        "car",
        "van",
        "bus",
        "vehicle",
    ];
    for expression in categories.into_iter().chain([
        "light-duty vehicle",
        "building with tin roof",
        "building with concrete roof",
        "dark car",
        "vegetation along the road",
        "building along the road",
    ]) {
        assert!(count(expression, false) > 0, "{expression}");
    }
    // By the README a few buildings of val have no known roof: those are ignored.
    let roofs = split
        .triplets
        .iter()
        .filter(|t| t.expression == "building with tin roof");
    assert!(roofs.into_iter().any(|t| t.ignored.is_some()));
}

/// shared/data/handlabelled is in the release layout.
#[test]
fn the_handlabelled_pairs_are_read() {
    let Some(root) = shared_path("data/handlabelled") else {
        return;
    };
    let split = Split::open(&root, "handlabelled").unwrap();
    assert_eq!(split.triplets.len(), 67, "pairs, by shared/data/README.md");
    let mut absent = 0;
    for triplet in &split.triplets {
        let image = triplet
            .decode_image(&triplet.read_image().unwrap())
            .unwrap();
        absent += usize::from(triplet.read_mask(&image).unwrap().foreground() == 0);
    }
    assert_eq!(absent, 26, "pairs without target, by shared/data/README.md");
}
