//! What is stored of the version that another one is made of.

use super::read::VersionRow;
use super::stored::{self, Data, Of};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use serde_json::json;

/// What a version hands on.
pub struct Parent {
    pub data: Data,
    metrics: stored::Metrics,
    /// As JSON.
    pub parameters: String,
    pub libraries: String,
}

impl Parent {
    /// Whether it was trained here, and not made elsewhere: then its lineage counts the rows.
    pub fn was_trained(&self) -> bool {
        self.data.all.contains_key("rows")
    }

    /// The metrics that do not depend on how numbers become scores, as JSON.
    pub fn importance(&self) -> String {
        match self.metrics.all.get("importance") {
            Some(importance) => json!({ "importance": importance }).to_string(),
            None => "{}".into(),
        }
    }
}

/// What is stored of a version.
pub fn parent(version: &VersionRow) -> Result<Parent, Error> {
    let of = Of { model: &version.model, version: version.number };
    let sql = "SELECT v.data::pg_catalog.text, v.metrics::pg_catalog.text, v.parameters::pg_catalog.text, \
                      v.libraries::pg_catalog.text FROM reco.version AS v \
               WHERE v.model OPERATOR(pg_catalog.=) $1 AND v.version OPERATOR(pg_catalog.=) $2";
    as_owner(|client| {
        let row = client.select(sql, Some(1), &[of.model.into(), of.version.into()])?.first();
        let text = |n| row.get::<String>(n)?.ok_or_else(Error::damaged_row);
        Ok(Parent {
            data: of.read("data", &text(1)?, stored::data)?,
            metrics: of.read("metrics", &text(2)?, stored::metrics)?,
            parameters: text(3)?,
            libraries: text(4)?,
        })
    })
}
