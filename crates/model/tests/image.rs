//! A scorer that reads an image scores as the one it was made of, and anything else than the image is refused.

mod common;

use bytes::Bytes;
use common::whole::{artifacts, random_values, recipe};
use model::calibration::Platt;
use model::explain::Values;
use model::image::Content;
use model::rates::Rates;
use model::recipe::{Column, Family, Input};
use model::{Algorithm, Artifact, Output, Predictor, Recipe, Scorer};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const CONTENT: Content = [7; 32];

fn image(artifact: &Artifact) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = Scorer::new(artifact).unwrap().image(&CONTENT).unwrap();
    image.write(&mut bytes).unwrap();
    assert_eq!(bytes.len(), image.length());
    bytes
}

/// As a mapping would lie in memory.
fn mapped(image: &[u8]) -> Bytes {
    let mut room = vec![0; image.len() + 64];
    let start = room.as_ptr().align_offset(64);
    room[start..start + image.len()].copy_from_slice(image);
    Bytes::from(room).slice(start..start + image.len())
}

/// Bits of the scores, margins and quantiles of a few rows, and of the scores of a full batch of them.
fn scores(scorer: &Scorer, rows: &[Values]) -> Vec<u64> {
    let (mut numbers, mut batch) = (Vec::new(), scorer.batch());
    for values in rows {
        let mut row = values.row(scorer);
        numbers.extend([scorer.score(&mut row), scorer.margin(&mut row)]);
        numbers.extend(scorer.quantiles(&mut row).into_iter().flatten());
    }
    for values in rows.iter().cycle() {
        scorer.put(&mut values.row(scorer), &mut batch);
        if batch.is_full() {
            break;
        }
    }
    numbers.extend_from_slice(scorer.score_batch(&mut batch));
    numbers.into_iter().map(f64::to_bits).collect()
}

fn rows(recipe: &Recipe, seed: u64) -> Vec<Values> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..5).map(|_| random_values(recipe, &mut random)).collect()
}

fn same(artifact: &Artifact, rows: &[Values]) {
    let scorer = Scorer::new(artifact).unwrap();
    let other = Scorer::of_image(mapped(&image(artifact)), &CONTENT).unwrap();
    assert_eq!(scores(&other, rows), scores(&scorer, rows));
    assert_eq!(other.recipe(), scorer.recipe());
    for category in 0..artifact.recipe.categories().len() {
        for value in [None, Some("v0"), Some("v2"), Some("v99"), Some("never seen"), Some("")] {
            assert_eq!(other.code(category, value), scorer.code(category, value));
        }
    }
}

fn popularity() -> Artifact {
    let key =
        Column { name: "id".into(), sql_type: "bigint".into(), family: Family::Number, input: Input::Key };
    let rates = Rates::new((0..100).map(|key| (key * key, 0.01 * key as f64)).collect(), -0.5);
    Artifact {
        algorithm: Algorithm::Popularity,
        recipe: Recipe { columns: vec![key] },
        predictor: Predictor::Rates(rates),
        output: Output::Platt(Platt::IDENTITY),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_kind_of_version_scores_the_same_to_the_bit(artifact in artifacts(), seed: u64) {
        same(&artifact, &rows(&artifact.recipe, seed));
    }

    #[test]
    fn every_kind_of_network_scores_the_same_to_the_bit(artifact in common::any_networks(), seed: u64) {
        same(&artifact, &rows(&artifact.recipe, seed));
    }

    #[test]
    fn changed_bytes_are_refused_or_scored_within_bounds(
        artifact in artifacts(),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..200),
        seed: u64,
    ) {
        let mut changed = image(&artifact);
        for (at, value) in flips {
            let at = at % changed.len();
            changed[at] = value;
        }
        if let Ok(scorer) = Scorer::of_image(mapped(&changed), &CONTENT) {
            scores(&scorer, &rows(&artifact.recipe, seed));
            scorer.code(0, Some("v1"));
        }
    }

    #[test]
    fn an_image_cut_short_or_with_more_behind_is_refused(artifact in artifacts(), at: usize) {
        let mut image = image(&artifact);
        image.push(0);
        prop_assert!(Scorer::of_image(mapped(&image), &CONTENT).is_err());
        image.truncate(at % (image.len() - 1));
        prop_assert!(Scorer::of_image(mapped(&image), &CONTENT).is_err());
    }

    #[test]
    fn changes_to_the_description_are_refused(artifact in artifacts(), at: usize, to: u8) {
        let mut image = image(&artifact);
        let at = at % 1000; // the prelude and the first columns of the recipe
        prop_assume!(image[at] != to && !(80..128).contains(&at));
        image[at] = to;
        prop_assert!(Scorer::of_image(mapped(&image), &CONTENT).is_err());
    }
}

#[test]
fn popularity_scores_the_same() {
    let rows = [None, Some(0), Some(81), Some(82)].map(|key| Values { numbers: vec![], codes: vec![], key });
    same(&popularity(), &rows);
}

#[test]
fn the_image_of_another_version_is_refused() {
    assert!(Scorer::of_image(mapped(&image(&popularity())), &[8; 32]).is_err());
}

#[test]
fn arrays_of_an_image_are_not_counted_as_memory() {
    let artifact = common::mlp(recipe(), common::network(&recipe(), &[512, 512], 1), Platt::IDENTITY);
    let own = Scorer::new(&artifact).unwrap().memory();
    let shared = Scorer::of_image(mapped(&image(&artifact)), &CONTENT).unwrap().memory();
    assert!(own > 1_000_000 && shared < 10_000, "{own} {shared}");
}
