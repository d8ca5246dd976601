//! With how many first keys (products) each value of a category is seen. What the rows of a few keys tell of their value is mostly
//! what these keys are like.

use crate::rows::block::Block;
use crate::rows::values::{Dictionary, NULL_CODE};
use model::recipe::CategoryFit;
use model::vocabulary::Vocabulary;
use std::collections::HashSet;

/// The keys of each value of a vocabulary, up to as many as are enough.
pub struct ValueKeys {
    enough: usize,
    vocabulary: Vocabulary,
    /// In the order of the vocabulary.
    keys: Vec<HashSet<u64>>,
}

impl ValueKeys {
    pub fn new(enough: usize, vocabulary: Vocabulary) -> Self {
        Self { enough, keys: vec![HashSet::new(); vocabulary.len()], vocabulary }
    }

    /// Takes the values of a block's rows; `first_keys` has the key of every row of the table.
    pub fn add(&mut self, dictionary: &Dictionary, block: &Block, first_keys: &[u64]) {
        let positions: Vec<_> = dictionary.texts.iter().map(|text| self.vocabulary.position(text)).collect();
        for (row, place) in block.rows.iter().zip(block.places) {
            let position = match dictionary.codes[*place as usize] {
                NULL_CODE => None,
                code => positions[code as usize],
            };
            let Some(keys) = position.map(|position| &mut self.keys[position as usize]) else { continue };
            if keys.len() < self.enough {
                keys.insert(first_keys[*row as usize]);
            }
        }
    }

    /// Has the counts forget all values but those of the vocabulary that were seen with enough keys.
    pub fn forget_few(&self, fit: &mut CategoryFit) {
        let of = |value: &str| self.vocabulary.position(value).map(|at| self.keys[at as usize].len());
        fit.keep(|value| of(value).is_some_and(|keys| keys >= self.enough));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row's value and key.
    fn known(enough: usize, rows: &[(u32, u64)]) -> Vec<String> {
        let mut dictionary = Dictionary::default();
        dictionary.texts.extend(["a", "b", "c"].map(Into::into));
        dictionary.codes.extend(rows.iter().map(|(code, _)| *code));
        let first_keys: Vec<u64> = rows.iter().map(|(_, key)| *key).collect();
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let mut fit = CategoryFit::default();
        dictionary.texts.iter().for_each(|text| fit.add(text, 9));
        fit.add("rare", 1);
        let mut keys = ValueKeys::new(enough, fit.finish(9, 100).vocabulary);
        for rows in all.chunks(3) {
            keys.add(&dictionary, &Block { features: &[], rows, places: rows }, &first_keys);
        }
        keys.forget_few(&mut fit);
        let mut known: Vec<String> = fit.counts().map(|(value, _)| value.to_owned()).collect();
        known.sort();
        known
    }

    #[test]
    fn keys_are_counted_once_over_all_blocks_and_nulls_not_at_all() {
        let rows = [(0, 1), (0, 1), (1, 1), (NULL_CODE, 3), (1, 2), (0, 1), (1, 1), (2, 5), (0, 1)];
        assert_eq!(known(2, &rows), ["b"]);
        assert_eq!(known(1, &rows), ["a", "b", "c"]);
        assert_eq!(known(3, &rows), [""; 0]);
    }
}
