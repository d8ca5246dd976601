//! The values of a category that a model knows, each with its position, found without reading all of them.

use crate::score::array::Array;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Debug, Formatter};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

/// Texts in their order, and a hash table of their positions: all arrays, so that they can be part of an image.
#[derive(Clone, Default)]
pub struct Vocabulary {
    /// All texts, one after the other.
    texts: Array<u8>,
    /// Where each text ends.
    ends: Array<u64>,
    /// A hash table with linear probing: each place holds a text's position + 1, or 0 if it is free. Its length is a
    /// power of two and at least twice the number of texts; it is empty without texts.
    places: Array<u32>,
    /// The seed of the hashes, so that nobody can choose texts that collide.
    seed: u64,
}

impl Vocabulary {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The position of a text; `None` if it is not there.
    #[inline]
    pub fn position(&self, value: &str) -> Option<u32> {
        self.find(&self.places, value.as_bytes()).ok()
    }

    /// The text at a position.
    pub fn get(&self, position: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes_at(position)?).ok()
    }

    /// All texts, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|position| self.get(position).unwrap_or_default())
    }

    /// Whether a text is there more than once.
    pub fn repeats(&self) -> bool {
        self.iter().zip(0..).any(|(value, position)| self.position(value) != Some(position))
    }

    /// Bytes of this process's own memory.
    pub fn memory(&self) -> usize {
        self.texts.memory() + self.ends.memory() + self.places.memory()
    }

    /// The arrays and the seed.
    pub(crate) fn parts(&self) -> (&Array<u8>, &Array<u64>, &Array<u32>, u64) {
        (&self.texts, &self.ends, &self.places, self.seed)
    }

    /// A vocabulary from its arrays and seed. Whatever the arrays hold, every look-up ends. `None` if the hash table
    /// has a length that it cannot have.
    pub(crate) fn of_parts(
        texts: Array<u8>,
        ends: Array<u64>,
        places: Array<u32>,
        seed: u64,
    ) -> Option<Self> {
        let fits = if ends.is_empty() { places.is_empty() } else { places.len().is_power_of_two() };
        (fits && places.len() >= 2 * ends.len()).then_some(Self { texts, ends, places, seed })
    }

    /// The position of a text, or the free place of the table where it belongs; neither if the table has no room.
    #[inline]
    fn find(&self, places: &[u32], value: &[u8]) -> Result<u32, Option<usize>> {
        let Some(last) = places.len().checked_sub(1) else { return Err(None) };
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        hasher.write(value);
        let first = hasher.finish() as usize;
        for step in 0..places.len() {
            let at = first.wrapping_add(step) & last;
            let Some(position) = places[at].checked_sub(1) else { return Err(Some(at)) };
            if self.bytes_at(position as usize) == Some(value) {
                return Ok(position);
            }
        }
        Err(None)
    }

    #[inline]
    fn bytes_at(&self, position: usize) -> Option<&[u8]> {
        let end = *self.ends.get(position)? as usize;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        self.texts.get(start..end)
    }
}

impl<T: AsRef<str>> FromIterator<T> for Vocabulary {
    /// If a text occurs more than once, its first position is the one that is found.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let (mut texts, mut ends) = (Vec::new(), Vec::new());
        for value in values {
            texts.extend_from_slice(value.as_ref().as_bytes());
            ends.push(texts.len() as u64);
        }
        let count = if ends.is_empty() { 0 } else { (2 * ends.len()).next_power_of_two() };
        let mut places = vec![0; count];
        let seed = RandomState::new().hash_one(0);
        let mut vocabulary = Self { texts: texts.into(), ends: ends.into(), places: Array::default(), seed };
        for (value, position) in vocabulary.iter().zip(1..) {
            if let Err(Some(free)) = vocabulary.find(&places, value.as_bytes()) {
                places[free] = position;
            }
        }
        vocabulary.places = places.into();
        vocabulary
    }
}

impl Debug for Vocabulary {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.ends == other.ends && self.texts == other.texts
    }
}

impl Serialize for Vocabulary {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<String>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn every_text_is_found_where_it_stands_and_no_other(
            values in prop::collection::hash_set(".{0,12}", 0..200),
            other in ".{0,12}",
        ) {
            let values: Vec<String> = values.into_iter().collect();
            let vocabulary = Vocabulary::from_iter(&values);
            let positions: HashMap<&str, u32> = values.iter().map(String::as_str).zip(0..).collect();
            for value in values.iter().chain([&other]) {
                prop_assert_eq!(vocabulary.position(value), positions.get(value.as_str()).copied());
            }
            prop_assert_eq!(vocabulary.iter().collect::<Vec<_>>(), values);
            prop_assert!(!vocabulary.repeats());
        }

        #[test]
        fn parts_of_any_content_are_refused_or_searched_to_an_end(
            texts in prop::collection::vec(any::<u8>(), 0..40),
            ends in prop::collection::vec(0..60_u64, 0..8),
            places in prop::collection::vec(0..12_u32, 0..33),
            value in ".{0,3}",
        ) {
            let count = ends.len();
            if let Some(vocabulary) = Vocabulary::of_parts(texts.into(), ends.into(), places.into(), 1) {
                let found = vocabulary.position(&value);
                prop_assert!(found.is_none_or(|position| (position as usize) < count));
                prop_assert_eq!(vocabulary.iter().count(), count);
            }
        }
    }

    #[test]
    fn a_text_that_is_there_twice_is_noticed() {
        let vocabulary = Vocabulary::from_iter(["a", "b", "a"]);
        assert!(vocabulary.repeats());
        assert_eq!((vocabulary.position("a"), vocabulary.len()), (Some(0), 3));
    }

    #[test]
    fn json_is_a_list_of_texts() {
        let vocabulary = Vocabulary::from_iter(["b", "", "a"]);
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(json, r#"["b","","a"]"#);
        assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
    }
}
