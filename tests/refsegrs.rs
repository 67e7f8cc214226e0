//! RefSegRS from SkyScapes-format tiles, which the generator of synthetic scenes draws; statistics.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rrsis::dataset::instance::Outline;
use rrsis::dataset::refsegrs::{Settings, build};
use rrsis::dataset::release::Split;
use rrsis::dataset::triplets::Rules;
use rrsis::dataset::vocabulary::ExpressionKind;
use rrsis::dataset::{DatasetError, Provenance, SplitSummary, skyscapes, stats, synthetic};
use rrsis::mask::Mask;
use tempfile::TempDir;

/// Tiles of 300 x 200 pixels at half a metre, and squares of 150 pixels every 50: 4 x 2 a tile.
const TILE: (usize, usize) = (300, 200);
const GSD_M: f64 = 0.5;

fn settings() -> Settings {
    Settings {
        tile: TILE,
        crop: 150,
        stride: 50,
        size: 75,
        seed: 3,
        rules: Rules {
            min_target_pixels: 12,
            extended: true,
            max_absent: [1; 3],
            ..Rules::refsegrs()
        },
    }
}

struct Tiles(TempDir);

impl Tiles {
    fn draw(count: usize) -> Self {
        let parent = TempDir::new().unwrap();
        let scene = synthetic::Settings {
            seed: 5,
            size: TILE,
            gsd_m: GSD_M,
        };
        synthetic::write(&parent.path().join("tiles"), count, &scene, |_| {}).unwrap();
        Self(parent)
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("tiles")
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("set")
    }

    fn build(&self) -> Result<BTreeMap<String, SplitSummary>, DatasetError> {
        build(&self.root(), &self.out(), &settings(), |_, _| {})
    }

    #[track_caller]
    fn fails(&self, parts: &[&str]) {
        let message = self.build().unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "\"{part}\" is missing: {message}");
        }
        assert!(!self.out().exists(), "half a data set is left");
    }
}

/// Every file under a folder with its bytes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn tiles_become_triplets_in_splits_that_share_no_tile() {
    let tiles = Tiles::draw(4);
    let summaries = tiles.build().unwrap();
    let provenance = Provenance::read(&tiles.out()).unwrap();
    let mut tiles_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut squares = 0;
    for (name, summary) in &summaries {
        let split = Split::open(&tiles.out(), name).unwrap();
        assert_eq!(split.triplets.len(), summary.present + summary.absent);
        squares += summary.scenes + summary.left_out;
        for triplet in &split.triplets {
            let bytes = triplet.read_image().unwrap();
            let image = triplet.decode_image(&bytes).unwrap();
            assert_eq!((image.width, image.height), (75, 75));
            let target = triplet.read_mask(&image).unwrap().foreground();
            let sample = &provenance.samples[&triplet.id];
            assert_eq!(sample.source, "synthetic");
            assert_eq!(sample.absent, target == 0, "{}", triplet.id);
            assert!(
                target == 0 || target >= 12,
                "{} has {target} pixels",
                triplet.id
            );
            let described = provenance.describe(triplet).unwrap();
            assert_eq!(
                (described.kind, described.category),
                (sample.kind, sample.category.clone())
            );
            let tile = sample.scene.rsplit_once("-x").unwrap().0.to_owned();
            tiles_of.entry(name.clone()).or_default().insert(tile);
        }
    }
    // 4 columns and 2 rows of squares in each of 4 tiles.
    assert_eq!(squares, 32);
    assert_eq!(
        tiles_of.keys().collect::<Vec<_>>(),
        ["test", "train", "val"]
    );
    let all: usize = tiles_of.values().map(BTreeSet::len).sum();
    let different: BTreeSet<&String> = tiles_of.values().flatten().collect();
    assert_eq!(
        (all, different.len()),
        (4, 4),
        "a tile is in one split only"
    );
    for kind in ExpressionKind::ALL {
        let present = provenance
            .samples
            .values()
            .filter(|s| s.kind == kind && !s.absent);
        assert!(present.count() > 0, "{}", kind.name());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let tiles = Tiles::draw(3);
    let again = Tiles::draw(3);
    assert_eq!(files(&tiles.root()), files(&again.root()));
    tiles.build().unwrap();
    again.build().unwrap();
    assert_eq!(files(&tiles.out()), files(&again.out()));
    let other = synthetic::Settings {
        seed: 6,
        size: TILE,
        gsd_m: GSD_M,
    };
    let one = synthetic::draw(&other).unwrap();
    let two = synthetic::draw(&synthetic::Settings { seed: 7, ..other }).unwrap();
    assert_ne!(one.image, two.image);
}

#[test]
fn folders_of_the_splits_names_are_taken_as_they_are() {
    let tiles = Tiles::draw(2);
    for (split, name) in [("train", "synthetic_000005"), ("val", "synthetic_000006")] {
        for (folder, extension) in [("images", "png"), ("labels", "png"), ("objects", "json")] {
            let file = format!("{name}.{extension}");
            let target = tiles.root().join(split).join(folder);
            fs::create_dir_all(&target).unwrap();
            fs::rename(tiles.root().join(folder).join(&file), target.join(&file)).unwrap();
        }
    }
    let summaries = tiles.build().unwrap();
    assert_eq!(summaries.keys().collect::<Vec<_>>(), ["train", "val"]);
    let provenance = Provenance::read(&tiles.out()).unwrap();
    let val = Split::open(&tiles.out(), "val").unwrap();
    let of_val = |id: &String| provenance.samples[id].scene.starts_with("synthetic_000006");
    assert!(val.triplets.iter().all(|triplet| of_val(&triplet.id)));
}

#[test]
fn the_paper_cuts_40_squares_from_a_tile() {
    let paper = Settings::default();
    assert_eq!(
        (paper.tile, paper.crop, paper.stride, paper.size),
        ((5616, 3744), 1200, 600, 512)
    );
    let columns = (paper.tile.0 - paper.crop) / paper.stride + 1;
    let rows = (paper.tile.1 - paper.crop) / paper.stride + 1;
    assert_eq!(columns * rows, 40);
}

#[test]
fn a_tile_of_the_wrong_size_is_named() {
    let tiles = Tiles::draw(3);
    let odd = tiles.root().join("images/synthetic_000006.png");
    image::RgbImage::new(299, 200).save(odd).unwrap();
    tiles.fails(&[
        "synthetic_000006.png",
        "299 x 200",
        "300 x 200 were expected",
    ]);
}

#[test]
fn labels_of_another_size_or_kind_or_value_are_named() {
    let tiles = Tiles::draw(3);
    let labels = tiles.root().join("labels/synthetic_000006.png");
    image::GrayImage::new(300, 199).save(&labels).unwrap();
    tiles.fails(&["labels/synthetic_000006.png", "300 x 199", "300 x 200"]);
    image::RgbImage::new(300, 200).save(&labels).unwrap();
    tiles.fails(&[
        "labels/synthetic_000006.png",
        "8-bit grey with a class index",
    ]);
    let mut wrong = image::GrayImage::new(300, 200);
    wrong.put_pixel(7, 11, image::Luma([20]));
    wrong.save(&labels).unwrap();
    tiles.fails(&[
        "labels/synthetic_000006.png",
        "label 20 at column 7, row 11",
        "0-19",
    ]);
}

#[test]
fn missing_halves_of_a_pair_are_named() {
    let tiles = Tiles::draw(3);
    let labels = tiles.root().join("labels/synthetic_000005.png");
    let kept = fs::read(&labels).unwrap();
    fs::remove_file(&labels).unwrap();
    tiles.fails(&["images/synthetic_000005.png", "labels/synthetic_000005.png"]);
    fs::write(&labels, kept).unwrap();
    fs::remove_file(tiles.root().join("images/synthetic_000007.png")).unwrap();
    tiles.fails(&["labels/synthetic_000007.png", "images/synthetic_000007"]);
}

#[test]
fn too_few_tiles_and_damaged_files_are_named() {
    let tiles = Tiles::draw(2);
    tiles.fails(&["2 tiles", "at least three"]);
    let tiles = Tiles::draw(3);
    fs::write(tiles.root().join("objects/synthetic_000006.json"), "{").unwrap();
    tiles.fails(&["objects/synthetic_000006.json"]);
    let nowhere = Tiles(TempDir::new().unwrap());
    nowhere.fails(&["tiles/images"]);
}

#[test]
fn synthetic_scenes_are_what_their_labels_say() {
    let settings = synthetic::Settings {
        seed: 11,
        size: (700, 500),
        gsd_m: 0.3,
    };
    let drawn = synthetic::draw(&settings).unwrap();
    assert_eq!((drawn.image.width, drawn.image.height), settings.size);
    let mut seen = [0usize; 20];
    for label in &drawn.labels.data {
        seen[usize::from(*label)] += 1;
    }
    for class in [
        skyscapes::BUILDING,
        skyscapes::CAR,
        skyscapes::TREE,
        skyscapes::LANE_MARKING,
    ] {
        assert!(
            seen[usize::from(class)] > 0,
            "{}",
            skyscapes::CLASSES[usize::from(class)]
        );
    }
    // An object's outline holds its class, but for crowns above it and what the edge of a pixel takes.
    for instance in &drawn.instances {
        let label = drawn_label(&instance.class);
        let (mut inside, mut of_class) = (0, 0);
        instance
            .outline
            .fill(drawn.labels.width, drawn.labels.height, |at| {
                let found = drawn.labels.data[at];
                inside += usize::from(found != skyscapes::TREE);
                of_class += usize::from(found == label);
            });
        assert!(
            of_class * 10 >= inside * 8,
            "{instance:?}: {of_class} of {inside}"
        );
        assert!(matches!(instance.outline, Outline::Polygon(_)));
    }
    let roofs = drawn.instances.iter().filter(|i| i.class == "building");
    assert!(roofs.clone().count() > 0);
    assert!(
        roofs
            .into_iter()
            .all(|roof| roof.attributes.contains_key("roof_material"))
    );
}

fn drawn_label(class: &str) -> u8 {
    skyscapes::CLASSES
        .iter()
        .position(|name| *name == class)
        .unwrap() as u8
}

#[test]
fn scenes_that_cannot_be_drawn_are_refused() {
    let good = synthetic::Settings {
        seed: 0,
        size: (64, 64),
        gsd_m: 0.5,
    };
    assert!(synthetic::draw(&good).is_ok());
    for bad in [
        synthetic::Settings {
            size: (0, 64),
            ..good
        },
        synthetic::Settings {
            size: (64, 100_000),
            ..good
        },
        synthetic::Settings { gsd_m: 0.0, ..good },
        synthetic::Settings {
            gsd_m: f64::NAN,
            ..good
        },
    ] {
        assert!(
            matches!(synthetic::draw(&bad), Err(DatasetError::Scene { .. })),
            "{bad:?}"
        );
    }
}

/// A data set of three samples whose statistics are known: 5 %, 60 % and no target of 100 pixels.
fn small_set() -> TempDir {
    let root = TempDir::new().unwrap();
    for folder in ["images", "masks"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    for (id, pixels) in [("1", 5), ("2", 60), ("3", 0)] {
        let mut mask = Mask::empty(10, 10);
        mask.data[..pixels].fill(1);
        fs::write(
            root.path().join(format!("masks/{id}.png")),
            mask.to_png().unwrap(),
        )
        .unwrap();
        image::RgbImage::new(10, 10)
            .save(root.path().join(format!("images/{id}.png")))
            .unwrap();
    }
    let lines = "1 car on the road\n2 low vegetation\n3 car\n";
    fs::write(root.path().join("output_phrase_val.txt"), lines).unwrap();
    root
}

#[test]
fn statistics_count_what_is_there() {
    let root = small_set();
    let counted = stats::count(root.path(), &[], |_, _| {}).unwrap();
    let val = &counted.splits["val"];
    assert_eq!((val.present, val.absent), (2, 1));
    assert!((val.mean_words - 7.0 / 3.0).abs() < 1e-9);
    assert!((val.mean_proportion - 0.325).abs() < 1e-9);
    assert_eq!(counted.words["car"], 2);
    assert!(!counted.words.contains_key("the"));
    assert_eq!(counted.kinds["relation"], 1);
    assert_eq!(counted.categories["car"], 1);
    assert_eq!(counted.proportions.iter().sum::<u64>(), 2);
    assert_eq!(counted.proportions[stats::proportion_bin(0.05)], 1);
    assert_eq!(
        stats::proportion_label(stats::proportion_bin(0.05)),
        "2-5 %"
    );
    assert_eq!(
        stats::proportion_label(stats::proportion_bin(0.6)),
        "50-100 %"
    );
    assert!(counted.proportion_figure().contains("50-100 %"));
    assert!(counted.word_figure(5).contains(">vegetation<"));
    assert!(counted.expression_figure(5).contains("car on the road"));
    assert!(counted.markdown().contains("| val | 0 | 2 | 1 |"));
    let missing = stats::count(root.path(), &["test".to_owned()], |_, _| {});
    assert!(matches!(missing, Err(DatasetError::NoSplit { .. })));
}
