//! Reading a split.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{IGNORED, IMAGES, MASKS, PHRASES, name_problem, phrase_file};
use crate::dataset::DatasetError;
use crate::image::{self, Raster};
use crate::mask::Mask;

const IMAGE_EXTENSIONS: [&str; 6] = ["tif", "tiff", "png", "jpg", "jpeg", "webp"];
const MASK_EXTENSIONS: [&str; 3] = ["tif", "tiff", "png"];

/// One split of a data set: its samples in the order of their file.
#[derive(Clone, Debug)]
pub struct Split {
    /// Directory of the data set.
    pub root: PathBuf,
    /// Name of the split.
    pub name: String,
    /// Its samples.
    pub triplets: Vec<Triplet>,
}

/// An image, an expression and the mask of what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triplet {
    /// Name of the sample.
    pub id: String,
    /// What is to be found.
    pub expression: String,
    /// File of the image.
    pub image: PathBuf,
    /// File of the mask.
    pub mask: PathBuf,
    /// File of the pixels that count neither as target nor as background, where there is one.
    pub ignored: Option<PathBuf>,
}

impl Split {
    /// Reads the list of samples and checks that all of their files are there.
    ///
    /// # Errors
    /// [`DatasetError::NoSplit`], [`DatasetError::Line`], [`DatasetError::NoSamples`],
    /// [`DatasetError::NoFile`], [`DatasetError::Io`].
    pub fn open(root: &Path, split: &str) -> Result<Self, DatasetError> {
        if let Some(problem) = name_problem(split) {
            return Err(DatasetError::Name {
                what: "The split",
                value: split.to_owned(),
                problem,
            });
        }
        let file = root.join(phrase_file(split));
        if !file.is_file() {
            return Err(DatasetError::NoSplit {
                root: root.to_owned(),
                split: split.to_owned(),
                file,
                known: known_splits(root)?,
            });
        }
        let lines = parse(&file)?;
        let images = Folder::list(root.join(IMAGES), "image", &IMAGE_EXTENSIONS)?;
        let masks = Folder::list(root.join(MASKS), "mask", &MASK_EXTENSIONS)?;
        let ignored = root.join(IGNORED);
        let ignored = if ignored.is_dir() {
            Some(Folder::list(ignored, "mask of ignored pixels", &["png"])?)
        } else {
            None
        };
        let triplets = lines
            .into_iter()
            .map(|line| {
                Ok(Triplet {
                    ignored: ignored.as_ref().and_then(|folder| folder.path_of(&line.id)),
                    image: images.find(&line, &file)?,
                    mask: masks.find(&line, &file)?,
                    id: line.id,
                    expression: line.expression,
                })
            })
            .collect::<Result<Vec<_>, DatasetError>>()?;
        if triplets.is_empty() {
            return Err(DatasetError::NoSamples { file });
        }
        Ok(Self {
            root: root.to_owned(),
            name: split.to_owned(),
            triplets,
        })
    }

    /// The splits that a data set has.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn names(root: &Path) -> Result<Vec<String>, DatasetError> {
        known_splits(root)
    }

    /// Keeps `count` samples, spread evenly over the split.
    pub fn thin_out(&mut self, count: usize) {
        let total = self.triplets.len();
        if count >= total {
            return;
        }
        let mut kept = (0..count).map(|at| at * total / count).peekable();
        let mut at = 0;
        self.triplets.retain(|_| {
            let keep = kept.next_if_eq(&at).is_some();
            at += 1;
            keep
        });
    }
}

impl Triplet {
    /// The file of the image.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn read_image(&self) -> Result<Vec<u8>, DatasetError> {
        fs::read(&self.image).map_err(|source| DatasetError::reading(&self.image, source))
    }

    /// Decodes what [`Self::read_image`] gave.
    ///
    /// # Errors
    /// [`DatasetError::Image`].
    pub fn decode_image(&self, bytes: &[u8]) -> Result<Raster, DatasetError> {
        image::decode(bytes).map_err(|source| DatasetError::Image {
            path: self.image.clone(),
            source,
        })
    }

    /// Reads the mask, which must have the size of the image.
    ///
    /// # Errors
    /// [`DatasetError::Io`], [`DatasetError::Mask`], [`DatasetError::Size`].
    pub fn read_mask(&self, image: &Raster) -> Result<Mask, DatasetError> {
        read_mask(&self.mask, image)
    }

    /// Reads the pixels that count neither as target nor as background.
    ///
    /// # Errors
    /// As [`Self::read_mask`].
    pub fn read_ignored(&self, image: &Raster) -> Result<Option<Mask>, DatasetError> {
        let read = |path: &PathBuf| read_mask(path, image);
        self.ignored.as_ref().map(read).transpose()
    }
}

fn read_mask(path: &Path, image: &Raster) -> Result<Mask, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::reading(path, source))?;
    let mask = Mask::decode(&bytes, &path.display().to_string())?;
    let (found, size) = ((mask.width, mask.height), (image.width, image.height));
    if found == size {
        Ok(mask)
    } else {
        Err(DatasetError::Size {
            path: path.to_owned(),
            found,
            image: size,
        })
    }
}

/// One line of an expression file.
struct Line {
    number: usize,
    id: String,
    expression: String,
}

fn parse(file: &Path) -> Result<Vec<Line>, DatasetError> {
    let bytes = fs::read(file).map_err(|source| DatasetError::reading(file, source))?;
    let mut lines = Vec::new();
    for (at, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |problem: String| DatasetError::Line {
            file: file.to_owned(),
            line: at + 1,
            problem,
        };
        let line = std::str::from_utf8(bytes)
            .map_err(|_| wrong("it is not UTF-8 text".to_owned()))?
            .trim_start_matches('\u{feff}')
            .trim();
        if line.is_empty() {
            continue;
        }
        let Some((id, expression)) = line.split_once(char::is_whitespace) else {
            return Err(wrong(format!("\"{line}\" has no expression after the id")));
        };
        if let Some(problem) = name_problem(id) {
            return Err(wrong(format!("the id \"{id}\" cannot be used, {problem}")));
        }
        lines.push(Line {
            number: at + 1,
            id: id.to_owned(),
            expression: expression.trim().to_owned(),
        });
    }
    Ok(lines)
}

/// The names in a folder, read once: a split has thousands of samples.
struct Folder {
    path: PathBuf,
    what: &'static str,
    extensions: &'static [&'static str],
    names: HashSet<OsString>,
}

impl Folder {
    fn list(
        path: PathBuf,
        what: &'static str,
        extensions: &'static [&'static str],
    ) -> Result<Self, DatasetError> {
        let names = entries(&path)?.into_iter().collect();
        Ok(Self {
            path,
            what,
            extensions,
            names,
        })
    }

    fn find(&self, line: &Line, file: &Path) -> Result<PathBuf, DatasetError> {
        self.path_of(&line.id).ok_or_else(|| DatasetError::NoFile {
            file: file.to_owned(),
            line: line.number,
            what: self.what,
            id: line.id.clone(),
            expected: format!(
                "{} with one of the extensions {}",
                self.path.join(&line.id).display(),
                self.extensions.join(", ")
            ),
        })
    }

    fn path_of(&self, id: &str) -> Option<PathBuf> {
        self.extensions
            .iter()
            .map(|extension| format!("{id}.{extension}"))
            .find(|name| self.names.contains(std::ffi::OsStr::new(name)))
            .map(|name| self.path.join(name))
    }
}

fn entries(path: &Path) -> Result<Vec<OsString>, DatasetError> {
    let failed = |source| DatasetError::reading(path, source);
    fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.file_name()).map_err(failed))
        .collect()
}

/// The splits that a directory has.
fn known_splits(root: &Path) -> Result<Vec<String>, DatasetError> {
    let mut splits: Vec<String> = entries(root)?
        .iter()
        .filter_map(|name| {
            name.to_str()?
                .strip_prefix(PHRASES.0)?
                .strip_suffix(PHRASES.1)
        })
        .map(str::to_owned)
        .collect();
    splits.sort();
    Ok(splits)
}
