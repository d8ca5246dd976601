//! What all fits check of their options and values.

use crate::FeatureError;

pub(super) fn argument(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Argument { message: message.into(), hint: Some(hint.into()) }
}

pub(super) fn range(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Range { message: message.into(), hint: Some(hint.into()) }
}

pub(super) fn limit(message: impl Into<String>, hint: impl Into<String>) -> FeatureError {
    FeatureError::Limit { message: message.into(), hint: Some(hint.into()) }
}

/// Whether a fit counts the value: NaN is missing, infinite values are refused.
pub(super) fn counts(value: f64) -> Result<bool, FeatureError> {
    if value.is_infinite() {
        return Err(range(
            "an encoder cannot be fitted to infinite values",
            "Leave them out with FILTER (WHERE …), or make them NULL.",
        ));
    }
    Ok(!value.is_nan())
}

/// Keeps the option that the first row gave; every other row must give the same.
pub(super) fn agree<T: PartialEq>(kept: &mut Option<T>, given: T, name: &str) -> Result<(), FeatureError> {
    match kept {
        Some(kept) if *kept == given => Ok(()),
        Some(_) => Err(argument(
            format!("{name} must be the same in every row"),
            "Give a constant, or group by what it depends on.",
        )),
        None => {
            *kept = Some(given);
            Ok(())
        }
    }
}

/// The option that the states of two processes agree on.
pub(super) fn agree_merged<T: PartialEq + Clone>(
    kept: &mut Option<T>,
    other: &Option<T>,
    name: &str,
) -> Result<(), FeatureError> {
    other.as_ref().map_or(Ok(()), |given| agree(kept, given.clone(), name))
}
