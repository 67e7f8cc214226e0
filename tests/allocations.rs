//! What a mask asks of the allocator: counted, so that copies do not creep back in.
//!
//! One test only, because the counters see the whole process.
#![allow(unsafe_code, reason = "an allocator is unsafe by definition")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{drawn, repository};
use rrsis::image::Raster;
use rrsis::mask::PixelMargins;
use rrsis::network::Precision;
use rrsis::platform::DeviceChoice;
use rrsis::segmenter::{SegmentOptions, Segmenter};
use rrsis::weights::Manifest;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are in use, and the most that were.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// At 256 x 256 a token of stage 1 takes 192 bytes, all 4096 of them 0.8 MB.
#[test]
fn a_mask_on_the_cpu_allocates_little() {
    for precision in [Precision::F32, Precision::Int8] {
        let segmenter = pollster::block_on(Segmenter::open_dir_in(
            &repository("models/rrsis-small"),
            DeviceChoice::Cpu,
            precision,
            // A pool of threads has allocations of its own.
            Some(1),
        ))
        .expect("opens");
        let image = |seed: usize| {
            let rgb = drawn(256, 256, |x, y| {
                [(x * y + seed) as u8, (x ^ y) as u8, x as u8]
            });
            Raster::new(256, 256, rgb).expect("fits")
        };
        let options = SegmentOptions {
            resolution: Some(256),
            ..SegmentOptions::default()
        };
        let segment = |seed: usize, expression: &str| {
            let image = image(seed);
            let before = (BYTES.load(Ordering::Relaxed), COUNT.load(Ordering::Relaxed));
            pollster::block_on(segmenter.segment(&image, expression, &options)).expect("a mask");
            let after = (BYTES.load(Ordering::Relaxed), COUNT.load(Ordering::Relaxed));
            (after.0 - before.0, after.1 - before.1)
        };
        // The first one makes room for all.
        segment(0, "building");
        let (bytes, count) = segment(1, "building");
        println!("{precision:?}: another image takes {bytes} bytes in {count} allocations");
        assert!(
            bytes < 6_500_000 && count < 800,
            "{bytes} bytes, {count} allocations"
        );
        let (bytes, count) = segment(1, "water");
        println!("{precision:?}: another expression takes {bytes} bytes in {count} allocations");
        assert!(
            bytes < 6_500_000 && count < 800,
            "{bytes} bytes, {count} allocations"
        );
    }

    loading_takes_little();

    // The mask of an image of a hundred million pixels takes no second hundred million bytes.
    let margins = PixelMargins {
        width: 1000,
        height: 1000,
        data: vec![3; 1_000_000],
    };
    let before = BYTES.load(Ordering::Relaxed);
    let mask = margins.into_mask(0.5);
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    assert_eq!(mask.foreground(), 1_000_000);
    assert!(bytes < 1000, "{bytes} bytes");
}

/// Memory of a browser's program never gets smaller: the most that loading takes stays taken.
fn loading_takes_little() {
    let folder = repository("models/rrsis-small");
    let text = std::fs::read_to_string(folder.join("manifest.json")).expect("reads");
    let manifest = Manifest::from_json(&text).expect("is a manifest");
    let mut segmenter = pollster::block_on(Segmenter::new(manifest, DeviceChoice::Cpu))
        .expect("opens")
        .with_precision(Precision::Int8)
        .with_threads(1);
    for (file, most) in [("text.bpk", 53_000_000), ("vision.bpk", 50_000_000)] {
        let content = std::fs::read(folder.join(file)).expect("reads");
        let before = LIVE.load(Ordering::Relaxed) - content.len();
        MOST.store(before, Ordering::Relaxed);
        segmenter.load(file, content).expect("loads");
        let taken = MOST.load(Ordering::Relaxed) - before;
        let kept = LIVE.load(Ordering::Relaxed) - before;
        println!("{file}: {taken} bytes at most, {kept} are kept");
        assert!(taken < most, "{file}: {taken} bytes");
    }
}
