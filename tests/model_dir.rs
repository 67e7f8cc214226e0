//! A model directory: written, read back, and refused where something is wrong with it.

mod common;
#[path = "common/thin_model.rs"]
mod thin_model;

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use rrsis::image::Raster;
use rrsis::mask::MarginMap;
use rrsis::network::NetworkConfig;
use rrsis::platform::DeviceChoice;
use rrsis::segmenter::{SegmentOptions, Segmentation, Segmenter, Tiling};
use rrsis::weights::Manifest;
use rrsis::weights::manifest::Relations;
use rrsis::weights::quantization::Quantization;
use thin_model::{thin, untrained, write, write_with};

fn gradient(width: usize, height: usize) -> Raster {
    let rgb = (0..width * height)
        .flat_map(|index| {
            let (x, y) = (index % width, index / width);
            [(x * 3) as u8, (y * 5) as u8, (x * y) as u8]
        })
        .collect();
    Raster::new(width, height, rgb).expect("sizes agree")
}

fn segment(dir: &Path, image: &Raster, options: &SegmentOptions) -> Segmentation {
    pollster::block_on(async {
        let segmenter = Segmenter::open_dir(dir, DeviceChoice::Cpu)
            .await
            .expect("opens");
        segmenter
            .segment(image, "building", options)
            .await
            .expect("runs")
    })
}

#[test]
fn a_written_model_segments_at_the_images_own_size() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let image = gradient(75, 58);
    let result = segment(dir.path(), &image, &SegmentOptions::default());
    assert_eq!((result.mask().width, result.mask().height), (75, 58));
    assert_eq!(result.mask().data.len(), 75 * 58);
    assert_eq!((result.margin.width, result.margin.height), (16, 16));
    assert!(result.margin.data.iter().all(|margin| margin.is_finite()));

    let finer = SegmentOptions {
        resolution: Some(128),
        ..SegmentOptions::default()
    };
    let result = segment(dir.path(), &image, &finer);
    assert_eq!((result.margin.width, result.margin.height), (32, 32));
}

#[test]
fn what_is_kept_of_an_image_serves_that_image_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let open =
        || pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let run = |segmenter: &Segmenter, image: &Raster, expression: &str, resolution| {
        let options = SegmentOptions {
            resolution: Some(resolution),
            ..SegmentOptions::default()
        };
        pollster::block_on(segmenter.segment(image, expression, &options))
            .expect("runs")
            .margin
    };
    let (first, second) = (gradient(75, 58), gradient(58, 75));
    let used = open();
    for (image, expression, resolution) in [
        (&first, "building", 64),
        (&first, "water", 64),
        (&second, "water", 64),
        (&first, "water", 96),
        (&first, "building", 64),
    ] {
        let fresh = run(&open(), image, expression, resolution);
        assert_eq!(run(&used, image, expression, resolution), fresh);
    }
}

/// Moves the margin: the classifier's bias is the only parameter of two values.
struct Moved(f32);

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let by = self.0;
        parameter.map(|values| match values.dims()[..] {
            [2] => {
                values.clone() + Tensor::<1>::from_data([0.0, by], &values.device()).reshape([2; D])
            }
            _ => values,
        })
    }
}

#[test]
fn the_parts_of_a_relation_are_asked_for_where_the_model_says_so() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    let image = gradient(96, 96);
    // Finer, so that the map has room for regions.
    let options = SegmentOptions {
        resolution: Some(256),
        ..SegmentOptions::default()
    };
    let mut network = untrained(&config);
    write(&network, &config, Quantization::Q8, dir.path());
    let mut margins = segment(dir.path(), &image, &options).margin.data;
    margins.sort_by(f32::total_cmp);
    // Foreground in a third of the image.
    let third = margins[margins.len() * 2 / 3];
    network.vision = network.vision.map(&mut Moved(-third));
    write(&network, &config, Quantization::Q8, dir.path());
    let manifest = std::fs::read_to_string(dir.path().join("manifest.json")).expect("written");
    assert!(manifest.contains("\"relations\": \"whole\""));
    let segmenter =
        pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let run = |expression: &str, relations| {
        let options = SegmentOptions {
            relations,
            ..options
        };
        pollster::block_on(segmenter.segment(&image, expression, &options))
            .expect("runs")
            .margin
            .data
    };
    // Turns of subject and reference: some of them find regions at each other.
    let words = ["building", "water", "road", "car", "trees"];
    let mut added = 0;
    for (i, subject) in words.iter().enumerate() {
        let expression = format!("{subject} beside the {}", words[(i + 1) % words.len()]);
        let whole = run(&expression, None);
        assert_eq!(run(&expression, Some(Relations::Whole)), whole);
        let of_subject = run(subject, Some(Relations::Parts));
        assert_eq!(of_subject, run(subject, None), "it has no relation");
        let parts = run(&expression, Some(Relations::Parts));
        for ((parts, whole), subject) in parts.iter().zip(&whole).zip(&of_subject) {
            assert!(parts == whole || (parts == subject && *subject > 0.0 && parts > whole));
            added += usize::from(parts != whole);
        }
    }
    assert!(added > 0, "no relation changed anything");
    // The tokenizer knows nothing of the reference: read as a whole.
    let [parts, whole] = [Relations::Parts, Relations::Whole]
        .map(|relations| run("building near \u{301}", Some(relations)));
    assert_eq!(parts, whole);
}

#[test]
fn a_large_image_goes_through_in_tiles_and_says_how_far_it_is() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let segmenter =
        pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let image = gradient(200, 150);
    let run = |tiling| {
        let options = SegmentOptions {
            tiling,
            ..SegmentOptions::default()
        };
        let mut job = segmenter
            .begin(&image, "building", &options)
            .expect("begins");
        let total = job.progress().1;
        for done in 1..=total {
            let more = pollster::block_on(job.step()).expect("runs");
            assert_eq!(job.progress(), (done, total));
            assert_eq!(more, done < total);
        }
        assert!(!pollster::block_on(job.step()).expect("nothing is left"));
        (total, job.finish())
    };
    // Three times the input's size: tiles of 96 pixels, which share 12.
    let (total, automatic) = run(Tiling::Auto);
    assert_eq!(total, 3 * 2);
    let (_, same) = run(Tiling::Side(96));
    assert_eq!(automatic.margin, same.margin);
    assert_eq!(
        (automatic.mask().width, automatic.mask().height),
        (200, 150)
    );
    assert!(
        automatic
            .margin
            .data
            .iter()
            .all(|margin| margin.is_finite())
    );
    assert!(automatic.margin.width > 16 && automatic.margin.height > 16);

    let (total, whole) = run(Tiling::Whole);
    assert_eq!((total, whole.margin.width), (1, 16));
    // A tile as large as the image is the image.
    let (total, one) = run(Tiling::Side(200));
    assert_eq!(total, 1);
    assert_eq!(one.margin, whole.margin);

    let error = segmenter.begin(
        &image,
        "building",
        &SegmentOptions {
            tiling: Tiling::Side(8),
            ..SegmentOptions::default()
        },
    );
    assert!(error.expect_err("too small").to_string().contains("tile"));
}

#[test]
fn tiles_that_others_compute_give_the_same_map_in_any_order() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let open =
        || pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let (one, other) = (open(), open());
    let image = gradient(200, 150);
    let options = SegmentOptions::default();
    let expected = pollster::block_on(one.segment(&image, "building", &options)).expect("runs");

    let mut job = one.begin(&image, "building", &options).expect("begins");
    let (first, second) = (job.hand_out().expect("one"), job.hand_out().expect("two"));
    assert_eq!((first.0, second.0, job.open()), (0, 1, 4));
    let margin = |(number, tile): (usize, Raster)| {
        let map = pollster::block_on(other.margin_of_tile(tile, "building")).expect("runs");
        (number, map)
    };
    pollster::block_on(job.step()).expect("runs");
    assert_eq!(job.progress(), (1, 6));
    let (number, map) = margin(second);
    assert!(job.hand_in(number, Some(map.clone())));
    // Once is enough, and what nobody has asked for is no tile.
    for wrong in [number, 5, 6, usize::MAX] {
        assert!(!job.hand_in(wrong, Some(map.clone())));
    }
    assert_eq!((job.progress(), job.open()), ((2, 6), 3));
    // What others could not compute, or computed of something else, is open again.
    let narrow = MarginMap {
        width: 1,
        height: 1,
        data: vec![0.0],
    };
    assert!(!job.hand_in(first.0, Some(narrow)));
    assert!(!job.hand_in(first.0, None));
    assert_eq!((job.progress(), job.open()), ((2, 6), 4));
    let again = job.hand_out().expect("the first one again");
    assert_eq!(again, first);
    while pollster::block_on(job.step()).expect("runs") {}
    assert_eq!(job.progress(), (5, 6));
    let (number, map) = margin(again);
    assert!(job.hand_in(number, Some(map)));
    let found = job.finish();
    assert_eq!(found.margin, expected.margin);
    assert_eq!(found.mask(), expected.mask());

    let error = pollster::block_on(other.margin_of_tile(gradient(64, 50), "building"));
    assert!(error.expect_err("not square").to_string().contains("50"));
}

#[test]
fn what_was_not_computed_is_background() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let segmenter =
        pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let image = gradient(300, 60);
    let options = SegmentOptions {
        threshold: Some(0.001),
        ..SegmentOptions::default()
    };
    let mut job = segmenter
        .begin(&image, "building", &options)
        .expect("begins");
    pollster::block_on(job.step()).expect("runs");
    let stopped = job.finish();
    let mask = stopped.mask();
    let right = |row: usize| &mask.data[row * 300 + 200..(row + 1) * 300];
    assert!((0..60).all(|row| right(row).iter().all(|value| *value == 0)));
    assert!(stopped.margin.data.iter().all(|margin| margin.is_finite()));
}

#[test]
fn fewer_bits_stay_close_to_full_precision() {
    let config = thin();
    let network = untrained(&config);
    let image = gradient(64, 64);
    let levels = [
        Quantization::F32,
        Quantization::F16,
        Quantization::Q8,
        Quantization::Q4,
    ];
    let margins = levels.map(|quantization| {
        let dir = tempfile::tempdir().expect("temporary directory");
        write(&network, &config, quantization, dir.path());
        segment(dir.path(), &image, &SegmentOptions::default())
            .margin
            .data
    });
    let spread = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values
            .iter()
            .map(|value| (value - mean).abs())
            .fold(0.0, f32::max)
    };
    let largest = spread(&margins[0]);
    assert!(largest > 0.0);
    for (margin, share) in [(&margins[1], 0.02), (&margins[2], 0.15), (&margins[3], 0.5)] {
        let off = margin
            .iter()
            .zip(&margins[0])
            .map(|(a, b)| (a - b).abs())
            .fold(0.0f32, f32::max);
        assert!(off > 0.0, "quantisation must change something");
        assert!(
            off < share * largest,
            "off by {off} at a spread of {largest}"
        );
    }
}

#[test]
fn the_language_encoder_may_be_stored_in_fewer_bits() {
    let config = thin();
    let network = untrained(&config);
    let image = gradient(64, 64);
    let [(all, margin), (mixed, other)] = [None, Some(Quantization::Q4)].map(|text| {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut manifest = Manifest::new("thin", config.clone(), Quantization::Q8);
        manifest.text_quantization = text;
        write_with(&network, manifest, dir.path());
        let bytes = ["text.bpk", "vision.bpk"].map(|file| {
            let file = std::fs::metadata(dir.path().join(file)).expect("written");
            file.len()
        });
        let margin = segment(dir.path(), &image, &SegmentOptions::default()).margin;
        (bytes, margin.data)
    });
    assert!(mixed[0] < all[0] * 2 / 3, "{mixed:?} and {all:?}");
    assert_eq!(mixed[1], all[1]);
    assert_ne!(margin, other);
}

#[test]
fn options_outside_their_range_are_refused_with_the_range() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let segmenter =
        pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)).expect("opens");
    let image = gradient(8, 8);
    for (threshold, resolution, named) in [
        (None, Some(100), "resolution"),
        (None, Some(4096), "resolution"),
        (Some(0.0), None, "threshold"),
        (Some(f32::NAN), None, "threshold"),
    ] {
        let options = SegmentOptions {
            threshold,
            resolution,
            ..SegmentOptions::default()
        };
        let error = pollster::block_on(segmenter.segment(&image, "car", &options))
            .expect_err("out of range");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_missing_a_short_a_damaged_and_a_foreign_file_are_each_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    write(&untrained(&config), &config, Quantization::Q8, dir.path());
    let vision = dir.path().join("vision.bpk");
    let good = std::fs::read(&vision).expect("written");
    let open = || pollster::block_on(Segmenter::open_dir(dir.path(), DeviceChoice::Cpu));
    let message = || open().expect_err("must be refused").to_string();

    std::fs::write(&vision, &good[..good.len() / 2]).expect("writable");
    assert!(message().contains("vision.bpk") && message().contains("bytes"));

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&vision, &flipped).expect("writable");
    assert!(message().contains("vision.bpk") && message().contains("SHA-256"));

    std::fs::remove_file(&vision).expect("removable");
    assert!(message().contains("vision.bpk"));

    std::fs::write(&vision, &good).expect("writable");
    assert!(open().is_ok());

    // Shards of another network: every parameter that does not fit is listed.
    let other = NetworkConfig {
        embed_dim: 32,
        ..config
    };
    let wrong = tempfile::tempdir().expect("temporary directory");
    write(&untrained(&other), &other, Quantization::Q8, wrong.path());
    let json = std::fs::read_to_string(wrong.path().join("manifest.json")).expect("written");
    let json = json.replace("\"embed_dim\": 32", "\"embed_dim\": 16");
    std::fs::write(wrong.path().join("manifest.json"), json).expect("writable");
    let error = pollster::block_on(Segmenter::open_dir(wrong.path(), DeviceChoice::Cpu))
        .expect_err("must be refused")
        .to_string();
    assert!(
        error.contains("another shape") && error.contains("patch_embed"),
        "{error}"
    );
}

/// Makes every parameter NaN.
struct Broken;

impl ModuleMapper for Broken {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|values| values * f32::NAN)
    }
}

#[test]
fn a_network_that_gives_no_numbers_is_an_error_and_not_an_empty_mask() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = thin();
    let mut network = untrained(&config);
    network.vision = network.vision.map(&mut Broken);
    write(&network, &config, Quantization::F32, dir.path());
    let error = pollster::block_on(async {
        let segmenter = Segmenter::open_dir(dir.path(), DeviceChoice::Cpu)
            .await
            .expect("opens");
        segmenter
            .segment(&gradient(64, 64), "building", &SegmentOptions::default())
            .await
            .expect_err("no numbers")
    });
    let message = error.to_string();
    assert!(message.contains("256 of 256 pixels"), "{message}");
}
