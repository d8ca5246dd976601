//! Numbers with heavy tails (sales, counts, prices) brought into the range where a network learns from them.

use crate::error::ModelError;
use crate::score::array::Array;
use serde::{Deserialize, Serialize};

/// Most points of a quantile transform.
pub const MAX_POINTS: usize = 1024;
/// Points of a quantile transform that is fitted here.
const POINTS: usize = 129;
/// A column whose excess kurtosis is below this is not transformed. The uniform distribution has -1.2, the normal one
/// 0, the exponential one 6.
const HEAVY: f64 = 6.0;

/// What is done to a number before it is standardized. Every transform is monotone, so a tree need not know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    #[default]
    Identity,
    /// `sign(x) · ln(1 + |x| / unit)`.
    SignedLog { unit: f64 },
    /// Straight lines between points (value, normal score), level beyond the first and the last.
    Quantile { points: Array<[f64; 2]> },
}

/// How the transforms of the training's numbers are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransformChoice {
    /// Both the quantiles and the logarithm, as two inputs, for columns of high kurtosis; nothing for others.
    #[default]
    Auto,
    None,
    SignedLog,
    Quantile,
}

impl Transform {
    pub fn is_identity(&self) -> bool {
        *self == Self::Identity
    }

    /// The transformed number; finite for every finite one.
    #[inline]
    pub fn apply(&self, value: f64) -> f64 {
        match self {
            Self::Identity => value,
            Self::SignedLog { unit } => (value.abs() / unit).ln_1p().copysign(value),
            Self::Quantile { points } => between(points, value),
        }
    }

    /// A number that becomes `image`, or what comes nearest to it; finite for every finite one.
    pub fn inverse(&self, image: f64) -> f64 {
        let value = match self {
            Self::Identity => image,
            Self::SignedLog { unit } => (image.abs().exp_m1() * unit).copysign(image),
            Self::Quantile { points } => between_scores(points, image),
        };
        value.clamp(f64::MIN, f64::MAX)
    }

    /// Checks every bound of a transform that came from outside.
    pub fn check(&self) -> Result<(), ModelError> {
        let fits = match self {
            Self::Identity => true,
            // A smaller unit could make the ratio infinite.
            Self::SignedLog { unit } => unit.is_finite() && *unit >= 1e-100,
            Self::Quantile { points } => {
                (2..=MAX_POINTS).contains(&points.len())
                    && points.iter().all(|[value, score]| value.is_finite() && score.is_finite())
                    && points.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1])
                    && [0, 1].iter().all(|n| (points[points.len() - 1][*n] - points[0][*n]).is_finite())
            }
        };
        match fits {
            true => Ok(()),
            false => Err(ModelError::artifact("the transform of a number")),
        }
    }

    /// The transforms for a column of which `values` is a sample: finite values in any order, which are sorted. The second
    /// makes one more input.
    pub fn fit(choice: TransformChoice, values: &mut [f64]) -> (Transform, Option<Transform>) {
        values.sort_unstable_by(f64::total_cmp);
        let valid = |fitted: Transform| match fitted.check() {
            Ok(()) => fitted,
            Err(_) => Self::Identity,
        };
        match choice {
            TransformChoice::SignedLog => (valid(signed_log(values)), None),
            TransformChoice::Quantile => (valid(quantile(values)), None),
            TransformChoice::Auto if excess_kurtosis(values.iter().copied()) > HEAVY => {
                (valid(quantile(values)), Some(valid(signed_log(values))).filter(|log| !log.is_identity()))
            }
            TransformChoice::Auto | TransformChoice::None => (Self::Identity, None),
        }
    }
}

/// The signed logarithm whose unit is the median absolute value of the values that are not 0.
fn signed_log(sorted: &[f64]) -> Transform {
    let mut sizes: Vec<f64> = sorted.iter().map(|value| value.abs()).filter(|size| *size > 0.0).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    match sizes.get(sizes.len() / 2) {
        Some(median) => Transform::SignedLog { unit: *median },
        None => Transform::Identity,
    }
}

/// Each distinct value among evenly spaced ones gets the normal score of the middle of its ranks.
fn quantile(sorted: &[f64]) -> Transform {
    let rows = sorted.len();
    let mut points: Vec<[f64; 2]> = Vec::new();
    for step in 0..POINTS.min(rows) {
        let value = sorted[step * (rows - 1) / (POINTS - 1).max(1)];
        if points.last().is_some_and(|[last, _]| *last == value) {
            continue;
        }
        let first = sorted.partition_point(|v| *v < value);
        let end = sorted.partition_point(|v| *v <= value);
        points.push([value, normal_score((first + end) as f64 / (2 * rows) as f64)]);
    }
    match points.len() {
        0 | 1 => Transform::Identity,
        _ => Transform::Quantile { points: points.into() },
    }
}

fn between(points: &[[f64; 2]], value: f64) -> f64 {
    let after = points.partition_point(|[at, _]| *at <= value);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some([x0, y0]), Some([x1, y1])) => y0 + (y1 - y0) * ((value - x0) / (x1 - x0)),
        (Some([_, score]), None) | (None, Some([_, score])) => *score,
        (None, None) => value,
    }
}

/// [`between`] the other way round: the lowest value of the score.
fn between_scores(points: &[[f64; 2]], score: f64) -> f64 {
    let after = points.partition_point(|[_, at]| *at < score);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some([x0, y0]), Some([x1, y1])) => x0 + (x1 - x0) * ((score - y0) / (y1 - y0)),
        (Some([value, _]), None) | (None, Some([value, _])) => *value,
        (None, None) => score,
    }
}

/// The excess kurtosis of a sample; 0 where all values are the same.
fn excess_kurtosis(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let rows = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / rows;
    let moment = |power: i32| values.clone().map(|value| (value - mean).powi(power)).sum::<f64>() / rows;
    let variance = moment(2);
    match variance > 0.0 {
        true => moment(4) / (variance * variance) - 3.0,
        false => 0.0,
    }
}

/// The standard normal distribution's quantile, to about 1e-9 (Acklam's rational approximation).
fn normal_score(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
        1.0,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    const TAIL: f64 = 0.024_25;
    let polynomial = |terms: &[f64], x: f64| terms.iter().fold(0.0, |sum, term| sum * x + term);
    let p = probability.clamp(1e-12, 1.0 - 1e-12);
    let tail = |p: f64| {
        let x = (-2.0 * p.ln()).sqrt();
        polynomial(&C, x) / polynomial(&D, x)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let x = p - 0.5;
        x * polynomial(&A, x * x) / polynomial(&B, x * x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_scores_are_those_of_the_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.001, -3.090_232_306), (0.841_344_746, 1.0)] {
            assert!((normal_score(p) - z).abs() < 1e-7, "{p}");
        }
    }

    #[test]
    fn every_transform_is_monotone_and_finite() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i * i * i % 997) - 300.0).collect();
        for choice in [TransformChoice::SignedLog, TransformChoice::Quantile, TransformChoice::None] {
            let (transform, _) = Transform::fit(choice, &mut values);
            assert!(transform.check().is_ok());
            let probes = [f64::MIN, -1e9, -300.0, -1.0, 0.0, 1e-9, 2.5, 600.0, 1e12, f64::MAX];
            let images = probes.map(|probe| transform.apply(probe));
            assert!(images.iter().all(|image| image.is_finite()), "{transform:?}: {images:?}");
            assert!(images.windows(2).all(|pair| pair[0] <= pair[1]), "{transform:?}: {images:?}");
        }
    }

    #[test]
    fn the_inverse_leads_back() {
        let points = vec![[-5.0, -2.0], [1.0, 0.0], [4.0, 0.0], [10.0, 1.5]].into();
        for transform in
            [Transform::Identity, Transform::SignedLog { unit: 3.0 }, Transform::Quantile { points }]
        {
            for image in [-2.0, -1.25, 0.0, 0.7, 1.5] {
                let back = transform.apply(transform.inverse(image));
                assert!((back - image).abs() < 1e-12, "{transform:?}: {image} became {back}");
            }
            for image in [f64::MIN, -9.0, 9.0, f64::MAX] {
                assert!(transform.inverse(image).is_finite(), "{transform:?}: {image}");
            }
        }
    }

    #[test]
    fn only_heavy_tails_are_transformed() {
        let fit = |values: Vec<f64>| Transform::fit(TransformChoice::Auto, &mut values.clone());
        let uniform = |i: u32| (f64::from(i) + 0.5) / 1000.0;
        for light in [(0..1000).map(uniform).collect(), vec![3.0; 50], Vec::new()] {
            assert_eq!(fit(light), (Transform::Identity, None));
        }
        let log_normal = (0..1000).map(|i| (2.0 * normal_score(uniform(i))).exp()).collect();
        let (first, second) = fit(log_normal);
        assert!(matches!(first, Transform::Quantile { .. }), "{first:?}");
        assert!(matches!(second, Some(Transform::SignedLog { .. })), "{second:?}");
    }

    #[test]
    fn quantiles_of_any_distribution_come_out_normal() {
        let mut values: Vec<f64> = (0..10_000).map(|i| (f64::from(i) / 700.0).exp()).collect();
        let (transform, _) = Transform::fit(TransformChoice::Quantile, &mut values);
        let images: Vec<f64> = values.iter().map(|value| transform.apply(*value)).collect();
        let mean = images.iter().sum::<f64>() / 1e4;
        let spread = (images.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!(mean.abs() < 0.02 && (spread - 1.0).abs() < 0.05, "{mean} {spread}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let points = |points: &[[f64; 2]]| Transform::Quantile { points: points.to_vec().into() };
        for transform in [
            Transform::SignedLog { unit: 0.0 },
            Transform::SignedLog { unit: f64::NAN },
            points(&[]),
            points(&[[1.0, 0.0]]),
            points(&[[1.0, 0.0], [1.0, 1.0]]),
            points(&[[1.0, 0.0], [2.0, -1.0]]),
            points(&[[f64::MIN, 0.0], [f64::MAX, 1.0]]),
            points(&[[1.0, 0.0], [2.0, f64::INFINITY]]),
            points(&[[1.0, f64::MIN], [2.0, f64::MAX]]),
        ] {
            assert!(transform.check().is_err(), "{transform:?}");
        }
    }
}
