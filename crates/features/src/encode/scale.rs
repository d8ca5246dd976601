//! Scales a value by a fitted scaler. The formulas are those of scikit-learn: a scale of 0, which a constant column
//! has, divides by 1, so that the constant becomes 0 and any other value its distance to the constant.

use super::checks::{argument, range};
use crate::FeatureError;

/// (value - mean) / scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandardScaler {
    pub mean: f64,
    /// Population standard deviation, at least 0.
    pub scale: f64,
}

/// (value - minimum) / (maximum - minimum); not clipped to 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinMaxScaler {
    pub minimum: f64,
    pub maximum: f64,
}

/// value / max_abs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxAbsScaler {
    pub max_abs: f64,
}

/// (value - median) / interquartile_range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RobustScaler {
    pub median: f64,
    pub interquartile_range: f64,
}

/// A scaler whose numbers have been checked once, for many values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaler {
    center: f64,
    scale: f64,
}

impl Scaler {
    fn new(name: &str, center: f64, scale: f64) -> Result<Self, FeatureError> {
        if !center.is_finite() || !scale.is_finite() || scale < 0.0 {
            return Err(argument(
                format!("a {name} needs finite numbers, its scale at least 0"),
                format!("Fit one with the aggregate reco.{name}(…)."),
            ));
        }
        Ok(Self { center, scale: if scale == 0.0 { 1.0 } else { scale } })
    }

    /// The scaled value. NaN and infinite values follow IEEE arithmetic; a finite one whose result is infinite is an
    /// error.
    #[inline]
    pub fn scale(&self, value: f64) -> Result<f64, FeatureError> {
        let scaled = (value - self.center) / self.scale;
        if scaled.is_infinite() && value.is_finite() {
            return Err(too_large());
        }
        Ok(scaled)
    }
}

pub(super) fn too_large() -> FeatureError {
    range("a result is too large for double precision", "Divide the values by a constant first.")
}

impl TryFrom<StandardScaler> for Scaler {
    type Error = FeatureError;

    fn try_from(fitted: StandardScaler) -> Result<Self, FeatureError> {
        Self::new("standard_scaler", fitted.mean, fitted.scale)
    }
}

impl TryFrom<MinMaxScaler> for Scaler {
    type Error = FeatureError;

    fn try_from(fitted: MinMaxScaler) -> Result<Self, FeatureError> {
        Self::new("min_max_scaler", fitted.minimum, fitted.maximum - fitted.minimum)
    }
}

impl TryFrom<MaxAbsScaler> for Scaler {
    type Error = FeatureError;

    fn try_from(fitted: MaxAbsScaler) -> Result<Self, FeatureError> {
        Self::new("max_abs_scaler", 0.0, fitted.max_abs)
    }
}

impl TryFrom<RobustScaler> for Scaler {
    type Error = FeatureError;

    fn try_from(fitted: RobustScaler) -> Result<Self, FeatureError> {
        Self::new("robust_scaler", fitted.median, fitted.interquartile_range)
    }
}
