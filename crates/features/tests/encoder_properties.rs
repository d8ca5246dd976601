//! What holds for the encoders whatever they are given.

use features::encode::quantiles::{EXACT, RANK_ERROR};
use features::encode::{
    bucketize, cyclic_encode, feature_cross, ngrams, normalize, polynomial_expand, Boundaries, Imputer,
    MinMaxScaler, Scaler, StandardScaler, Statistics, Strategy, Values, VocabularyFit,
};
use features::state::State;
use features::FeatureError;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest, Just};

/// Splits the values among several states, sends each through its bytes, and merges them.
fn merged<S: State + Default>(
    values: &[f64],
    parts: usize,
    insert: impl Fn(&mut S, f64) -> Result<(), FeatureError>,
) -> S {
    let mut whole = S::default();
    for part in values.chunks(values.len().div_ceil(parts).max(1)) {
        let mut state = S::default();
        part.iter().for_each(|value| insert(&mut state, *value).unwrap());
        whole.merge(&S::from_bytes(&state.to_bytes()).unwrap()).unwrap();
    }
    whole
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-12 * scale.max(f64::MIN_POSITIVE)
}

fn column() -> impl proptest::strategy::Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![-1e6..1e6, Just(0.0), Just(-0.0), Just(f64::NAN), Just(7.5)], 0..200)
}

proptest! {
    #[test]
    fn merged_statistics_are_those_of_one_pass(values in column(), parts in 1usize..6) {
        let found: Statistics = merged(&values, parts, Statistics::insert);
        let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        let Some(scaler) = found.standard_scaler().unwrap() else {
            prop_assert!(known.is_empty() && found.min_max_scaler().unwrap().is_none() && found.max_abs_scaler().is_none());
            return Ok(());
        };
        let count = known.len() as f64;
        let mean = known.iter().sum::<f64>() / count;
        let deviation = (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let largest = known.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        prop_assert!(close(scaler.mean, mean, largest));
        prop_assert!(close(scaler.scale, deviation, largest), "{} {}", scaler.scale, deviation);
        let min_max = found.min_max_scaler().unwrap().unwrap();
        prop_assert_eq!(min_max.minimum, known.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(min_max.maximum, known.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        prop_assert_eq!(found.max_abs_scaler().unwrap().max_abs, largest);
    }

    #[test]
    fn merged_quantiles_are_those_of_all_values(values in column(), parts in 1usize..6, rank in 0.0..=1.0) {
        let mut found: Values = merged(&values, parts, Values::insert);
        let mut whole = Values::default();
        values.iter().for_each(|value| whole.insert(*value).unwrap());
        prop_assert_eq!(found.quantiles(&[rank]), whole.quantiles(&[rank]));
    }

    #[test]
    fn boundaries_separate_the_values_evenly(values in column(), buckets in 2i32..12) {
        let mut fit = Values::default();
        values.iter().for_each(|value| fit.insert(*value).unwrap());
        fit.set_buckets(buckets).unwrap();
        let Some(found) = fit.boundaries() else { return Ok(()) };
        prop_assert!(found.len() < buckets as usize);
        let boundaries = Boundaries::new(found.clone()).unwrap();
        for value in values.iter().filter(|value| !value.is_nan()) {
            let bucket = bucketize(*value, &boundaries).unwrap() as usize;
            prop_assert!(bucket == 1 || found[bucket - 2] <= *value);
            prop_assert!(bucket > found.len() || *value < found[bucket - 1]);
        }
    }

    #[test]
    fn vocabularies_do_not_depend_on_order_or_split(
        texts in prop::collection::vec("[a-dä]{0,2}", 0..120),
        split in 0usize..120,
        min_count in 1i64..4,
        max_size in 1i32..9,
    ) {
        let fit = |texts: &mut dyn Iterator<Item = &String>| {
            let mut fit = VocabularyFit::default();
            fit.set_bounds(min_count, max_size).unwrap();
            texts.for_each(|text| fit.insert(text.as_bytes()).unwrap());
            fit
        };
        let (left, right) = texts.split_at(split.min(texts.len()));
        let mut parts = VocabularyFit::from_bytes(&fit(&mut left.iter().rev()).to_bytes()).unwrap();
        parts.merge(&fit(&mut right.iter())).unwrap();
        let whole = fit(&mut texts.iter());
        prop_assert_eq!(parts.values(), whole.values());
        let mut counted: Vec<(i64, &[u8])> = texts
            .iter()
            .map(|text| (-(texts.iter().filter(|other| *other == text).count() as i64), text.as_bytes()))
            .collect();
        counted.sort();
        counted.dedup();
        let expected: Vec<&[u8]> = counted
            .iter()
            .filter(|(count, _)| -count >= min_count)
            .take(max_size as usize)
            .map(|(_, text)| *text)
            .collect();
        prop_assert_eq!(whole.values(), (!texts.is_empty()).then_some(expected));
    }

    #[test]
    fn crosses_can_be_told_apart(
        a in prop::collection::vec(r"[a|\\]{0,3}", 1..4),
        b in prop::collection::vec(r"[a|\\]{0,3}", 1..4),
    ) {
        let cross = |values: &[String]| feature_cross(values.iter().map(|value| value.as_bytes()));
        prop_assert_eq!(cross(&a) == cross(&b), a == b);
    }

    #[test]
    fn normalized_vectors_have_the_norm_1(
        values in prop::collection::vec(prop_oneof![-1e300..1e300, -1e-300..1e-300, -5.0..5.0], 1..20),
        p in prop_oneof![Just(1.0), Just(2.0), Just(f64::INFINITY), 1.0..9.0],
    ) {
        let found = normalize(&values, p).unwrap();
        let norm = if p.is_infinite() {
            found.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
        } else {
            found.iter().map(|value| value.abs().powf(p)).sum::<f64>().powf(p.recip())
        };
        prop_assert!((norm - 1.0).abs() < 1e-9 || values.iter().all(|value| *value == 0.0), "{norm}");
    }

    #[test]
    fn damaged_states_are_refused_or_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Statistics::from_bytes(&bytes);
        let _ = Values::from_bytes(&bytes);
        let _ = VocabularyFit::from_bytes(&bytes);
        let _ = Imputer::from_bytes(&bytes);
    }

    #[test]
    fn a_state_cut_short_is_refused(values in prop::collection::vec(-9.0..9.0, 1..9), cut in 1usize..9) {
        for name in ["mean", "median", "most_frequent"] {
            let mut state: Imputer = Imputer::default();
            state.set_strategy(name.parse().unwrap()).unwrap();
            values.iter().for_each(|value| state.insert(*value).unwrap());
            let bytes = state.to_bytes();
            prop_assert!(Imputer::from_bytes(&bytes[..bytes.len() - cut]).is_err());
            let filled = Imputer::from_bytes(&bytes).unwrap().fill().unwrap();
            prop_assert_eq!(filled, state.fill().unwrap());
        }
    }
}

/// The largest distance between the rank asked for and the ranks that the answer has among the sorted values.
fn rank_error(values: &[f64], sketched: &mut Values) -> f64 {
    let ranks: Vec<f64> = (0..=1000).map(|n| f64::from(n) / 1000.0).collect();
    let found = sketched.quantiles(&ranks).unwrap();
    let count = values.len() as f64;
    ranks.iter().zip(found).fold(0.0, |worst: f64, (rank, found)| {
        let below = values.partition_point(|value| *value < found) as f64 / count;
        let up_to = values.partition_point(|value| *value <= found) as f64 / count;
        worst.max(below - rank).max(rank - up_to)
    })
}

/// An even sequence over 0 to 1 (Weyl's), the same in every run.
fn even(count: u64) -> impl Iterator<Item = f64> {
    (1..=count).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64)
}

#[test]
fn beyond_the_bound_quantiles_are_within_the_stated_error() {
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape, usize); 3] = [
        ("even", |u| u, 1),
        ("heavy tail", |u| (1.0 - u).powi(-3), 4),
        ("discrete", |u| (u * 20.0).floor(), 3),
    ];
    for (name, shape, parts) in shapes {
        let mut values: Vec<f64> = even(2 * EXACT as u64 + 5).map(shape).collect();
        let mut mixed: Values = merged(&values, parts, Values::insert);
        values.sort_unstable_by(f64::total_cmp);
        let mut sorted: Values = merged(&values, parts, Values::insert);
        for found in [&mut mixed, &mut sorted] {
            let error = rank_error(&values, found);
            assert!(error < RANK_ERROR, "{name}: {error}");
        }
    }
}

#[test]
fn quantiles_are_exact_up_to_the_bound() {
    let mut values: Vec<f64> = even(EXACT as u64).collect();
    let mut found: Values = merged(&values, 7, Values::insert);
    values.sort_unstable_by(f64::total_cmp);
    assert!(rank_error(&values, &mut found) <= 1.0 / EXACT as f64);
}

#[test]
fn infinite_values_are_refused_and_options_must_agree() {
    for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(Statistics::default().insert(infinite), Err(FeatureError::Range { .. })));
        assert!(matches!(Values::default().insert(infinite), Err(FeatureError::Range { .. })));
    }
    let mut values = Values::default();
    assert!(values.set_buckets(1).is_err() && values.set_range(0.9, 0.1).is_err());
    values.set_buckets(3).unwrap();
    assert!(values.set_buckets(4).is_err());
    let mut other = Values::default();
    other.set_buckets(4).unwrap();
    assert!(values.merge(&other).is_err());
    let mut imputer = Imputer::default();
    imputer.set_strategy(Strategy::Mean).unwrap();
    assert!(imputer.set_strategy(Strategy::Median).is_err());
    assert!("mode".parse::<Strategy>().is_err());
    assert!(VocabularyFit::default().set_bounds(0, 5).is_err());
    assert!(VocabularyFit::default().set_bounds(1, 0).is_err());
}

#[test]
fn what_grows_has_a_bound() {
    use features::encode::{counts, vectors};
    let mut fit = VocabularyFit::default();
    (0..counts::MAX_DISTINCT).for_each(|n| fit.insert(&n.to_le_bytes()).unwrap());
    fit.insert(&0usize.to_le_bytes()).unwrap();
    assert!(matches!(fit.insert(b"one more"), Err(FeatureError::Limit { .. })));
    let mut long = VocabularyFit::default();
    assert!(long.insert(&vec![b'x'; counts::MAX_BYTES + 1]).is_err());
    assert!(polynomial_expand(&[1.0; 3000], 2).is_err() && polynomial_expand(&[1.0], 0).is_err());
    assert_eq!(polynomial_expand(&[1.0; vectors::MAX_TERMS], 1).unwrap().len(), vectors::MAX_TERMS);
    let tokens = vec![Some(&b"x"[..]); 100_000];
    assert!(matches!(ngrams(&tokens, 1, 100, b" "), Err(FeatureError::Limit { .. })));
    assert!(ngrams(&tokens, 0, 1, b" ").is_err() && ngrams(&tokens, 2, 1, b" ").is_err());
}

#[test]
fn missing_and_extreme_numbers() {
    assert_eq!(polynomial_expand(&[], 3).unwrap(), Vec::<f64>::new());
    assert!(polynomial_expand(&[1e200], 2).is_err());
    let terms = polynomial_expand(&[f64::NAN, 2.0], 2).unwrap();
    assert!(terms[0].is_nan() && terms[2].is_nan() && terms[3].is_nan());
    assert_eq!((terms[1], terms[4]), (2.0, 4.0));
    let normalized = normalize(&[3.0, f64::NAN, 4.0], 2.0).unwrap();
    assert!((normalized[0] - 0.6).abs() < 1e-15 && normalized[1].is_nan());
    assert!(normalize(&[1.0], 0.5).is_err() && normalize(&[1.0], f64::NAN).is_err());
    assert_eq!(cyclic_encode(25.0, 12.0).unwrap(), cyclic_encode(1.0, 12.0).unwrap());
    assert!(cyclic_encode(f64::INFINITY, 7.0).unwrap()[0].is_nan());
    assert!(cyclic_encode(1.0, 0.0).is_err());
    let wide = Scaler::try_from(MinMaxScaler { minimum: 0.0, maximum: 1e-300 }).unwrap();
    assert!(wide.scale(1e300).is_err() && wide.scale(f64::INFINITY).unwrap().is_infinite());
    assert!(Scaler::try_from(StandardScaler { mean: 0.0, scale: -1.0 }).is_err());
    let tokens = [Some(&b"a"[..]), None, Some(b"b"), Some(b"c")];
    assert_eq!(ngrams(&tokens, 1, 2, b"+").unwrap(), [&b"a"[..], b"b", b"b+c", b"c"]);
}

#[test]
fn values_too_far_apart_for_their_range_are_refused() {
    let mut fit = Statistics::default();
    fit.insert(1e308).unwrap();
    fit.insert(-1e308).unwrap();
    assert!(fit.min_max_scaler().is_err());
}
