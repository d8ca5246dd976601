//! Plans: what takes the place of a row's planned columns before the row is scored.
//!
//! The feature view that a version reads says which of its columns are planned. A value of a plan is read as the column's
//! type reads it, so a score with a plan is that of the row with these values in it.

use super::model_cache::Decoded;
use super::row::Inputs;
use super::source::Source;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::input::input;
use crate::pg::memory::bytes;
use crate::pg::relations::{Column, Relation};
use crate::pg::values::{self, Reader};
use model::recipe::{Family, Slot};
use model::Scorer;
use pgrx::pg_sys;
use serde_json::{Map, Value};

/// What the names of planned columns begin with. A plan may leave it out.
const PREFIX: &str = "planned_";

/// The planned columns of the relation that a version reads.
pub struct Planned {
    pub source: Relation,
    pub columns: Vec<PlannedColumn>,
}

/// A planned column, and how its values are read.
pub struct PlannedColumn {
    pub column: Column,
    family: Family,
    pub reader: Reader,
}

/// The value that a plan gives a planned column, by the column's position in [`Planned`]; `None` is NULL.
pub type Given = (usize, Option<pg_sys::Datum>);

impl Planned {
    pub fn of(Decoded { version, scorer, .. }: &Decoded) -> Result<Self, Error> {
        let source = Source::find(version)?;
        // After this check, a value of a column that the version uses has the family that the version takes.
        source.check(version, scorer.recipe())?;
        let Source { relation: source } = source;
        let names = match FeatureView::find(source.oid)? {
            Some(view) => view.planned,
            None => return Err(nothing_planned(version, &source, "no feature view")),
        };
        if names.is_empty() {
            return Err(nothing_planned(version, &source, "a feature view without planned columns"));
        }
        let columns = names.iter().map(|name| {
            let column = source.require(name, "planned")?.clone();
            match values::reader_of(column.type_oid) {
                Some((family, reader)) => Ok(PlannedColumn { column, family, reader }),
                None => Err(Error::invalid(format!(
                    "planned column \"{name}\" of {} has type {}, which a plan cannot give",
                    source.name,
                    column.type_name()
                ))),
            }
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, source })
    }

    /// The values of a plan. They lie in the current memory context.
    ///
    /// # Safety
    /// `plan` is a non-NULL jsonb.
    pub unsafe fn read(&self, plan: pg_sys::Datum) -> Result<Vec<Given>, Error> {
        // SAFETY: the plan is a jsonb, as the caller says.
        let plan = object(&unsafe { values::json_text(plan) })?;
        let mut given: Vec<Given> = Vec::with_capacity(plan.len());
        for (key, value) in &plan {
            let place = self.place(key)?;
            let column = &self.columns[place];
            if given.iter().any(|(known, _)| *known == place) {
                let name = &column.column.name;
                return Err(Error::invalid(format!("the plan gives planned column \"{name}\" twice")));
            }
            given.push((place, column.value(value)?));
        }
        Ok(given)
    }

    /// The position of the column that a key of a plan names.
    fn place(&self, key: &str) -> Result<usize, Error> {
        let named = |name: &str| self.columns.iter().position(|planned| planned.column.name == name);
        named(key).or_else(|| named(&format!("{PREFIX}{key}"))).ok_or_else(|| {
            let names: Vec<_> = self.columns.iter().map(|planned| planned.column.name.as_str()).collect();
            let what = match self.source.column(key) {
                Some(_) => "is not planned, so a plan cannot replace it",
                None => "does not exist",
            };
            Error::UndefinedColumn {
                message: format!("planned column \"{key}\" of {} {what}", self.source.name),
                hint: format!("Its planned columns are: {}.", names.join(", ")),
            }
        })
    }
}

fn nothing_planned(version: &VersionRow, source: &Relation, what: &str) -> Error {
    Error::InvalidArgument(
        format!("model \"{}\" takes no plan: it reads {}, which is {what}", version.model, source.name),
        Some("Which columns are planned is said by reco.create_feature_view(…, planned => …).".into()),
    )
}

fn object(plan: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(plan) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::invalid("a plan is an object such as {\"display\": true, \"price\": 2.49}")),
        Err(_) => Err(Error::invalid("plan has a number that is out of range, or is too deep")),
    }
}

impl PlannedColumn {
    pub fn is_number(&self) -> bool {
        self.family == Family::Number
    }

    /// Whether its values are dates or timestamps.
    pub fn is_time(&self) -> bool {
        matches!(self.family, Family::Date | Family::Timestamp)
    }

    /// A value as a number; NaN if it counts as missing.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the column's type.
    pub unsafe fn number(&self, datum: pg_sys::Datum) -> f64 {
        // SAFETY: the value has the type that the reader is for, as the caller says.
        unsafe { values::number(self.reader, datum) }
    }

    /// A JSON value as one of the column's type.
    fn value(&self, value: &Value) -> Result<Option<pg_sys::Datum>, Error> {
        let text = match (self.family, value) {
            (_, Value::Null) => return Ok(None),
            (Family::Boolean, Value::Bool(value)) => value.to_string(),
            (Family::Number, Value::Bool(value)) => u8::from(*value).to_string(),
            (Family::Number, Value::Number(number)) => plain(number),
            (Family::Text | Family::Date | Family::Timestamp, Value::String(text)) => text.clone(),
            _ => return Err(self.unfit(value, None)),
        };
        let Column { type_oid, type_modifier, .. } = self.column;
        input(&text, type_oid, type_modifier).map(Some).map_err(|cause| self.unfit(value, Some(&cause)))
    }

    /// The error for a value that the column cannot have, with what Postgres says of it.
    fn unfit(&self, value: &Value, cause: Option<&str>) -> Error {
        let wanted = match self.family {
            Family::Boolean => "true or false",
            Family::Number => "a number, or true or false for 1 and 0",
            Family::Date | Family::Timestamp => "a text such as \"2024-05-06\"",
            _ => "a text",
        };
        let name = &self.column.name;
        let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
        Error::InvalidArgument(
            format!(
                "planned column \"{name}\" has type {}, and cannot be {value}{cause}",
                self.column.type_name()
            ),
            Some(format!("Give it {wanted}; null is a value that is not known.")),
        )
    }
}

/// A number without an exponent, and without a fraction where it is whole: input functions of integers take nothing else.
fn plain(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => value.to_string(),
        _ => number.to_string(),
    }
}

/// What a plan replaces in the inputs of one version.
#[derive(Clone, Default)]
pub struct Replacement {
    /// By the number's position among the version's numbers; NaN is missing.
    numbers: Vec<(usize, f64)>,
    /// By the category's position among the version's categories.
    categories: Vec<(usize, Option<String>)>,
}

impl Replacement {
    /// Reads a plan for a version.
    ///
    /// # Safety
    /// `plan` is a non-NULL jsonb.
    pub unsafe fn of(plan: pg_sys::Datum, decoded: &Decoded) -> Result<Self, Error> {
        // SAFETY: the plan is a jsonb, as the caller says.
        unsafe { WhatIf::default().replacement(plan, decoded).cloned() }
    }

    /// The values that a version uses, and the names of the columns that it does not.
    ///
    /// # Safety
    /// The values were read by these columns, and are live.
    unsafe fn new<'a>(planned: &'a Planned, given: &[Given], scorer: &Scorer) -> (Self, Vec<&'a str>) {
        let (mut this, mut unused) = (Self::default(), Vec::new());
        for (place, value) in given {
            let PlannedColumn { column, reader, .. } = &planned.columns[*place];
            // SAFETY: the value has the type that the reader is for, as the caller says.
            unsafe {
                match slot(scorer, &column.name) {
                    Some(Slot::Numbers { first, .. }) => {
                        let number = value.map_or(f64::NAN, |datum| values::number(*reader, datum));
                        this.numbers.push((first, number));
                    }
                    Some(Slot::Category { index }) => {
                        let text = value.map(|datum| values::with_text(*reader, datum, str::to_owned));
                        this.categories.push((index, text));
                    }
                    Some(Slot::Key) | None => unused.push(column.name.as_str()),
                }
            }
        }
        (this, unused)
    }

    /// Replaces the values in inputs that were filled from a row.
    pub fn apply(&self, scorer: &Scorer, inputs: &mut Inputs) {
        for (number, value) in &self.numbers {
            scorer.set_number(&mut inputs.row, *number, Some(*value));
        }
        for (category, text) in &self.categories {
            scorer.set_category(&mut inputs.row, *category, text.as_deref());
        }
    }
}

/// Where a version takes a column; `None` if it does not use the column.
pub fn slot(scorer: &Scorer, column: &str) -> Option<Slot> {
    let recipe = scorer.recipe();
    let place = recipe.columns.iter().position(|input| input.name == column)?;
    recipe.slots().get(place).copied()
}

fn warn_unused(decoded: &Decoded, column: &str) {
    let VersionRow { model, number, .. } = &decoded.version;
    warn!("version {number} of model \"{model}\" does not use planned column \"{column}\": the plan's value changes nothing");
}

/// What a call site keeps of the plans for one version, as long as the statement's snapshot is the same.
#[derive(Default)]
pub struct WhatIf {
    planned: Option<Planned>,
    /// The plan that was read last, as it is stored.
    last: Option<(Vec<u8>, Replacement)>,
    /// The unused columns that the caller has been warned of.
    warned: Vec<String>,
}

impl WhatIf {
    /// What a plan replaces in the inputs of the version. Warns once of each column that the version does not use.
    ///
    /// # Safety
    /// `plan` is a non-NULL jsonb, and `decoded` is the same in every call.
    pub unsafe fn replacement(
        &mut self,
        plan: pg_sys::Datum,
        decoded: &Decoded,
    ) -> Result<&Replacement, Error> {
        // SAFETY: the plan is a jsonb, as the caller says, and the values were read by these columns.
        unsafe {
            let stored = bytes(plan);
            if self.last.as_ref().is_none_or(|(last, _)| last != stored) {
                let planned = match self.planned.take() {
                    Some(planned) => planned,
                    None => Planned::of(decoded)?,
                };
                let (replacement, unused) = Replacement::new(&planned, &planned.read(plan)?, &decoded.scorer);
                for column in unused {
                    if !self.warned.iter().any(|warned| warned == column) {
                        warn_unused(decoded, column);
                        self.warned.push(column.to_owned());
                    }
                }
                self.last = Some((stored.to_vec(), replacement));
                self.planned = Some(planned);
            }
            let Some((_, replacement)) = &self.last else { unreachable!("read above") };
            Ok(replacement)
        }
    }
}
