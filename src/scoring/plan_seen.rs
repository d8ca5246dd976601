//! The function `reco.plan_seen(product_id, region, plan)`: whether a version was trained on rows like the one that a plan
//! makes of a key's newest row, as far as the planned columns go.
//!
//! Booleans, texts, missing values and the numbers 0 and 1 must have occurred together. Other numbers must lie
//! between numbers that occurred together with these. Dates do not count: those of a coming week are always later. Rows are
//! looked for one question at a time, and the first row that is found answers it.

use super::key_plan::PlanAccess;
use super::model_cache::Decoded;
use super::reading::{output_function, written};
use super::recommend::{KeyCall, Question};
use super::source::Key;
use super::what_if::{slot, Given, Planned, PlannedColumn};
use crate::catalog::read::{self, VersionRow};
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::cursor::{Cursor, Parameter, Snapshot};
use crate::pg::layout::changed;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::tuples::{self, Attributes, Deformed};
use crate::pg::values::{self, Reader};
use model::recipe::Slot;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

sql_function!(plan_seen_bigint, |call| plan_seen(call, Key::Bigint));
sql_function!(plan_seen_text, |call| plan_seen(call, Key::Text));

/// (product_id of type `key`, region text, plan jsonb, model text, as_of date, ab_key text)
fn plan_seen(call: &Call, key: Key) -> Returned {
    let (Some(product), Some(region)) = (call.datum(0), call.datum(1)) else { return Ok(None) };
    let [plan, as_of, ab_key] = [2, 4, 5].map(|n| call.datum(n));
    let question = Question { call_site: call.memory(), key, values: [product, region], as_of, ab_key, plan };
    // SAFETY: the arguments have the types that the SQL declares; a query that calls has a snapshot.
    let seen = unsafe {
        let decoded = call.site::<KeyCall>().decoded(&question, call.bytes(3))?;
        of_key(decoded, &question)?
    };
    Ok(seen.map(pg_sys::Datum::from))
}

/// Whether the version was trained on rows like the key's newest one under the plan; `None` if the key has no row.
///
/// # Safety
/// The question's values have the types that its key says, the plan is a jsonb, and there is an active snapshot.
unsafe fn of_key(decoded: &Decoded, question: &Question) -> Result<Option<bool>, Error> {
    // SAFETY: the values are as the caller says. The values of the plan and of the row are live until `take` returns.
    unsafe {
        let Decoded { version, scorer, .. } = decoded;
        let planned = Planned::of(decoded)?;
        let given = question.plan.map(|plan| planned.read(plan)).transpose()?.unwrap_or_default();
        let with_as_of = question.as_of.is_some();
        let access = PlanAccess::of(version, scorer.recipe(), question.key, with_as_of)?;
        access.newest(question.values, question.as_of, |descriptor, tuple| {
            let mut deformed = Deformed::default();
            let row = deformed.take_apart(tuple, descriptor);
            let parts = combination(decoded, &planned, &given, (descriptor, row))?;
            TrainedOn::rows(version, &planned)?.have(&parts)
        })
    }
}

/// A planned column that counts, with the value that it has under the plan; `None` is missing.
struct Part<'a> {
    planned: &'a PlannedColumn,
    value: Option<pg_sys::Datum>,
}

/// # Safety
/// The row has the descriptor, and the given values were read by the planned columns; all of it is live.
unsafe fn combination<'a>(
    decoded: &Decoded,
    planned: &'a Planned,
    given: &[Given],
    (descriptor, row): (pg_sys::TupleDesc, Attributes),
) -> Result<Vec<Part<'a>>, Error> {
    let mut parts = Vec::new();
    for (place, column) in planned.columns.iter().enumerate() {
        let is_used = !matches!(slot(&decoded.scorer, &column.column.name), None | Some(Slot::Key));
        if !is_used || column.is_time() {
            continue;
        }
        let value = match given.iter().find(|(known, _)| *known == place) {
            Some((_, value)) => *value,
            // SAFETY: the row has the descriptor, as the caller says.
            None => unsafe { value_of_row(column, &decoded.version, descriptor, row)? },
        };
        // SAFETY: the value has the column's type, which the reader is for.
        let is_missing =
            |datum: &pg_sys::Datum| unsafe { column.is_number() && !column.number(*datum).is_finite() };
        parts.push(Part { planned: column, value: value.filter(|datum| !is_missing(datum)) });
    }
    Ok(parts)
}

/// # Safety
/// The row has the descriptor, which is live.
unsafe fn value_of_row(
    planned: &PlannedColumn,
    version: &VersionRow,
    descriptor: pg_sys::TupleDesc,
    row: Attributes,
) -> Result<Option<pg_sys::Datum>, Error> {
    let is_meant = |(_, attribute): &(usize, &pg_sys::FormData_pg_attribute)| {
        tuples::attribute_name(attribute) == planned.column.name
            && attribute.atttypid == planned.column.type_oid
    };
    // SAFETY: the descriptor is live, as the caller says.
    match unsafe { tuples::attributes(descriptor).find(is_meant) } {
        Some((n, _)) => Ok((!row.nulls[n]).then_some(row.values[n])),
        None => Err(changed(&version.source)),
    }
}

impl Part<'_> {
    /// Whether rows need the very value. Otherwise it may lie between those of two rows.
    fn is_exact(&self) -> bool {
        match self.value {
            // SAFETY: the value has the column's type, which the reader is for.
            Some(datum) if self.planned.is_number() => unsafe {
                [0.0, 1.0].contains(&self.planned.number(datum))
            },
            _ => true,
        }
    }

    /// The value as SQL writes it.
    fn text(&self) -> String {
        // SAFETY: the value has the column's type.
        self.value.map_or("NULL".into(), |datum| unsafe {
            written(output_function(self.planned.column.type_oid), datum)
        })
    }
}

/// The rows that a version was trained on, as far as they are still there and the caller may read them.
struct TrainedOn<'a> {
    version: &'a VersionRow,
    from: String,
    conditions: Vec<String>,
    parameters: Vec<Parameter>,
    /// What the conditions ask of the planned columns, for a warning.
    said: Vec<String>,
}

impl<'a> TrainedOn<'a> {
    fn rows(version: &'a VersionRow, planned: &Planned) -> Result<Self, Error> {
        let mut this = Self {
            version,
            from: planned.source.name.to_string(),
            conditions: vec!["true".into()],
            parameters: Vec::new(),
            said: Vec::new(),
        };
        if let Some(label) = &version.label {
            planned.source.require(label, "label")?;
            this.conditions.push(format!("t.{} IS NOT NULL", quote_identifier(label)));
        }
        let until = read::unseen_from(&version.model, version.number)?;
        if let (Some(time), Some(until)) = (&version.time_column, until) {
            this.parameters.push((pg_sys::DATEOID, Some(pg_sys::Datum::from(until))));
            this.conditions.push(format!("t.{} OPERATOR(pg_catalog.<) $1", quote_identifier(time)));
        }
        Ok(this)
    }

    /// Whether there are rows like the parts. If there are none, the caller is warned of the first question that no row
    /// answers.
    fn have(mut self, parts: &[Part]) -> Result<bool, Error> {
        let (exact, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.is_exact());
        for part in exact {
            self.demand(part, "=");
            self.said.push(format!("{} = {}", part.planned.column.name, part.text()));
        }
        if !self.exist()? {
            let said = self.said.join(", ");
            self.warn(&format!("no row with {said}"));
            return Ok(false);
        }
        let with =
            if self.said.is_empty() { String::new() } else { format!(" with {}", self.said.join(", ")) };
        for part in others {
            for (operator, or) in [("<=", "less"), (">=", "more")] {
                let (conditions, parameters) = (self.conditions.len(), self.parameters.len());
                self.demand(part, operator);
                if !self.exist()? {
                    let (column, value) = (&part.planned.column.name, part.text());
                    self.warn(&format!("no row{with} whose {column} is {value} or {or}"));
                    return Ok(false);
                }
                self.conditions.truncate(conditions);
                self.parameters.truncate(parameters);
            }
        }
        Ok(true)
    }

    fn demand(&mut self, part: &Part, operator: &str) {
        let PlannedColumn { column, reader, .. } = part.planned;
        let base = values::as_base(format!("t.{}", quote_identifier(&column.name)), column.type_oid);
        // Numbers that are none are missing values, as in training.
        let is_fraction = matches!(reader, Reader::Number(number) if !number.is_integer());
        let no_number = |number: &str| format!("{base} OPERATOR(pg_catalog.=) '{number}'");
        let Some(value) = part.value else {
            let missing = [format!("{base} IS NULL")].into_iter();
            let none = ["NaN", "Infinity", "-Infinity"].into_iter().filter(|_| is_fraction).map(no_number);
            self.conditions.push(format!("({})", missing.chain(none).collect::<Vec<_>>().join(" OR ")));
            return;
        };
        // SAFETY: this is a catalog look-up of a column's type.
        let base_type = unsafe { pg_sys::getBaseType(column.type_oid) };
        self.parameters.push((base_type, Some(value)));
        self.conditions.push(format!("{base} OPERATOR(pg_catalog.{operator}) ${}", self.parameters.len()));
        if is_fraction && operator != "=" {
            // In the order of SQL, NaN is greater than infinity.
            self.conditions.push(format!(
                "{base} OPERATOR(pg_catalog.<) 'Infinity' AND {base} OPERATOR(pg_catalog.>) '-Infinity'"
            ));
        }
    }

    fn exist(&self) -> Result<bool, Error> {
        let query = format!("SELECT FROM {} AS t WHERE {} LIMIT 1", self.from, self.conditions.join(" AND "));
        Ok(Cursor::open(&query, &self.parameters, Snapshot::Statement)?.fetch().is_some())
    }

    fn warn(&self, what: &str) {
        let VersionRow { model, number, .. } = self.version;
        warn!("version {number} of model \"{model}\" was trained on {what}: its score with this plan is a guess");
    }
}
