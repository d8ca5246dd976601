//! Raw numbers on their way into a network.
//!
//! Scaling costs nothing per row where it can be folded into the first layer's weights. What cannot be folded is done
//! to the value, in double precision: a transform; the centering of a number whose mean is large against its scale
//! (timestamps, ids); the standardization of a number with a very large or very small scale, and of every number where
//! the network has cross layers.

use crate::stored::number_bins::NumberBins;
use crate::stored::recipe::{Scaling, MAX_STANDARDIZED};
use crate::stored::transform::Transform;

/// A mean this many scales away from 0 is subtracted before the value loses digits as a 32-bit float.
const CENTER_ABOVE: f64 = 4.0;
/// A scale outside this range is not folded, so that neither values nor weights leave the range of 32-bit floats.
const FOLDED_SCALES: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

/// How one number goes in: `(transform(value) - center) * gain`, kept between `low` and `high`.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    transform: Transform,
    center: f64,
    gain: f64,
    low: f64,
    high: f64,
    /// What the mean becomes: the input of a missing value.
    pub missing: f32,
    /// Position of the missing indicator in the input.
    pub indicator: Option<usize>,
    /// The second reading, and its position in the input.
    pub second: Option<(Box<Number>, usize)>,
    /// The bins, and where they go.
    pub bins: Option<(NumberBins, BinPlace)>,
}

/// Where the bins of a number go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BinPlace {
    /// Each is an input, the first of them at this position.
    Inputs(usize),
    /// Together they are the n-th pick, whose rows among the steps begin with this one.
    Pick { n: usize, row: u32 },
}

/// The fast path for rows that come as arrays: one check that all values are ordinary, then at most one subtraction for
/// each value.
pub(crate) struct Arrays {
    /// The values that need no clamping and are not missing, number by number.
    low: Vec<f32>,
    high: Vec<f32>,
    pub centers: Vec<f64>,
    pub way: Way,
}

/// What ordinary values need before they go to the network.
pub(crate) enum Way {
    /// They need nothing, and are read where they lie.
    InPlace,
    /// Their centers are subtracted.
    Centered,
    /// Some of them are transformed or standardized, so that every value is looked at by itself.
    OneByOne,
}

impl Number {
    /// `foldable` is whether the first layer can take what is not done here.
    pub fn new(
        scaling: &Scaling,
        indicator: Option<usize>,
        second: Option<(&Scaling, usize)>,
        foldable: bool,
    ) -> Self {
        // The first layer can take over the scaling of first readings only.
        let second =
            second.map(|(scaling, position)| (Box::new(Self::new(scaling, None, None, false)), position));
        let (mean, scale, transform) = (scaling.mean, scaling.scale, scaling.transform.clone());
        if scaling.is_constant() {
            let transform = Transform::Identity;
            return Self {
                transform,
                center: 0.0,
                gain: 0.0,
                low: 0.0,
                high: 0.0,
                missing: 0.0,
                indicator,
                second,
                bins: None,
            };
        }
        let folded = foldable && FOLDED_SCALES.contains(&scale);
        let center = if folded && mean.abs() <= CENTER_ABOVE * scale { 0.0 } else { mean };
        let gain = if folded { 1.0 } else { 1.0 / scale };
        // The product of the two is about 1, where the scale alone may be near the largest number.
        let (middle, reach) = ((mean - center) * gain, MAX_STANDARDIZED * (scale * gain));
        let (low, high, missing) = (middle - reach, middle + reach, middle as f32);
        Self { transform, center, gain, low, high, missing, indicator, second, bins: None }
    }

    /// The scale and mean left for the first layer to fold.
    pub fn left_to_fold(&self, scaling: &Scaling) -> (f64, f64) {
        if self.gain == 0.0 {
            return (0.0, 0.0);
        }
        let scale = scaling.scale * self.gain;
        (1.0 / scale, (scaling.mean - self.center) * self.gain)
    }

    #[inline]
    pub fn input(&self, value: f64) -> f32 {
        ((self.transform.apply(value) - self.center) * self.gain).clamp(self.low, self.high) as f32
    }

    /// The largest absolute value that can go into the network.
    pub fn largest(&self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// The raw values that need no clamping: any for a constant number, whose weight is 0.
    fn raw_bounds(&self) -> (f32, f32) {
        if self.gain == 0.0 {
            return (f32::MIN, f32::MAX);
        }
        let (low, high) = (self.low + self.center, self.high + self.center);
        (low.max(f64::from(f32::MIN)) as f32, high.min(f64::from(f32::MAX)) as f32)
    }

    /// True if the number is transformed, standardized, read twice or has bins, so that [`Arrays`] cannot pass it on as it is.
    fn is_alone(&self) -> bool {
        self.second.is_some()
            || self.bins.is_some()
            || (self.gain != 0.0 && (self.gain != 1.0 || !self.transform.is_identity()))
    }
}

impl Arrays {
    pub fn new(numbers: &[Number]) -> Self {
        let (low, high) = numbers.iter().map(Number::raw_bounds).unzip();
        let way = if numbers.iter().any(Number::is_alone) {
            Way::OneByOne
        } else if numbers.iter().any(|n| n.center != 0.0) {
            Way::Centered
        } else {
            Way::InPlace
        };
        Self { low, high, centers: numbers.iter().map(|n| n.center).collect(), way }
    }

    /// True if no value is missing or beyond its bounds.
    #[inline]
    pub fn are_ordinary(&self, values: &[f32]) -> bool {
        let bounds = self.low.iter().zip(&self.high);
        values
            .iter()
            .zip(bounds)
            .fold(true, |all, (value, (low, high))| all & (value >= low) & (value <= high))
    }

    pub fn memory(&self) -> usize {
        self.centers.len() * (2 * size_of::<f32>() + size_of::<f64>())
    }
}
