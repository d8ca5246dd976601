//! Reads the rows of a subject as the caller, scores them with the code that `predict` runs, and tallies scores with
//! labels. It keeps 8 bytes for each row of a probability, a few sums for quantities, and one tally for each slice.

use super::subject::{EvaluationQuery, Slicing, Subject};
use super::{too_many_rows, MAX_ROWS};
use crate::error::Error;
use crate::pg::cursor::{Cursor, Snapshot};
use crate::pg::mapping;
use crate::pg::memory::Palloc;
use crate::pg::tuples::{Attributes, Deformed};
use crate::pg::values::{self, Reader};
use crate::scoring::call::Resolved;
use crate::scoring::check_columns;
use crate::scoring::model_cache::Decoded;
use crate::scoring::row::{Binding, Inputs};

use model::tally::Tally;
use pgrx::Spi;
use std::collections::HashMap;
use std::time::Instant;

/// The largest number of slices, and the most bytes that their names may have together.
const MAX_SLICES: usize = 100_000;
const MAX_NAMES: usize = 64 << 20;

/// The result for all rows, or for those of one slice.
pub struct Part<T> {
    /// The column by whose values the rows are sliced; `None` for all rows.
    pub by: Option<String>,
    /// The slice's value of that column, as text.
    pub slice: Option<String>,
    pub measured: T,
}

/// What `conclude` makes of all rows, and then of each slice, in the order of the slices' texts with NULL last. It is an
/// error if no row has a label.
pub fn measure<T>(
    subject: &Subject,
    conclude: impl Fn(&mut Tally<Palloc>) -> Option<T>,
) -> Result<Vec<Part<T>>, Error> {
    let mut resolved = Resolved::measuring(subject.model.as_deref(), subject.version, subject.weeks.from)?;
    let measured = measure_with(&mut resolved, subject, conclude)?;
    match measured.rows {
        0 => Err(nothing_to_measure(subject, &measured.query)),
        _ => Ok(measured.parts),
    }
}

/// What was measured of which rows.
pub struct Measured<T> {
    query: EvaluationQuery,
    rows: usize,
    pub parts: Vec<Part<T>>,
}

/// The same of any version, whatever the subject says of one; nothing where no row has a label.
pub fn measure_with<T>(
    resolved: &mut Resolved,
    subject: &Subject,
    conclude: impl Fn(&mut Tally<Palloc>) -> Option<T>,
) -> Result<Measured<T>, Error> {
    measure_slices(resolved, subject, Slicing::By, conclude)
}

/// The same with other slices than those of the subject's column.
pub fn measure_slices<T>(
    resolved: &mut Resolved,
    subject: &Subject,
    slicing: Slicing,
    conclude: impl Fn(&mut Tally<Palloc>) -> Option<T>,
) -> Result<Measured<T>, Error> {
    // The tallies live in the memory of the SPI connection, and nothing that is returned may.
    Spi::connect(|_| {
        let (version, scorer) = (&resolved.decoded.version, &resolved.decoded.scorer);
        // The columns are checked before the query is made, because these errors say what the model needs.
        check_columns(&version.model, scorer.recipe(), subject.source)?;
        let query = EvaluationQuery::new(subject, slicing, version, scorer.recipe(), scorer.task())?;
        let mut slices = Slices::new(Tally::new_in(scorer.task(), Palloc));
        labelled_rows(&query, resolved, subject.deadline, |decoded, inputs, row, label| {
            let score = decoded.score(&mut inputs.row)?;
            let quantiles = decoded.quantiles(&mut inputs.row)?;
            // SAFETY: the layout of the query is checked, so that the slice is a text.
            unsafe { slices.of(row, query.slice)? }.insert(score, quantiles.as_ref(), label);
            Ok(())
        })?;
        Ok(Measured { query, rows: slices.rows, parts: slices.conclude(subject, conclude) })
    })
}

/// Calls `visit` for every row of the query, with the inputs that were filled from it, all its values and its label. It is
/// called within an SPI connection.
pub fn labelled_rows(
    query: &EvaluationQuery,
    resolved: &mut Resolved,
    deadline: Option<Instant>,
    mut visit: impl FnMut(&Decoded, &mut Inputs, Attributes, f64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut cursor = Cursor::open(&query.text, &query.parameters, Snapshot::Statement)?;
    let mut deformed = Deformed::default();
    let decoded = resolved.decoded.clone();
    let (scorer, inputs) = (&decoded.scorer, &mut resolved.inputs);
    // SAFETY: the cursor is open and every tuple of it has its descriptor. The layout is checked, so label and slice have
    // the types that they are read as.
    unsafe {
        query.layout.check(cursor.descriptor())?;
        let binding = Binding::new(&decoded.version.model, scorer.recipe(), cursor.descriptor())?;
        while let Some(fetched) = cursor.fetch() {
            check_deadline(deadline)?;
            for n in 0..fetched.len() {
                pgrx::check_for_interrupts!();
                let row = deformed.take_apart(fetched.tuple(n), fetched.descriptor());
                binding.fill(row, scorer, inputs)?;
                let label = query.label.value(row.values[query.label.position])?;
                visit(&decoded, inputs, row, label)?;
            }
        }
    }
    // A lost mapping is reported here, and not only when the SQL function ends, because a procedure goes on with the
    // result.
    match mapping::is_to_be_told() {
        false => Ok(()),
        true => Err(Error::LostModel),
    }
}

/// An error once the deadline has passed.
pub fn check_deadline(deadline: Option<Instant>) -> Result<(), Error> {
    match deadline {
        Some(deadline) if Instant::now() > deadline => Err(Error::Limit {
            message: "reading the rows takes longer than was allowed".into(),
            hint: "Allow more time, or measure fewer rows: reco.evaluate(…) with from_week and to_week."
                .into(),
        }),
        _ => Ok(()),
    }
}

/// The tallies: one for each slice, or one for all rows.
struct Slices {
    /// The tally of all rows if there are no slices. If there are some, it stays empty until the end.
    all: Tally<Palloc>,
    tallies: Vec<(Option<String>, Tally<Palloc>)>,
    numbers: HashMap<String, usize>,
    null: Option<usize>,
    rows: usize,
    names: usize,
}

impl Slices {
    fn new(all: Tally<Palloc>) -> Self {
        Self { all, tallies: Vec::new(), numbers: HashMap::new(), null: None, rows: 0, names: 0 }
    }

    /// The tally of the slice that a row belongs to.
    ///
    /// # Safety
    /// The row's value at `position`, if it is not NULL, is a text.
    unsafe fn of(&mut self, row: Attributes, position: Option<usize>) -> Result<&mut Tally<Palloc>, Error> {
        self.rows += 1;
        if self.rows > MAX_ROWS && matches!(self.all, Tally::Binary(_)) {
            return Err(too_many_rows());
        }
        let Some(position) = position else { return Ok(&mut self.all) };
        let number = match (row.nulls[position], self.null) {
            (true, Some(number)) => number,
            (true, None) => self.add(None)?,
            // SAFETY: the value is a text, as the caller says.
            (false, _) => unsafe {
                values::with_text(Reader::Text, row.values[position], |name| {
                    self.numbers.get(name).copied().map_or_else(|| self.add(Some(name)), Ok)
                })?
            },
        };
        Ok(&mut self.tallies[number].1)
    }

    /// Begins a slice and returns its number.
    fn add(&mut self, name: Option<&str>) -> Result<usize, Error> {
        let number = self.tallies.len();
        self.names += name.map_or(0, str::len);
        if number >= MAX_SLICES || self.names > MAX_NAMES {
            return Err(Error::Limit {
                message: format!(
                    "there are more than {MAX_SLICES} slices, or {MAX_NAMES} bytes of their names"
                ),
                hint: "Name a column of fewer values: by => 'region'.".into(),
            });
        }
        let empty = match &self.all {
            Tally::Binary(_) => Tally::new_in(model::Task::Binary, Palloc),
            Tally::Regression(_) => Tally::new_in(model::Task::Regression, Palloc),
        };
        self.tallies.push((name.map(str::to_owned), empty));
        match name {
            Some(name) => drop(self.numbers.insert(name.to_owned(), number)),
            None => self.null = Some(number),
        }
        Ok(number)
    }

    fn conclude<T>(
        mut self,
        subject: &Subject,
        conclude: impl Fn(&mut Tally<Palloc>) -> Option<T>,
    ) -> Vec<Part<T>> {
        let mut parts = Vec::new();
        self.tallies.sort_by(|(a, _), (b, _)| a.is_none().cmp(&b.is_none()).then_with(|| a.cmp(b)));
        for (slice, mut tally) in self.tallies {
            pgrx::check_for_interrupts!();
            self.all.merge(&tally);
            let measured = conclude(&mut tally);
            parts.extend(measured.map(|measured| Part { by: subject.by.clone(), slice, measured }));
        }
        let all = conclude(&mut self.all).map(|measured| Part { by: None, slice: None, measured });
        all.into_iter().chain(parts).collect()
    }
}

fn nothing_to_measure(subject: &Subject, query: &EvaluationQuery) -> Error {
    let weeks = subject.weeks.from.is_some() || subject.weeks.until.is_some();
    Error::Data {
        message: format!(
            "no row of {} {}has a label in column \"{}\"",
            query.source,
            if weeks { "in these weeks " } else { "" },
            query.label.name
        ),
        hint: match weeks {
            true => {
                "Name other weeks with from_week and to_week, or another column with label => '…'.".into()
            }
            false => "Name another column with label => '…', or wait until outcomes are known.".into(),
        },
    }
}
