//! The encoders give scikit-learn's answers; encoder_answers.py says how those were made.

use features::encode::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Answers {
    probes: Vec<f64>,
    scalers: BTreeMap<String, Scalers>,
    buckets: Vec<Buckets>,
    bucketize: Bucketize,
    vocabulary: Texts,
    imputer: Imputed,
    normalize: Vec<Normalized>,
    polynomial: Vec<Polynomial>,
    ngrams: Ngrams,
    hash: Vec<Hashed>,
}

#[derive(Deserialize)]
struct Scalers {
    values: Vec<f64>,
    mean: f64,
    divisor: f64,
    minimum: f64,
    maximum: f64,
    max_abs: f64,
    median: f64,
    standard: Vec<f64>,
    min_max: Vec<f64>,
    max_abs_scaled: Vec<f64>,
    robust: Vec<f64>,
    robust_5_90: Vec<f64>,
    quantiles: Vec<f64>,
}

#[derive(Deserialize)]
struct Buckets {
    values: Vec<f64>,
    buckets: i32,
    boundaries: Vec<f64>,
    numbers: Vec<i32>,
}

#[derive(Deserialize)]
struct Bucketize {
    boundaries: Vec<f64>,
    numbers: Vec<i32>,
}

#[derive(Deserialize)]
struct Texts {
    texts: Vec<String>,
    vocabulary: Vec<String>,
    probes: Vec<String>,
    ordinal: Vec<i32>,
    one_hot: Vec<Vec<f32>>,
    baskets: Vec<Vec<String>>,
    multi_hot: Vec<Vec<f32>>,
    most_frequent: String,
}

#[derive(Deserialize)]
struct Imputed {
    values: Vec<Option<f64>>,
    mean: f64,
    median: f64,
    most_frequent: f64,
}

#[derive(Deserialize)]
struct Normalized {
    values: Vec<f64>,
    l1: Vec<f64>,
    l2: Vec<f64>,
    max: Vec<f64>,
}

#[derive(Deserialize)]
struct Polynomial {
    values: Vec<f64>,
    degree: i32,
    terms: Vec<f64>,
}

#[derive(Deserialize)]
struct Ngrams {
    tokens: Vec<String>,
    everygrams_2_3: Vec<String>,
    counted_2_3: Vec<String>,
}

#[derive(Deserialize)]
struct Hashed {
    text: String,
    xxh64: String,
}

fn answers() -> Answers {
    serde_json::from_str(include_str!("encoder_answers.json")).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 1e-12 * expected.abs();
        assert!(close, "{what}, number {n}: {found}, scikit-learn has {expected}");
    }
}

fn scaled(probes: &[f64], fitted: impl TryInto<Scaler, Error = features::FeatureError>) -> Vec<f64> {
    let scaler = fitted.try_into().unwrap();
    probes.iter().map(|probe| scaler.scale(*probe).unwrap()).collect()
}

fn statistics(values: &[f64]) -> Statistics {
    let mut statistics = Statistics::default();
    values.iter().for_each(|value| statistics.insert(*value).unwrap());
    statistics
}

fn kept(values: &[f64]) -> Values {
    let mut kept = Values::default();
    values.iter().for_each(|value| kept.insert(*value).unwrap());
    kept
}

#[test]
fn standard_min_max_and_max_abs_scalers() {
    let answers = answers();
    for (name, expected) in &answers.scalers {
        let fitted = statistics(&expected.values);
        let standard = fitted.standard_scaler().unwrap().unwrap();
        let divisor = if standard.scale == 0.0 { 1.0 } else { standard.scale };
        assert_close(&[standard.mean, divisor], &[expected.mean, expected.divisor], name);
        let min_max = fitted.min_max_scaler().unwrap().unwrap();
        assert_eq!((min_max.minimum, min_max.maximum), (expected.minimum, expected.maximum), "{name}");
        let max_abs = fitted.max_abs_scaler().unwrap();
        assert_eq!(max_abs.max_abs, expected.max_abs, "{name}");
        assert_close(&scaled(&answers.probes, max_abs), &expected.max_abs_scaled, name);
        // The last bit of the mean or of 1 / range is visible where subtraction cancels.
        let far = name == "far from zero";
        let tolerance = |scale: f64| if far { 2.0 * expected.mean * f64::EPSILON / scale } else { 1e-12 };
        for (found, expected, scale) in [
            (scaled(&answers.probes, standard), &expected.standard, divisor),
            (scaled(&answers.probes, min_max), &expected.min_max, min_max.maximum - min_max.minimum),
        ] {
            for (found, expected) in found.iter().zip(expected) {
                let close = (found - expected).abs() <= tolerance(scale) * expected.abs().max(1.0);
                assert!(close, "{name}: {found}, scikit-learn has {expected}");
            }
        }
    }
}

#[test]
fn quantiles_and_robust_scalers() {
    let answers = answers();
    for (name, expected) in &answers.scalers {
        let ranks: Vec<f64> = (0..=40).map(|n| f64::from(n) / 40.0).collect();
        let mut values = kept(&expected.values);
        assert_close(&values.quantiles(&ranks).unwrap(), &expected.quantiles, name);
        let robust = values.robust_scaler().unwrap().unwrap();
        assert_close(&[robust.median], &[expected.median], name);
        assert_close(&scaled(&answers.probes, robust), &expected.robust, name);
        values.set_range(0.05, 0.9).unwrap();
        let robust = values.robust_scaler().unwrap().unwrap();
        assert_close(&scaled(&answers.probes, robust), &expected.robust_5_90, name);
    }
}

#[test]
fn buckets_of_quantiles() {
    let answers = answers();
    for expected in &answers.buckets {
        let mut values = kept(&expected.values);
        values.set_buckets(expected.buckets).unwrap();
        let found = values.boundaries().unwrap();
        assert_close(&found, &expected.boundaries, "boundaries");
        let boundaries = Boundaries::new(found).unwrap();
        let numbers: Vec<i32> =
            answers.probes.iter().map(|p| bucketize(*p, &boundaries).unwrap() - 1).collect();
        assert_eq!(numbers, expected.numbers);
    }
}

#[test]
fn buckets_of_given_boundaries() {
    let answers = answers();
    let boundaries = Boundaries::new(answers.bucketize.boundaries).unwrap();
    let numbers: Vec<i32> = answers.probes.iter().map(|p| bucketize(*p, &boundaries).unwrap() - 1).collect();
    assert_eq!(numbers, answers.bucketize.numbers);
}

#[test]
fn vocabularies_and_encodings_by_them() {
    let expected = answers().vocabulary;
    let mut fit = VocabularyFit::default();
    expected.texts.iter().for_each(|text| fit.insert(text.as_bytes()).unwrap());
    let values = fit.values().unwrap();
    assert_eq!(values, expected.vocabulary.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    assert_eq!(fit.most_frequent().unwrap(), expected.most_frequent.as_bytes());
    let vocabulary = Vocabulary::new(values.into_iter()).unwrap();
    for ((probe, label), one_hot) in expected.probes.iter().zip(&expected.ordinal).zip(&expected.one_hot) {
        assert_eq!(vocabulary.position(probe.as_bytes()) as i32 - 1, *label, "{probe}");
        let mut marked = vec![0.0; vocabulary.len()];
        vocabulary.mark([probe.as_bytes()].into_iter(), &mut marked);
        assert_eq!(&marked, one_hot, "{probe}");
    }
    for (basket, multi_hot) in expected.baskets.iter().zip(&expected.multi_hot) {
        let mut marked = vec![0.0; vocabulary.len()];
        vocabulary.mark(basket.iter().map(|text| text.as_bytes()), &mut marked);
        assert_eq!(&marked, multi_hot, "{basket:?}");
    }
}

#[test]
fn what_missing_values_are_replaced_with() {
    let expected = answers().imputer;
    let strategies =
        [("mean", expected.mean), ("median", expected.median), ("most_frequent", expected.most_frequent)];
    for (name, fill) in strategies {
        let mut imputer = Imputer::default();
        imputer.set_strategy(name.parse().unwrap()).unwrap();
        expected.values.iter().for_each(|value| imputer.insert(value.unwrap_or(f64::NAN)).unwrap());
        assert_close(&[imputer.fill().unwrap().unwrap()], &[fill], name);
    }
}

#[test]
fn norms() {
    for expected in answers().normalize {
        for (p, normalized) in [(1.0, &expected.l1), (2.0, &expected.l2), (f64::INFINITY, &expected.max)] {
            assert_close(&normalize(&expected.values, p).unwrap(), normalized, &format!("{p}-norm"));
        }
    }
}

#[test]
fn polynomials() {
    for expected in answers().polynomial {
        let terms = polynomial_expand(&expected.values, expected.degree).unwrap();
        assert_close(&terms, &expected.terms, &format!("degree {}", expected.degree));
    }
}

#[test]
fn ngrams_are_nltks_in_its_order_and_count_vectorizers() {
    let expected = answers().ngrams;
    let tokens: Vec<Option<&[u8]>> = expected.tokens.iter().map(|token| Some(token.as_bytes())).collect();
    let found = ngrams(&tokens, 2, 3, b" ").unwrap();
    let mut found: Vec<String> = found.into_iter().map(|ngram| String::from_utf8(ngram).unwrap()).collect();
    assert_eq!(found, expected.everygrams_2_3);
    found.sort();
    found.dedup();
    assert_eq!(found, expected.counted_2_3);
}

#[test]
fn hashes_are_xxh64() {
    for expected in answers().hash {
        let hash: u64 = expected.xxh64.parse().unwrap();
        for buckets in [1, 7, 1000, i32::MAX] {
            let bucket = hash_bucket(expected.text.as_bytes(), buckets).unwrap();
            assert_eq!(bucket as u64, hash % buckets as u64, "{}", expected.text);
        }
    }
}
