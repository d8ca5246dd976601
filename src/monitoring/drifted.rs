//! How far the rows of a week are from those that a version was trained on: a pass over the week's rows, with the caller's
//! rights, that counts each input, and each score, by the bins of training.

use crate::error::Error;
use crate::evaluation::subject::Weeks;
use crate::pg::acting_as::as_owner;
use crate::pg::cursor::{Cursor, Snapshot};
use crate::pg::mapping;
use crate::pg::relations::Relation;
use crate::pg::tuples::{Attributes, Deformed};
use crate::pg::values::{self, Reader};
use crate::scoring::call::Resolved;
use crate::scoring::model_cache::Decoded;
use crate::scoring::row::{bind_column, Binding, BoundColumn, Inputs};
use model::drift::{Counts, Drift, Histogram};
use model::recipe::{Column, Family, Input, Recipe};
use pgrx::spi::quote_identifier;
use pgrx::{pg_sys, Spi};

/// What a version's training has seen of a column, or of its scores where there is no name.
pub struct Profile {
    pub position: i32,
    pub column: Option<String>,
    pub histogram: Histogram,
}

/// A column of a week, or the scores, beside its training.
pub struct Drifted {
    pub profile: Profile,
    pub rows: u64,
    /// `None` where the values could not be read; the note says why. Another note says why the drift is no reason.
    pub drift: Option<Drift>,
    pub note: Option<String>,
}

/// What is stored of the version's training; empty if the version has none. What is damaged is left out.
pub fn profiles(model: &str, version: i32) -> Result<Vec<Profile>, Error> {
    let sql = "SELECT h.position, h.column_name, h.histogram::pg_catalog.text FROM reco.version_histogram AS h \
               WHERE h.model OPERATOR(pg_catalog.=) $1 AND h.version OPERATOR(pg_catalog.=) $2 ORDER BY h.position";
    as_owner(|client| {
        let mut profiles = Vec::new();
        for row in client.update(sql, None, &[model.into(), version.into()])? {
            let (Some(position), Some(text)) = (row.get(1)?, row.get::<String>(3)?) else { continue };
            let histogram = serde_json::from_str(&text).ok().filter(Histogram::fits);
            let column = row.get(2)?;
            profiles.extend(histogram.map(|histogram| Profile { position, column, histogram }));
        }
        Ok(profiles)
    })
}

/// A column that is counted.
struct Counted {
    bound: BoundColumn,
    /// Its place in the recipe.
    place: usize,
    profile: usize,
    counts: Counts,
}

/// Measures every profile on the rows of some weeks.
pub fn of_week(
    resolved: &mut Resolved,
    source: pg_sys::Oid,
    weeks: Weeks,
    profiles: Vec<Profile>,
) -> Result<Vec<Drifted>, Error> {
    if profiles.is_empty() {
        return Ok(Vec::new());
    }
    Spi::connect(|_| {
        let decoded = resolved.decoded.clone();
        let recipe = decoded.scorer.recipe();
        let relation = Relation::of(source)?;
        let time = decoded.version.time_column.as_deref().unwrap_or_default();
        relation.require(time, "time")?;
        let there: Vec<&Column> =
            recipe.columns.iter().filter(|column| problem(&relation, column).is_none()).collect();
        let query = query(&relation, &there, time);
        let day = |day: Option<i32>| (pg_sys::DATEOID, day.map(pg_sys::Datum::from));
        let mut cursor = Cursor::open(&query, &[day(weeks.from), day(weeks.until)], Snapshot::Statement)?;
        let mut pass = Pass::new(resolved, &cursor, recipe, &there, &profiles)?;
        let mut deformed = Deformed::default();
        while let Some(fetched) = cursor.fetch() {
            for n in 0..fetched.len() {
                pgrx::check_for_interrupts!();
                // SAFETY: the cursor is open, and every tuple of it has its descriptor.
                let row = unsafe { deformed.take_apart(fetched.tuple(n), fetched.descriptor()) };
                // SAFETY: the readers were chosen for this descriptor.
                unsafe { pass.take(row, &decoded, &mut resolved.inputs) };
            }
        }
        // The procedure goes on with the result, so a lost mapping is told here.
        if mapping::is_to_be_told() {
            return Err(Error::LostModel);
        }
        Ok(pass.conclude(profiles, |column| problem_of(&relation, recipe, column)))
    })
}

/// What is said of a column with a note is no reason for the status.
const MOVES: &str = "a time moves on by itself, so its drift says nothing";

/// Why a column of the recipe cannot be read, if it cannot.
pub fn problem(relation: &Relation, column: &Column) -> Option<String> {
    match relation.column(&column.name) {
        None => Some(format!("the column is missing from {}", relation.name)),
        Some(found) if found.family() != Some(column.family) => Some(format!(
            "the column has type {}, but the version was trained with {}",
            found.type_name(),
            column.family.describe()
        )),
        Some(_) => None,
    }
}

fn problem_of(relation: &Relation, recipe: &Recipe, name: &str) -> Option<String> {
    let column = recipe.columns.iter().find(|column| column.name == name)?;
    let moves = matches!(column.family, Family::Date | Family::Timestamp);
    problem(relation, column).or_else(|| moves.then(|| MOVES.to_owned()))
}

fn query(relation: &Relation, columns: &[&Column], time: &str) -> String {
    let time = format!("t.{}", quote_identifier(time));
    let mut selected: Vec<_> =
        columns.iter().map(|column| format!("t.{}", quote_identifier(&column.name))).collect();
    if selected.is_empty() {
        selected.push("NULL::pg_catalog.int4".into());
    }
    format!(
        "SELECT {} FROM {} AS t WHERE {time} OPERATOR(pg_catalog.>=) $1 AND {time} OPERATOR(pg_catalog.<) $2",
        selected.join(", "),
        relation.name
    )
}

/// The pass over the rows.
struct Pass {
    columns: Vec<Counted>,
    /// How the version scores the rows, as long as it can.
    scores: Result<(Binding, usize, Counts), Option<String>>,
    rows: u64,
    elements: Vec<f64>,
}

impl Pass {
    fn new(
        resolved: &Resolved,
        cursor: &Cursor,
        recipe: &Recipe,
        there: &[&Column],
        profiles: &[Profile],
    ) -> Result<Self, Error> {
        let model = &resolved.decoded.version.model;
        let descriptor = cursor.descriptor();
        let mut columns = Vec::new();
        for (place, (column, slot)) in recipe.columns.iter().zip(recipe.slots()).enumerate() {
            let profile = profiles.iter().position(|profile| profile.column.as_ref() == Some(&column.name));
            let Some(profile) = profile.filter(|_| there.iter().any(|there| there.name == column.name))
            else {
                continue;
            };
            // SAFETY: the cursor is open, so its descriptor is live.
            let bound = unsafe { bind_column(model, column, slot, descriptor)? };
            let counts = Counts::like(&profiles[profile].histogram);
            columns.push(Counted { bound, place, profile, counts });
        }
        let score = profiles.iter().position(|profile| profile.column.is_none());
        let scores = match score {
            None => Err(None),
            Some(_) if there.len() < recipe.columns.len() => {
                Err(Some("a column of the version cannot be read".into()))
            }
            Some(profile) => {
                // SAFETY: as above.
                let binding = unsafe { Binding::new(model, recipe, descriptor)? };
                Ok((binding, profile, Counts::like(&profiles[profile].histogram)))
            }
        };
        Ok(Self { columns, scores, rows: 0, elements: Vec::new() })
    }

    /// # Safety
    /// The row has the descriptor of the cursor that the pass was made for.
    unsafe fn take(&mut self, row: Attributes, decoded: &Decoded, inputs: &mut Inputs) {
        self.rows += 1;
        let scorer = &decoded.scorer;
        let columns = &scorer.recipe().columns;
        for column in &mut self.columns {
            let at = column.bound.attribute;
            let value = (!row.nulls[at]).then_some(row.values[at]);
            // SAFETY: the column's reader was chosen for this descriptor.
            unsafe { count(column, &columns[column.place].input, value, &mut self.elements) };
        }
        let failed = match &mut self.scores {
            Err(_) => None,
            Ok((binding, _, counts)) => {
                // SAFETY: the binding was made for this descriptor.
                let filled = unsafe { binding.fill(row, scorer, inputs) };
                let score = filled.and_then(|()| decoded.score(&mut inputs.row));
                score.map(|score| counts.number(score)).err()
            }
        };
        if let Some(error) = failed {
            self.scores = Err(Some(error.message()));
        }
    }

    fn conclude(self, profiles: Vec<Profile>, problem: impl Fn(&str) -> Option<String>) -> Vec<Drifted> {
        let mut found: Vec<Option<Counts>> = profiles.iter().map(|_| None).collect();
        for Counted { profile, counts, .. } in self.columns {
            found[profile] = Some(counts);
        }
        let no_score = match self.scores {
            Ok((_, profile, counts)) => {
                found[profile] = Some(counts);
                None
            }
            Err(why) => why,
        };
        let drifted = |(profile, counts): (Profile, Option<Counts>)| Drifted {
            drift: counts.map(|counts| counts.drift(&profile.histogram)),
            note: match &profile.column {
                Some(column) => problem(column),
                None => no_score.clone(),
            },
            rows: self.rows,
            profile,
        };
        profiles.into_iter().zip(found).map(drifted).collect()
    }
}

/// Counts a value of a column; `None` is NULL. An array that is NULL has as many of them as it had elements.
///
/// # Safety
/// The value has the type that the column's reader was chosen for.
unsafe fn count(column: &mut Counted, input: &Input, value: Option<pg_sys::Datum>, elements: &mut Vec<f64>) {
    let (counts, reader) = (&mut column.counts, column.bound.reader);
    // SAFETY: as the caller says.
    unsafe {
        match (input, reader, value) {
            (Input::Numbers(scalings), _, None) => counts.nulls(scalings.len() as u64),
            (Input::Numbers(_), Reader::Array(element), Some(datum)) => {
                elements.clear();
                values::push_elements(element, datum, elements);
                elements.iter().for_each(|value| counts.number(*value));
            }
            (Input::Numbers(_), reader, Some(datum)) => counts.number(values::number(reader, datum)),
            (Input::Category(_), _, None) => counts.nulls(1),
            (Input::Category(category), reader, Some(datum)) => values::with_text(reader, datum, |text| {
                counts.text(text, category.vocabulary.position(text).is_some(), 1);
            }),
            (Input::Key, ..) => {}
        }
    }
}
