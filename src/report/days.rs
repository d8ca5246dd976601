//! Which days a version was trained and tested on.

use crate::error::Error;
use model::stored::moment::Moment;
use serde_json::{Map, Value};

/// The days of a version's rows, in days since 2000-01-01.
pub struct Days {
    /// Training rows are earlier.
    pub validation_from: i32,
    /// The first day of the test rows, and the day after their last.
    pub from: i32,
    pub until: i32,
}

impl Days {
    /// The days of the test rows, and the first and the last of them as they are written.
    pub fn of(data: &Map<String, Value>) -> Result<(Self, [String; 2]), Error> {
        let moment = |name: &str| {
            let text = data.get(name).and_then(Value::as_str);
            text.and_then(|text| Some((Moment::parse(text)?, text.split('T').next()?.to_owned())))
        };
        match (moment("validation_from"), moment("test_from"), moment("time_to")) {
            (validation, Some((from, first)), Some((to, last))) => {
                let days = Self {
                    validation_from: validation.map_or(from.day, |(validation, _)| validation.day),
                    // As retraining has it: of a day in which the test rows begin, some rows were trained on.
                    from: from.day.saturating_add(i32::from(from.in_day)),
                    until: to.day.saturating_add(1),
                };
                Ok((days, [first, last]))
            }
            _ => Err(Error::invalid(
                "it was not tested on the newest days of its rows, so that these rows are not known",
            )),
        }
    }
}
