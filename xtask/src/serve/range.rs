//! `Range` headers (RFC 9110, section 14).

/// What to send of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, with status 200.
    Whole,
    /// Bytes `first..=last`, with status 206.
    Bytes { first: u64, last: u64 },
    /// Nothing, with status 416: the range starts past the end.
    Unsatisfiable,
}

/// Reads the value of a `Range` header for a file of `length` bytes.
///
/// What is not one well-formed byte range is ignored, as the RFC allows.
pub fn part(header: &str, length: u64) -> Part {
    let Some((unit, range)) = header.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Part::Whole;
    };
    let (Ok(first), Ok(last)) = (number(first), number(last)) else {
        return Part::Whole;
    };
    match (first, last) {
        (None, None) => Part::Whole,
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), _) if first >= length => Part::Unsatisfiable,
        (Some(first), last) => Part::Bytes {
            first,
            last: last.unwrap_or(u64::MAX).min(length - 1),
        },
        // The last so many bytes.
        (None, Some(count)) if count == 0 || length == 0 => Part::Unsatisfiable,
        (None, Some(count)) => Part::Bytes {
            first: length.saturating_sub(count),
            last: length - 1,
        },
    }
}

struct Malformed;

/// A number of bytes, which may be left out.
fn number(text: &str) -> Result<Option<u64>, Malformed> {
    let text = text.trim();
    if text.is_empty() {
        Ok(None)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are past the end of any file.
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(first: u64, last: u64) -> Part {
        Part::Bytes { first, last }
    }

    #[test]
    fn one_range_is_cut_to_the_file() {
        assert_eq!(part("bytes=0-99", 1000), bytes(0, 99));
        assert_eq!(part("bytes=900-", 1000), bytes(900, 999));
        assert_eq!(part("bytes=900-5000", 1000), bytes(900, 999));
        assert_eq!(part("bytes=999-999", 1000), bytes(999, 999));
        assert_eq!(part("bytes=0-99999999999999999999999", 1000), bytes(0, 999));
    }

    #[test]
    fn a_suffix_counts_from_the_end() {
        assert_eq!(part("bytes=-100", 1000), bytes(900, 999));
        assert_eq!(part("bytes=-5000", 1000), bytes(0, 999));
    }

    #[test]
    fn past_the_end_is_unsatisfiable() {
        assert_eq!(part("bytes=1000-", 1000), Part::Unsatisfiable);
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-0", 1000), Part::Unsatisfiable);
        assert_eq!(part("bytes=-5", 0), Part::Unsatisfiable);
    }

    #[test]
    fn anything_else_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-1",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(part(header, 1000), Part::Whole, "{header}");
        }
    }
}
