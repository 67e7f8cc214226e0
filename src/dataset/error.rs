//! Why a data set cannot be read or written.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::image::ImageError;
use crate::mask::MaskError;

/// Why a data set cannot be read or written. Each message names the file and what was expected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or directory could not be read or written.
    #[error("{action} {} failed: {source}.", path.display())]
    Io {
        /// "Reading" or "Writing".
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The directory has no such split.
    #[error(
        "{} has no split \"{split}\": {} is not there. {}",
        root.display(), file.display(), known_splits(known)
    )]
    NoSplit {
        /// The data set.
        root: PathBuf,
        /// What was asked for.
        split: String,
        /// The file that would name its samples.
        file: PathBuf,
        /// The splits that are there.
        known: Vec<String>,
    },
    /// A line of an expression file is malformed.
    #[error(
        "{}, line {line}: {problem}. Each line is an id, a space and an expression, \
         as in \"1024 road marking\".",
        file.display()
    )]
    Line {
        /// The expression file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The split names no sample at all.
    #[error("{} holds no line with an id and an expression.", file.display())]
    NoSamples {
        /// The expression file.
        file: PathBuf,
    },
    /// A sample's image or mask is not there.
    #[error("{}, line {line}: there is no {what} for \"{id}\". Expected {expected}.", file.display())]
    NoFile {
        /// The expression file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// "image" or "mask".
        what: &'static str,
        /// The sample.
        id: String,
        /// Where it was looked for.
        expected: String,
    },
    /// An image of the data set cannot be used.
    #[error("{}: {source}", path.display())]
    Image {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// A mask of the data set cannot be used.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A JSON file does not hold what it should.
    #[error("{}: {problem}.", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A label map does not fit its scene.
    #[error("{}: {problem}.", path.display())]
    Labels {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tile of a label-map data set cannot be used.
    #[error("{}: {problem}.", path.display())]
    Tile {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// A synthetic scene cannot be drawn as asked.
    #[error("The synthetic scene cannot be drawn: {problem}.")]
    Scene {
        /// What was asked for, and what is possible.
        problem: String,
    },
    /// Two things that belong together have different sizes.
    #[error(
        "{} has {} x {} pixels, but its image has {} x {}.",
        path.display(), found.0, found.1, image.0, image.1
    )]
    Size {
        /// The mask or label map.
        path: PathBuf,
        /// Its width and height.
        found: (usize, usize),
        /// Width and height of the image.
        image: (usize, usize),
    },
    /// Nothing to write.
    #[error(
        "{}: no scene gives an expression for the split \"{split}\".",
        root.display()
    )]
    Nothing {
        /// Where the scenes are.
        root: PathBuf,
        /// Which split.
        split: String,
    },
    /// An id, split or expression that the layout cannot hold.
    #[error("{what} \"{value}\" does not fit the data set's layout: {problem}.")]
    Name {
        /// "The id", "The split" or "The expression".
        what: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl DatasetError {
    pub(super) fn reading(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action: "Reading",
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn writing(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action: "Writing",
            path: path.to_owned(),
            source,
        }
    }
}

fn known_splits(known: &[String]) -> String {
    if known.is_empty() {
        "A data set has the folders images and masks, and files output_phrase_<split>.txt.".into()
    } else {
        format!("Its splits: {}.", known.join(", "))
    }
}
