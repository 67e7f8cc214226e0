//! Which images, which expressions, and where each result goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::output::Format;
use crate::cli::arguments::read;
use crate::error::{Error, Result};

/// Endings of the files that are taken from a directory.
const ENDINGS: [&str; 9] = [
    "png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "gtiff",
];
/// Longest part of an expression in a file's name.
const LONGEST_NAME: usize = 60;

/// One of several parts of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// From 0.
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
        });
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self {
                index: index - 1,
                count,
            }),
            _ => Err("must be I/N with I from 1 to N, such as 2/8".to_owned()),
        }
    }
}

/// An expression about an image, and the file that its mask goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) expression: String,
    pub(super) output: PathBuf,
}

/// Everything that is to be done, in an order that does not change from run to run.
#[derive(Debug)]
pub(super) struct Plan {
    images: Vec<(PathBuf, Vec<Work>)>,
}

impl Plan {
    /// All images with all expressions.
    ///
    /// # Errors
    /// [`Error::Io`] where a directory cannot be read; [`Error::Option`] where there is no image, or
    /// where two results would go to the same file.
    pub(super) fn new(
        inputs: &[PathBuf],
        expressions: Vec<String>,
        out: &Path,
        format: Format,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let mut unique: Vec<String> = Vec::new();
        for expression in expressions {
            if !unique.contains(&expression) {
                unique.push(expression);
            }
        }
        let mut found = Vec::new();
        for input in inputs {
            if input.is_dir() {
                let before = found.len();
                collect(input, Path::new(""), &mut found)?;
                if found.len() == before {
                    return Err(wrong("IMAGE", input, "a directory with images in it"));
                }
            } else {
                found.push((input.clone(), PathBuf::new()));
            }
        }
        let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        let mut images = Vec::new();
        for (image, folder) in found {
            let stem = image.file_stem().unwrap_or_default().to_string_lossy();
            let work: Vec<Work> = unique
                .iter()
                .map(|expression| Work {
                    expression: expression.clone(),
                    output: out.join(&folder).join(format!(
                        "{stem}-{}.{}",
                        name_of(expression),
                        format.extension()
                    )),
                })
                .collect();
            for one in &work {
                if let Some(other) = taken.insert(one.output.clone(), image.clone()) {
                    return Err(Error::Option {
                        option: "IMAGE",
                        value: format!("{} as well as {}", other.display(), image.display()),
                        expected: "files of different names: their results would go to one file",
                    });
                }
            }
            images.push((image, work));
        }
        if let Some(Shard { index, count }) = shard {
            let mut position = 0;
            images.retain(|_| {
                position += 1;
                (position - 1) % count == index
            });
        }
        Ok(Self { images })
    }

    pub(super) fn images(&self) -> impl Iterator<Item = (&Path, &[Work])> {
        self.images
            .iter()
            .map(|(image, work)| (image.as_path(), &work[..]))
    }

    pub(super) fn count(&self) -> usize {
        self.images.iter().map(|(_, work)| work.len()).sum()
    }
}

/// The images below a directory, sorted, each with its folder below it.
fn collect(directory: &Path, folder: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    let unreadable = |source| Error::Io {
        action: "Reading",
        path: directory.to_owned(),
        source,
    };
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(unreadable)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_owned();
            collect(&path, &folder.join(name), found)?;
        } else {
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            if ENDINGS.iter().any(|known| ending == *known) {
                found.push((path, folder.to_owned()));
            }
        }
    }
    Ok(())
}

/// An expression as a part of a file's name: letters, digits and hyphens. Where that loses something,
/// a few digits of its hash keep two expressions apart.
pub(super) fn name_of(expression: &str) -> String {
    let words: Vec<String> = expression
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let plain = words.join(" ") == expression;
    let name: String = words.join("-").chars().take(LONGEST_NAME).collect();
    if plain && name.chars().count() < LONGEST_NAME {
        return name;
    }
    let hash = Sha256::digest(expression.as_bytes());
    let digits: String = hash
        .iter()
        .take(3)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if name.is_empty() {
        digits
    } else {
        format!("{name}-{digits}")
    }
}

/// The lines of a file that hold something.
pub(super) fn lines(path: &Path) -> Result<Vec<String>> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        let place = format!("{}, line {line}", path.display());
        Error::Option {
            option: "expressions",
            value: place,
            expected: "text in UTF-8",
        }
    })?;
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(wrong(
            "expressions",
            path,
            "a file with an expression on each line",
        ));
    }
    Ok(lines)
}

fn wrong(option: &'static str, path: &Path, expected: &'static str) -> Error {
    Error::Option {
        option,
        value: path.display().to_string(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_expressions_apart() {
        assert_eq!(name_of("building"), "building");
        assert_eq!(name_of("car on the road"), "car-on-the-road");
        assert_ne!(name_of("car, on the road"), name_of("car on the road"));
        assert_ne!(name_of("a/b"), name_of("a b"));
        assert!(!name_of("../../etc").contains(['/', '.']));
        assert!(name_of(&"very ".repeat(100)).len() < 80);
        assert!(!name_of("???").is_empty());
    }

    #[test]
    fn parts_cover_everything_once() {
        let images: Vec<PathBuf> = (0..10).map(|i| format!("{i}.png").into()).collect();
        let part = |shard: &str| {
            let shard = Some(shard.parse().expect("a shard"));
            let expressions = vec!["car".to_owned()];
            let plan = Plan::new(&images, expressions, Path::new("out"), Format::Png, shard);
            let plan = plan.expect("plans");
            plan.images()
                .map(|(image, _)| image.to_owned())
                .collect::<Vec<_>>()
        };
        let mut all: Vec<PathBuf> = ["1/3", "2/3", "3/3"].into_iter().flat_map(part).collect();
        all.sort();
        assert_eq!(all, images);
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_results_in_one_file_are_refused() {
        let images = ["a/x.png".into(), "b/x.png".into()];
        let plan = Plan::new(
            &images,
            vec!["car".into()],
            Path::new("out"),
            Format::Png,
            None,
        );
        let error = plan.expect_err("refused").to_string();
        assert!(error.contains("a/x.png as well as b/x.png"), "{error}");
    }
}
