//! Writing a data set.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{IGNORED, IMAGES, MASKS, name_problem, phrase_file};
use crate::dataset::DatasetError;
use crate::files::PartialDirectory;
use crate::mask::Mask;

/// Writes a data set beside its place; it appears there when it is complete.
#[derive(Debug)]
pub struct ReleaseWriter {
    target: PathBuf,
    directory: PartialDirectory,
    phrases: BTreeMap<String, String>,
    ids: HashSet<String>,
}

/// An image that several samples share: its bytes are written once.
#[derive(Debug)]
pub struct ImageSource {
    extension: String,
    content: Content,
    /// Where its first sample put it.
    written: Option<PathBuf>,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl ImageSource {
    /// A file, taken over as it is.
    pub fn file(path: &Path) -> Self {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        Self {
            extension: extension.unwrap_or_default(),
            content: Content::File(path.to_owned()),
            written: None,
        }
    }

    /// The bytes of a file with this extension.
    pub fn bytes(bytes: Vec<u8>, extension: &str) -> Self {
        Self {
            extension: extension.to_owned(),
            content: Content::Bytes(bytes),
            written: None,
        }
    }

    /// The file's bytes for the first sample; for the next ones another name of that same file, or a
    /// copy where the file system has no hard links. (Never a link to the source: a change to the
    /// data set must not reach it.)
    fn place(&mut self, path: &Path) -> Result<(), DatasetError> {
        let writing = |source| DatasetError::writing(path, source);
        if let Some(first) = &self.written {
            return fs::hard_link(first, path)
                .or_else(|_| fs::copy(first, path).map(drop))
                .map_err(writing);
        }
        match &self.content {
            Content::Bytes(bytes) => fs::write(path, bytes).map_err(writing)?,
            Content::File(file) => {
                // Not fs::copy, which would take over a read-only source's permissions.
                let bytes = fs::read(file).map_err(|source| DatasetError::reading(file, source))?;
                fs::write(path, bytes).map_err(writing)?;
            }
        }
        self.written = Some(path.to_owned());
        Ok(())
    }
}

impl ReleaseWriter {
    /// Begins a data set at `target`, where nothing may be yet.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn create(target: &Path) -> Result<Self, DatasetError> {
        let writing = |source| DatasetError::writing(target, source);
        let directory = PartialDirectory::create(target).map_err(writing)?;
        for folder in [IMAGES, MASKS] {
            fs::create_dir(directory.path().join(folder)).map_err(writing)?;
        }
        Ok(Self {
            target: target.to_owned(),
            directory,
            phrases: BTreeMap::new(),
            ids: HashSet::new(),
        })
    }

    /// Adds a sample to a split. Its id must be new, and its expression a single line.
    ///
    /// # Errors
    /// [`DatasetError::Name`], [`DatasetError::Mask`], [`DatasetError::Io`].
    pub fn add(
        &mut self,
        split: &str,
        id: &str,
        expression: &str,
        image: &mut ImageSource,
        mask: &Mask,
    ) -> Result<(), DatasetError> {
        check("The split", split, name_problem(split))?;
        check("The id", id, name_problem(id))?;
        check("The id", id, self.ids.contains(id).then_some("it is taken"))?;
        check("The expression", expression, expression_problem(expression))?;

        let root = self.directory.path();
        image.place(&root.join(IMAGES).join(format!("{id}.{}", image.extension)))?;
        let mask_path = root.join(MASKS).join(format!("{id}.png"));
        fs::write(&mask_path, mask.to_png()?)
            .map_err(|source| DatasetError::writing(&mask_path, source))?;
        let phrases = self.phrases.entry(split.to_owned()).or_default();
        phrases.push_str(&format!("{id} {expression}\n"));
        self.ids.insert(id.to_owned());
        Ok(())
    }

    /// Adds a sample with pixels that count neither as target nor as background.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_ignoring(
        &mut self,
        split: &str,
        id: &str,
        expression: &str,
        image: &mut ImageSource,
        mask: &Mask,
        ignored: &Mask,
    ) -> Result<(), DatasetError> {
        self.add(split, id, expression, image, mask)?;
        if ignored.foreground() == 0 {
            return Ok(());
        }
        let folder = self.directory.path().join(IGNORED);
        fs::create_dir_all(&folder).map_err(|source| DatasetError::writing(&folder, source))?;
        let path = folder.join(format!("{id}.png"));
        fs::write(&path, ignored.to_png()?).map_err(|source| DatasetError::writing(&path, source))
    }

    /// Adds a file beside the layout, for example where the scenes come from.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn add_file(&self, name: &str, content: &[u8]) -> Result<(), DatasetError> {
        let path = self.directory.path().join(name);
        fs::write(&path, content).map_err(|source| DatasetError::writing(&path, source))
    }

    /// Writes the lists of expressions and gives the data set its name.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn finish(self) -> Result<(), DatasetError> {
        for (split, phrases) in &self.phrases {
            self.add_file(&phrase_file(split), phrases.as_bytes())?;
        }
        self.directory
            .finish()
            .map_err(|source| DatasetError::writing(&self.target, source))
    }
}

fn check(
    what: &'static str,
    value: &str,
    problem: Option<&'static str>,
) -> Result<(), DatasetError> {
    match problem {
        None => Ok(()),
        Some(problem) => Err(DatasetError::Name {
            what,
            value: value.to_owned(),
            problem,
        }),
    }
}

fn expression_problem(expression: &str) -> Option<&'static str> {
    if expression.trim().is_empty() {
        Some("it is empty")
    } else if expression.contains(['\n', '\r']) {
        Some("it has more than one line")
    } else {
        None
    }
}
