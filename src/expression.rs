//! Referring expressions: cleaning and tokenizing.
//!
//! The tokenizer is BERT's uncased WordPiece, read from a `tokenizer.json`. Expressions are cleaned
//! before it sees them: text that is copied from web pages carries invisible characters, which the
//! official pipeline turns into unknown words. That is the one deliberate difference from it.

mod word_piece;

use thiserror::Error;

use word_piece::WordPiece;

/// Most characters an expression may have; the network reads some twenty words.
pub const MAX_CHARACTERS: usize = 4_000;

/// Id of the padding token.
const PAD: i32 = 0;

/// Why an expression cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Nothing to read in it.
    #[error("The expression is empty. Say what to find in the image, for example \"building\".")]
    Empty,
    /// Far longer than the network reads.
    #[error(
        "The expression has {chars} characters; at most {limit} are accepted. \
         Say in a few words what to find, for example \"car on the road\"."
    )]
    TooLong {
        /// Its characters.
        chars: usize,
        /// What is accepted.
        limit: usize,
    },
    /// The tokenizer file is damaged.
    #[error("The model's tokenizer cannot be read: {reason}.")]
    Tokenizer {
        /// What the reader says.
        reason: String,
    },
}

/// BERT's WordPiece tokenizer.
#[derive(Clone, Debug)]
pub struct ExpressionTokenizer {
    tokenizer: WordPiece,
}

/// What the language encoder gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedExpression {
    /// `max_tokens` ids: `[CLS]`, the words, `[SEP]` (unless cut off), then 0.
    pub ids: Vec<i32>,
    /// 1 on real tokens, 0 on padding: `max_tokens` values.
    pub mask: Vec<u8>,
    /// The expression had more tokens than the network reads, and its end was cut off.
    pub truncated: bool,
    /// The text that was tokenized.
    pub cleaned: String,
}

impl ExpressionTokenizer {
    /// Reads the `tokenizer.json` format. Truncation and padding that the file asks for are left
    /// aside: [`Self::encode`] does both.
    ///
    /// # Errors
    /// [`ExpressionError::Tokenizer`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, ExpressionError> {
        let tokenizer =
            WordPiece::from_json(bytes).map_err(|reason| ExpressionError::Tokenizer { reason })?;
        Ok(Self { tokenizer })
    }

    /// How many word pieces there are; every id is below.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.vocabulary()
    }

    /// Cleans and tokenizes an expression to exactly `max_tokens` positions.
    ///
    /// As in the official pipeline the cut comes after `[CLS]` and `[SEP]` were added, so a
    /// truncated expression has no `[SEP]`.
    ///
    /// # Errors
    /// [`ExpressionError::Empty`] where no word is left after cleaning, [`ExpressionError::TooLong`]
    /// above [`MAX_CHARACTERS`].
    pub fn encode(
        &self,
        expression: &str,
        max_tokens: usize,
    ) -> Result<TokenizedExpression, ExpressionError> {
        let cleaned = checked(expression)?;
        let found = self.tokenizer.encode(&cleaned);
        // A lone accent, say, is no word: nothing is left of it between the tokenizer's own tokens.
        if found.len() == 2 {
            return Err(ExpressionError::Empty);
        }
        let kept = found.len().min(max_tokens);
        let mut ids: Vec<i32> = found[..kept].iter().map(|id| *id as i32).collect();
        ids.resize(max_tokens, PAD);
        let mut mask = vec![1; kept];
        mask.resize(max_tokens, 0);
        Ok(TokenizedExpression {
            ids,
            mask,
            truncated: found.len() > max_tokens,
            cleaned,
        })
    }
}

/// Cleans an expression, and refuses it as [`ExpressionTokenizer::encode`] would, as far as that can
/// be told without a tokenizer.
///
/// # Errors
/// [`ExpressionError::Empty`], [`ExpressionError::TooLong`].
pub fn checked(expression: &str) -> Result<String, ExpressionError> {
    let chars = expression.chars().count();
    if chars > MAX_CHARACTERS {
        return Err(ExpressionError::TooLong {
            chars,
            limit: MAX_CHARACTERS,
        });
    }
    let cleaned = clean(expression);
    if cleaned.is_empty() {
        return Err(ExpressionError::Empty);
    }
    Ok(cleaned)
}

/// Leaves out what cannot be seen and makes every run of white space one space.
///
/// Control, zero-width and bidirectional format characters go without a trace, so that a word they
/// were hidden in is whole again.
pub fn clean(expression: &str) -> String {
    let visible: String = expression
        .chars()
        .filter(|character| character.is_whitespace() || !is_invisible(*character))
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width space and joiners, direction marks.
            | '\u{200b}'..='\u{200f}'
            // Direction embeddings and overrides.
            | '\u{202a}'..='\u{202e}'
            // Word joiner, invisible operators, direction isolates.
            | '\u{2060}'..='\u{206f}'
            // Variation selectors, byte order mark, annotations, replacement character.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
            // Tags and further variation selectors.
            | '\u{e0000}'..='\u{e01ef}'
        )
}
