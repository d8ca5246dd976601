//! What can be scheduled, and the statement that is run then.

use crate::error::Error;
use crate::feature_view::registry::table_of;
use pgrx::spi::quote_literal;
use pgrx::Uuid;
use serde_json::Value;

/// What is done to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Refresh,
    Retraining,
    Monitoring,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Refresh, Self::Retraining, Self::Monitoring];

    pub fn name(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Retraining => "retraining",
            Self::Monitoring => "monitoring",
        }
    }

    pub fn from_name(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::InvalidArgument(
                format!("unknown kind of schedule \"{name}\""),
                Some("The kinds are: refresh, retraining, monitoring.".into()),
            )
        })
    }
}

/// A model or a feature view, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub kind: Kind,
    /// The model's name, or the feature view's id as text.
    pub key: String,
    /// What it was called when it was scheduled.
    pub name: String,
}

impl Subject {
    pub fn of_columns(
        kind: Option<String>,
        key: Option<String>,
        name: Option<String>,
    ) -> Result<Self, Error> {
        let (kind, key) = kind.zip(key).ok_or_else(Error::damaged_row)?;
        let name = name.unwrap_or_else(|| key.clone());
        Ok(Self { kind: Kind::from_name(&kind).map_err(|_| Error::damaged_row())?, key, name })
    }

    /// In words: `the retraining of launch`.
    pub fn describe(&self) -> String {
        format!("the {} of {}", self.kind.name(), self.name)
    }

    /// The feature view's id.
    pub fn view(&self) -> Result<Uuid, Error> {
        let digits: String = self.key.chars().filter(|c| *c != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
        number.map(|number| Uuid::from_bytes(number.to_be_bytes())).ok_or_else(Error::damaged_row)
    }

    /// The statement that is run. It names the feature view's table as it is called now.
    pub fn statement(&self, arguments: &Value) -> Result<String, Error> {
        let argument = |name: &str| literal(&arguments[name]);
        let model = quote_literal(&self.key);
        Ok(match self.kind {
            Kind::Refresh => {
                let Some((Some(table), _)) = table_of(self.view()?)? else {
                    return Err(gone(&self.name));
                };
                let name = crate::pg::relations::qualified_name(table)?;
                let view = quote_literal(&name);
                format!(
                    "CALL reco.refresh_features({view}::pg_catalog.regclass, lookback => {})",
                    argument("lookback")
                )
            }
            Kind::Retraining => format!(
                "CALL reco.retrain({model}, metric => {}, min_gain => {}, refresh => {})",
                argument("metric"),
                argument("min_gain"),
                argument("refresh")
            ),
            Kind::Monitoring => format!("CALL reco.monitor({model})"),
        })
    }
}

/// A stored argument as SQL writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => quote_literal(text),
        other => quote_literal(other.to_string()),
    }
}

/// The error for a feature view that is not there.
pub fn gone(name: &str) -> Error {
    Error::InvalidArgument(
        format!("the feature view {name} was dropped"),
        Some("Create it again and schedule it, or end its schedule with reco.unschedule(…).".into()),
    )
}
