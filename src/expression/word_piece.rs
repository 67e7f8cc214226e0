//! BERT's uncased tokenizer: text to words to word pieces, as Hugging Face's crate `tokenizers` does it.
//!
//! That crate brings every kind of tokenizer there is, with three engines for regular expressions, and
//! all of it would have to be downloaded. A test compares the two on random text.

use std::collections::HashMap;

use serde::Deserialize;
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;

/// Ids of word pieces for text.
#[derive(Clone, Debug)]
pub(super) struct WordPiece {
    normalizer: Normalizer,
    vocabulary: HashMap<String, u32>,
    /// Found in text as they are, before anything is done to it: `[MASK]`, say.
    special: Vec<(String, u32)>,
    unknown: u32,
    first: u32,
    last: u32,
    /// What the pieces of a word after the first one start with: `##`.
    prefix: String,
    /// Characters of a word; longer ones are unknown.
    longest: usize,
}

/// The parts of a `tokenizer.json` that matter for BERT's.
#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    normalizer: Normalizer,
    pre_tokenizer: PreTokenizer,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
enum Normalizer {
    BertNormalizer {
        clean_text: bool,
        handle_chinese_chars: bool,
        strip_accents: Option<bool>,
        lowercase: bool,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizer {
    BertPreTokenizer,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Model {
    WordPiece {
        unk_token: String,
        continuing_subword_prefix: String,
        max_input_chars_per_word: usize,
        vocab: HashMap<String, u32>,
    },
}

impl WordPiece {
    /// Reads a `tokenizer.json`; fails with what is wrong with it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let File {
            added_tokens,
            normalizer,
            pre_tokenizer: PreTokenizer::BertPreTokenizer,
            model,
        } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Model::WordPiece {
            unk_token,
            continuing_subword_prefix,
            max_input_chars_per_word,
            vocab: mut vocabulary,
        } = model;
        let special: Vec<(String, u32)> = added_tokens
            .into_iter()
            .filter(|added| !added.content.is_empty())
            .map(|added| (added.content, added.id))
            .collect();
        vocabulary.extend(special.iter().cloned());
        let id = |token: &str| {
            let id = vocabulary.get(token).copied();
            id.ok_or_else(|| format!("its vocabulary has no {token}"))
        };
        Ok(Self {
            unknown: id(&unk_token)?,
            first: id("[CLS]")?,
            last: id("[SEP]")?,
            normalizer,
            vocabulary,
            special,
            prefix: continuing_subword_prefix,
            longest: max_input_chars_per_word,
        })
    }

    /// One more than the highest id.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
            .values()
            .max()
            .map_or(0, |id| *id as usize + 1)
    }

    /// `[CLS]`, the word pieces of `text`, `[SEP]`.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.first];
        let mut rest = text;
        while let Some((at, token, id)) = self.next_special(rest) {
            self.encode_words(&rest[..at], &mut ids);
            ids.push(id);
            rest = &rest[at + token.len()..];
        }
        self.encode_words(rest, &mut ids);
        ids.push(self.last);
        ids
    }

    /// The leftmost special token, and of several at one place the longest.
    fn next_special(&self, text: &str) -> Option<(usize, &str, u32)> {
        self.special
            .iter()
            .filter_map(|(token, id)| Some((text.find(token.as_str())?, token.as_str(), *id)))
            .min_by_key(|(at, token, _)| (*at, usize::MAX - token.len()))
    }

    fn encode_words(&self, text: &str, ids: &mut Vec<u32>) {
        let text = self.normalizer.apply(text);
        for word in text.split_whitespace() {
            let mut start = 0;
            for (at, character) in word.char_indices() {
                if character.is_ascii_punctuation() || character.is_punctuation() {
                    let end = at + character.len_utf8();
                    self.encode_word(&word[start..at], ids);
                    self.encode_word(&word[at..end], ids);
                    start = end;
                }
            }
            self.encode_word(&word[start..], ids);
        }
    }

    /// The longest piece of the vocabulary that a word starts with, then the longest that the rest does.
    /// A word with a part that is no piece is unknown as a whole.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        if word.chars().count() > self.longest {
            ids.push(self.unknown);
            return;
        }
        let mut rest = word;
        let mut piece = String::new();
        while !rest.is_empty() {
            piece.clear();
            if rest.len() < word.len() {
                piece.push_str(&self.prefix);
            }
            let prefix = piece.len();
            piece.push_str(rest);
            let id = loop {
                if let Some(id) = self.vocabulary.get(piece.as_str()) {
                    break Some(*id);
                }
                piece.pop();
                if piece.len() <= prefix {
                    break None;
                }
            };
            let Some(id) = id else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = &rest[piece.len() - prefix..];
        }
    }
}

impl Normalizer {
    fn apply(&self, text: &str) -> String {
        let Self::BertNormalizer {
            clean_text,
            handle_chinese_chars,
            strip_accents,
            lowercase,
        } = *self;
        let mut text = text.to_owned();
        if clean_text {
            text.retain(|character| {
                matches!(character, '\t' | '\n' | '\r')
                    || !(character.is_other() || character == '\u{fffd}')
            });
        }
        if handle_chinese_chars {
            let apart = |character| {
                let space = is_chinese(character).then_some(' ');
                space.into_iter().chain([character]).chain(space)
            };
            text = text.chars().flat_map(apart).collect();
        }
        if strip_accents.unwrap_or(lowercase) {
            let is_letter = |character: &char| !character.is_mark_nonspacing();
            text = text.nfd().filter(is_letter).collect();
        }
        if lowercase {
            // One by one: `str::to_lowercase` looks at what stands around a sigma.
            text = text.chars().flat_map(char::to_lowercase).collect();
        }
        text
    }
}

/// Ideographs, each of which is a word; Japanese kana and Korean letters are not among them.
fn is_chinese(character: char) -> bool {
    matches!(
        u32::from(character),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x2_0000..=0x2_a6df
            | 0x2_a700..=0x2_b73f
            | 0x2_b740..=0x2_b81f
            | 0x2_b920..=0x2_ceaf
            | 0xf900..=0xfaff
            | 0x2_f800..=0x2_fa1f
    )
}
