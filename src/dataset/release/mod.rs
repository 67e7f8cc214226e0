//! The layout in which RefSegRS was released:
//!
//! ```text
//! images/<id>.{tif,png,jpg}
//! masks/<id>.{tif,png}             0 and 1, or 0 and 255
//! ignored/<id>.png                 not in the release: pixels that may belong to the target or not
//! output_phrase_<split>.txt        lines "<id> <expression>"
//! ```

mod reader;
mod writer;

pub use reader::{Split, Triplet};
pub use writer::{ImageSource, ReleaseWriter};

/// Folder of the images.
const IMAGES: &str = "images";
/// Folder of the masks.
const MASKS: &str = "masks";
/// Folder of the pixels in question, where there are any.
const IGNORED: &str = "ignored";
/// Before the split in the name of an expression file, and after it.
const PHRASES: (&str, &str) = ("output_phrase_", ".txt");

fn phrase_file(split: &str) -> String {
    format!("{}{split}{}", PHRASES.0, PHRASES.1)
}

/// What keeps an id or a split from being part of a file name, if anything does.
fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.contains(['/', '\\', '\0']) || name == "." || name == ".." {
        Some("it is not a plain file name")
    } else if name.contains(char::is_whitespace) {
        Some("it contains white space")
    } else {
        None
    }
}
