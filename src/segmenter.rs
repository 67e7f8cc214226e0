//! The one way from an image and an expression to a mask.
//!
//! The page, the command line, the tests and the benchmarks all come through here. A segmenter is
//! opened from a manifest; its files arrive one by one in any order, so that a page can fetch each
//! when it is first needed.

mod job;
mod relation;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{DeviceError, Error, Result};
use crate::expression::ExpressionTokenizer;
use crate::image::{Raster, TileGrid};
use crate::mask::{MarginMap, Mask, PixelMargins, Upsampling};
use crate::network::cpu::Filled;
use crate::network::{
    Bert, Language, LgceNetwork, Precision, Stem, Team, TextEngine, VisionEngine,
};
use crate::platform::{self, ComputeDevice, DeviceChoice, now_ms};
use crate::weights::manifest::Relations;
use crate::weights::shard::Shard;
use crate::weights::{Manifest, Part, WeightsError};

pub use self::job::Job;
use self::job::Margin;
use self::relation::{Parts, with_regions_at};

/// Coarsest and finest side that an image may be resized to for the network.
const RESOLUTIONS: std::ops::RangeInclusive<usize> = 64..=1024;

/// Fewest pixels of a tile's side: less shows the network nothing.
const SMALLEST_TILE: usize = 64;

/// An image encoder and a language encoder on a device, and what they need around them.
#[derive(Debug)]
pub struct Segmenter {
    manifest: Manifest,
    device: ComputeDevice,
    precision: Precision,
    team: Team,
    tokenizer: Option<ExpressionTokenizer>,
    text: Option<TextEngine>,
    vision: Option<VisionEngine>,
    last: Mutex<Option<Seen>>,
    asked: Mutex<Option<Asked>>,
}

/// What was last computed of an image before any word is read: the next expression on the same image
/// goes on from there.
#[derive(Debug)]
struct Seen {
    image: Raster,
    stem: Stem,
}

/// The last expression, and what it asks of the network.
#[derive(Debug)]
struct Asked {
    expression: String,
    relations: Relations,
    question: Question,
}

/// What an expression asks of the network.
#[derive(Clone, Debug)]
struct Question {
    /// Word features of the expression.
    whole: Language,
    /// Those of its subject and its reference, and the relation's share, where it is read in parts.
    parts: Option<([Language; 2], f32)>,
    /// The expression was longer than the network reads.
    truncated: bool,
}

/// What a caller may change for one call; `None` keeps the manifest's value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SegmentOptions {
    /// A pixel is foreground where its probability exceeds this; between 0 and 1.
    pub threshold: Option<f32>,
    /// How the network's output gets the size of the image.
    pub upsampling: Option<Upsampling>,
    /// How an expression with a relation is answered.
    pub relations: Option<Relations>,
    /// Side that the image (or a tile) is resized to for the network: a multiple of 32 from 64 to
    /// 1024.
    pub resolution: Option<usize>,
    /// Whether a large image goes through the network in parts.
    pub tiling: Tiling,
}

/// How an image is divided for the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tiling {
    /// Whole up to twice the model's input size; beyond, tiles of one and a half times that size,
    /// which is about the scale of the scenes that the model was trained on.
    #[default]
    Auto,
    /// Whole, whatever its size, as the paper does it: small things in a large image get lost.
    Whole,
    /// Tiles of so many pixels a side, from 64 on.
    Side(usize),
}

/// What an expression refers to, and how it came about.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// The network's output.
    pub margin: MarginMap,
    /// The same at the image's own size, from which masks are drawn at any threshold.
    pub pixels: PixelMargins,
    /// The probability above which a pixel is foreground.
    pub threshold: f32,
    /// The expression was longer than the network reads.
    pub truncated: bool,
    /// Where the time went.
    pub timings: Timings,
}

impl Segmentation {
    /// The mask at the image's own size.
    pub fn mask(&self) -> Mask {
        self.pixels.mask(self.threshold)
    }
}

/// A probability that masks may be drawn at.
///
/// # Errors
/// [`Error::Option`] where it is not between 0 and 1.
pub fn checked_threshold(threshold: f32) -> Result<f32> {
    if threshold > 0.0 && threshold < 1.0 {
        Ok(threshold)
    } else {
        Err(Error::Option {
            option: "threshold",
            value: threshold.to_string(),
            expected: "a number between 0 and 1",
        })
    }
}

/// Milliseconds spent in each step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Cutting and resizing the image.
    pub preprocess_ms: f64,
    /// Tokenizer and language encoder, as far as the device works while it is called.
    pub text_ms: f64,
    /// Image encoder, fusion and decoder, until the result has been read back.
    pub vision_ms: f64,
    /// From the network's output to the mask.
    pub postprocess_ms: f64,
}

impl Segmenter {
    /// Opens a device for a model whose files are still to come.
    ///
    /// # Errors
    /// [`Error::Device`] where the GPU was asked for and cannot be used.
    pub async fn new(manifest: Manifest, device: DeviceChoice) -> Result<Self> {
        let device = ComputeDevice::open(device).await?;
        Ok(Self {
            manifest,
            device,
            precision: Precision::default(),
            team: platform::team(None),
            tokenizer: None,
            text: None,
            vision: None,
            last: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    /// How a CPU multiplies; for parts that are loaded from now on. GPUs compute in f32 in any case.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        if precision == Precision::Int8 && self.device.name == "cpu" {
            // In a browser some tens of milliseconds, once, in which weights are on their way.
            rrsis_kernels::choose_products(platform::now_ms);
        }
        self.precision = precision;
        self
    }

    /// How many threads a CPU computes the network with, from 1 on; for parts that are loaded from now
    /// on. As many as the machine runs at once unless this says less; in a browser, those that the page
    /// has started.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.team = platform::team(Some(threads));
        self
    }

    /// How many threads compute the network on a CPU.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// A segmenter from parts that are in memory already, on `device`.
    ///
    /// `manifest` says how an image becomes their input; its files are not looked at.
    pub fn assemble(
        manifest: Manifest,
        device: ComputeDevice,
        tokenizer: ExpressionTokenizer,
        text: Bert,
        vision: LgceNetwork,
    ) -> Self {
        let precision = Precision::default();
        let team = platform::team(None);
        let config = &manifest.config;
        let place = &device.device;
        let shared = (precision, team.clone());
        let vision = VisionEngine::new(vision, config, place, shared, &mut Filled);
        let text = TextEngine::new(text, config, place, precision, &mut Filled);
        Self {
            text: Some(text),
            vision: Some(vision),
            manifest,
            device,
            precision,
            team,
            tokenizer: Some(tokenizer),
            last: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Opens a model directory with everything in it, for products in f32.
    ///
    /// # Errors
    /// [`Error::Io`] where a file is missing, [`Error::Weights`] where one is damaged,
    /// [`Error::Device`] where the GPU was asked for and cannot be used.
    #[cfg(not(target_family = "wasm"))]
    pub async fn open_dir(directory: &std::path::Path, device: DeviceChoice) -> Result<Self> {
        Self::open_dir_in(directory, device, Precision::F32, None).await
    }

    /// The same with another precision, and perhaps with fewer threads (see [`Self::with_threads`]).
    ///
    /// # Errors
    /// As [`Self::open_dir`].
    #[cfg(not(target_family = "wasm"))]
    pub async fn open_dir_in(
        directory: &std::path::Path,
        device: DeviceChoice,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path).map_err(|source| Error::Io {
                action: "Reading",
                path,
                source,
            })
        };
        let manifest = read("manifest.json")?;
        let manifest = Manifest::from_json(&String::from_utf8_lossy(&manifest))?;
        let files: Vec<String> = manifest.files.iter().map(|f| f.file.clone()).collect();
        let mut segmenter = Self::new(manifest, device).await?.with_precision(precision);
        if let Some(threads) = threads {
            segmenter = segmenter.with_threads(threads);
        }
        for file in files {
            segmenter.load(&file, read(&file)?)?;
        }
        Ok(segmenter)
    }

    /// Checks one file of the manifest and builds the part it holds.
    ///
    /// # Errors
    /// [`Error::Weights`] where the file is not in the manifest, has the wrong size or hash, or
    /// does not fit the network.
    pub fn load(&mut self, file: &str, content: Vec<u8>) -> Result<()> {
        let entry = self.manifest.file_named(file)?;
        entry.verify(&content)?;
        let config = &self.manifest.config;
        let device = &self.device.device;
        match entry.part {
            Part::Tokenizer => self.tokenizer = Some(ExpressionTokenizer::from_json(&content)?),
            Part::Text => {
                let mut shard = Shard::open(content, file)?;
                let bert = Bert::new(&config.bert, device);
                let engine = TextEngine::new(bert, config, device, self.precision, &mut shard);
                shard.finish()?;
                self.asked = Mutex::default();
                self.text = Some(engine);
            }
            Part::Vision => {
                let mut shard = Shard::open(content, file)?;
                let network = LgceNetwork::new(config, device);
                let shared = (self.precision, self.team.clone());
                let engine = VisionEngine::new(network, config, device, shared, &mut shard);
                shard.finish()?;
                self.last = Mutex::default();
                self.vision = Some(engine);
            }
        }
        Ok(())
    }

    /// Whether a part has been loaded.
    pub fn is_loaded(&self, part: Part) -> bool {
        match part {
            Part::Tokenizer => self.tokenizer.is_some(),
            Part::Text => self.text.is_some(),
            Part::Vision => self.vision.is_some(),
        }
    }

    /// What the model is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// "cpu" or "gpu".
    pub fn device_name(&self) -> &'static str {
        self.device.name
    }

    /// Why the GPU was not taken although the choice was open.
    pub fn fallback(&self) -> Option<&str> {
        self.device.fallback.as_deref()
    }

    /// Runs the network once on an empty image, so that a GPU compiles its shaders before somebody
    /// waits for a mask. Does nothing on the CPU.
    ///
    /// # Errors
    /// As [`Self::segment`].
    pub async fn warm_up(&self, resolution: Option<usize>) -> Result<()> {
        if self.device.name == "cpu" {
            return Ok(());
        }
        let side = self.resolution(resolution)?;
        let black = Raster {
            width: side,
            height: side,
            rgb: vec![0; 3 * side * side],
        };
        let question = self.question("building", Relations::Whole)?;
        self.run_vision(black, &question).await?;
        Ok(())
    }

    /// The mask of what `expression` refers to in `image`, at the image's own size.
    ///
    /// # Errors
    /// [`Error::Expression`] for an empty or overlong expression, [`Error::Option`] for an option
    /// outside its range, [`Error::Weights`] where a part has not been loaded, [`Error::Device`]
    /// where the device fails.
    pub async fn segment(
        &self,
        image: &Raster,
        expression: &str,
        options: &SegmentOptions,
    ) -> Result<Segmentation> {
        let mut job = self.begin(image, expression, options)?;
        while job.step().await? {}
        Ok(job.finish())
    }

    /// The same in steps, a tile each, so that a caller can report progress and stop in between.
    ///
    /// # Errors
    /// As [`Self::segment`].
    pub fn begin<'a>(
        &'a self,
        image: &'a Raster,
        expression: &str,
        options: &SegmentOptions,
    ) -> Result<Job<'a>> {
        let side = self.resolution(options.resolution)?;
        let threshold = self.threshold(options.threshold)?;
        let grid = self.grid(image, options.tiling)?;
        let relations = options.relations.unwrap_or(self.manifest.relations);
        let start = now_ms();
        let question = self.question(expression, relations)?;
        let timings = Timings {
            text_ms: now_ms() - start,
            ..Timings::default()
        };
        Ok(Job {
            open: (0..grid.tiles.len()).rev().collect(),
            segmenter: self,
            image,
            side,
            threshold,
            upsampling: options.upsampling.unwrap_or(self.manifest.upsampling),
            grid,
            question,
            placed: 0,
            early: BTreeMap::new(),
            margin: Margin::Nothing,
            timings,
        })
    }

    /// What the network says of one tile of a [`Job`] that another segmenter has begun.
    ///
    /// `tile`: what [`Job::hand_out`] gave, square.
    ///
    /// # Errors
    /// As [`Self::segment`]; [`Error::Option`] for a tile whose sides are no resolution.
    pub async fn margin_of_tile(&self, tile: Raster, expression: &str) -> Result<MarginMap> {
        self.resolution(Some(tile.width))?;
        self.resolution(Some(tile.height))?;
        let question = self.question(expression, self.manifest.relations)?;
        self.run_vision(tile, &question).await
    }

    /// What an expression asks; kept, because the next image or tile is often asked for the same.
    fn question(&self, expression: &str, relations: Relations) -> Result<Question> {
        let mut last = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = last
            .as_ref()
            .filter(|asked| asked.expression == expression && asked.relations == relations)
        {
            return Ok(asked.question.clone());
        }
        let tokens = self.tokenizer()?.encode(expression, self.max_tokens())?;
        let text = self
            .text
            .as_ref()
            .ok_or_else(|| self.not_loaded(Part::Text))?;
        let read = |words: &str| -> Result<Language> {
            let tokens = self.tokenizer()?.encode(words, self.max_tokens())?;
            Ok(text.forward(&tokens.ids, &tokens.mask))
        };
        // Where a part has no word that the tokenizer knows, the whole has to do.
        let parts = Some(relations)
            .filter(|relations| *relations == Relations::Parts)
            .and_then(|_| Parts::of(&tokens.cleaned))
            .and_then(|parts| {
                let [subject, reference] = [&parts.subject, &parts.reference].map(|w| read(w));
                Some(([subject.ok()?, reference.ok()?], parts.share))
            });
        let question = Question {
            whole: text.forward(&tokens.ids, &tokens.mask),
            parts,
            truncated: tokens.truncated,
        };
        *last = Some(Asked {
            expression: expression.to_owned(),
            relations,
            question: question.clone(),
        });
        Ok(question)
    }

    /// Foreground minus background logit at a quarter of the network's resolution.
    ///
    /// `image`: of the network's input size.
    async fn run_vision(&self, image: Raster, question: &Question) -> Result<MarginMap> {
        let network = self
            .vision
            .as_ref()
            .ok_or_else(|| self.not_loaded(Part::Vision))?;
        let stem = self.stem(network, image);
        let whole = self.margin(network, &stem, &question.whole).await?;
        let Some(([subject, reference], share)) = &question.parts else {
            return Ok(whole);
        };
        let subject = self.margin(network, &stem, subject).await?;
        let reference = self.margin(network, &stem, reference).await?;
        Ok(with_regions_at(whole, &subject, &reference, *share))
    }

    /// What the network says of words about an image.
    async fn margin(
        &self,
        network: &VisionEngine,
        stem: &Stem,
        language: &Language,
    ) -> Result<MarginMap> {
        let margin =
            network
                .forward(stem, language)
                .await
                .map_err(|reason| DeviceError::Failed {
                    device: self.device.name,
                    action: "running the network",
                    reason,
                })?;
        // Comparisons with NaN are false: without this it would pass for "nothing found".
        let count = margin
            .data
            .iter()
            .filter(|value| !value.is_finite())
            .count();
        if count > 0 {
            let (device, total) = (self.device.name, margin.data.len());
            return Err(DeviceError::NotFinite {
                device,
                count,
                total,
            }
            .into());
        }
        Ok(margin)
    }

    /// The part of the network that reads no words, unless the last image was the same one.
    fn stem(&self, network: &VisionEngine, image: Raster) -> Stem {
        // What a panic elsewhere left behind is a finished value all the same.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = last.as_ref().filter(|seen| seen.image == image) {
            return seen.stem.clone();
        }
        let input = &self.manifest.input;
        let pixels = image.normalised_chw(input.mean, input.std);
        let stem = network.encode_image(pixels, [image.height, image.width]);
        *last = Some(Seen {
            image,
            stem: stem.clone(),
        });
        stem
    }

    fn tokenizer(&self) -> Result<&ExpressionTokenizer> {
        self.tokenizer
            .as_ref()
            .ok_or_else(|| self.not_loaded(Part::Tokenizer))
    }

    fn max_tokens(&self) -> usize {
        self.manifest.input.max_tokens
    }

    fn resolution(&self, asked: Option<usize>) -> Result<usize> {
        let side = asked.unwrap_or(self.manifest.input.size);
        if RESOLUTIONS.contains(&side) && side.is_multiple_of(32) {
            Ok(side)
        } else {
            Err(Error::Option {
                option: "resolution",
                value: side.to_string(),
                expected: "a multiple of 32 from 64 to 1024",
            })
        }
    }

    fn grid(&self, image: &Raster, tiling: Tiling) -> Result<TileGrid> {
        let (width, height) = (image.width, image.height);
        let size = self.manifest.input.size;
        match tiling {
            Tiling::Auto if width.max(height) > 2 * size => {
                Ok(TileGrid::new(width, height, size + size / 2))
            }
            Tiling::Auto | Tiling::Whole => Ok(TileGrid::whole(width, height)),
            Tiling::Side(side) if side >= SMALLEST_TILE => Ok(TileGrid::new(width, height, side)),
            Tiling::Side(side) => Err(Error::Option {
                option: "tile",
                value: side.to_string(),
                expected: "64 pixels or more",
            }),
        }
    }

    fn threshold(&self, asked: Option<f32>) -> Result<f32> {
        checked_threshold(asked.unwrap_or(self.manifest.threshold))
    }

    fn not_loaded(&self, part: Part) -> Error {
        match self.manifest.file_of(part) {
            Ok(entry) => WeightsError::NotLoaded {
                part: part.name(),
                file: entry.file.clone(),
            }
            .into(),
            Err(error) => error.into(),
        }
    }
}
