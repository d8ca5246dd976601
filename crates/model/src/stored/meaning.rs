//! What an artifact knows of values, in the form in which rows are read: a text without padding, and a whole number by one hash
//! whatever its type. An artifact may hold both as the type of its column wrote them.

use super::recipe::{Family, Input, Recipe};
use super::vocabulary::Vocabulary;
use crate::hash;
use crate::score::predictor::Predictor;
use crate::score::rates::Rates;

/// The names of the types `char(n)` and of a `char` without a length, as recipes have them.
const PADDED: [&str; 2] = ["character(", "bpchar"];
/// Below this every whole number is exact as a float, and none of them, as 64 bits, is a whole float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Brings vocabularies and keys into that form.
pub(super) fn bring_up(recipe: &mut Recipe, predictor: &mut Predictor) {
    for column in &mut recipe.columns {
        let is_padded = PADDED.iter().any(|name| column.sql_type.starts_with(name));
        if let (true, Input::Category(category)) = (is_padded, &mut column.input) {
            unpad(&mut category.vocabulary);
        }
    }
    let is_number = recipe.columns.iter().any(|column| column.family == Family::Number);
    if let (true, Predictor::Rates(rates)) = (is_number, predictor) {
        rehash(rates);
    }
}

fn unpad(vocabulary: &mut Vocabulary) {
    if vocabulary.iter().any(|text| text.ends_with(' ')) {
        let unpadded: Vocabulary = vocabulary.iter().map(|text| text.trim_end_matches(' ')).collect();
        if !unpadded.repeats() {
            *vocabulary = unpadded;
        }
    }
}

/// Gives keys that are hashes of the bits of whole floats the hashes of these numbers.
fn rehash(rates: &mut Rates) {
    let whole = |key: u64| {
        let value = f64::from_bits(hash::unmix(key));
        (value.fract() == 0.0 && (1.0..EXACT).contains(&value.abs())).then(|| hash::float(value))
    };
    if rates.keys.iter().any(|key| whole(*key).is_some()) {
        let keys = rates.keys.iter().map(|key| whole(*key).unwrap_or(*key));
        let mut of_key: Vec<(u64, f64)> = keys.zip(rates.rates.iter().copied()).collect();
        of_key.sort_unstable_by_key(|(key, _)| *key);
        let rehashed = Rates::new(of_key, rates.of_others);
        if rehashed.check().is_ok() {
            *rates = rehashed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_unless_values_would_be_one() {
        let unpadded = |texts: &[&str]| {
            let mut vocabulary = Vocabulary::from_iter(texts);
            unpad(&mut vocabulary);
            vocabulary.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(unpadded(&["pet food  ", "a         ", "          "]), ["pet food", "a", ""]);
        assert_eq!(unpadded(&["a", "a "]), ["a", "a "]);
    }

    #[test]
    fn keys_of_floats_become_those_of_whole_numbers() {
        let of_bits = |value: f64| hash::mix(value.to_bits());
        let mut of_key =
            vec![(of_bits(7.0), 1.0), (of_bits(-3.0), 2.0), (of_bits(0.5), 3.0), (hash::integer(9), 4.0)];
        of_key.sort_unstable_by_key(|(key, _)| *key);
        let mut rates = Rates::new(of_key, 0.0);
        rehash(&mut rates);
        let of = |value: f64| rates.of(Some(hash::float(value)));
        assert_eq!([7.0, -3.0, 0.5, 9.0, 8.0].map(of), [1.0, 2.0, 3.0, 4.0, 0.0]);
        let again = rates.clone();
        rehash(&mut rates);
        assert_eq!(rates, again);
    }
}
