//! What is measured: a version of a model, the rows of a relation, what came true of them, and by what they are sliced.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::call::Call;
use crate::pg::cursor::Parameter;
use crate::pg::layout::Layout;
use crate::pg::relations::Relation;
use crate::pg::values::{self, Reader};
use features::weeks::Week;
use model::recipe::{Family, Recipe};
use model::Task;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// The arguments that every function of this capability has.
pub struct Subject {
    /// The default model where it is not named.
    pub model: Option<String>,
    /// The champion where it is not given.
    pub version: Option<i32>,
    pub source: pg_sys::Oid,
    /// The one that the version was trained on where it is not named.
    pub label: Option<String>,
    /// The column whose values are the slices.
    pub by: Option<String>,
    /// Only the rows of these weeks, by the version's time column.
    pub weeks: Weeks,
}

/// The first day, and the day after the last, in PostgreSQL's days.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weeks {
    pub from: Option<i32>,
    pub until: Option<i32>,
}

/// Where arguments stand in a call.
pub struct Positions {
    pub label: usize,
    pub by: usize,
    /// `version`, `from_week` and `to_week` follow.
    pub version: usize,
}

impl Subject {
    /// The arguments (model text, source regclass) and, at these positions, (label name, by name, version integer, from_week
    /// date, to_week date).
    pub fn read(call: &Call, at: Positions) -> Result<Self, Error> {
        Ok(Self {
            model: call.text(0),
            source: values::given(call.oid(1), "source")?,
            label: call.name(at.label),
            by: call.name(at.by),
            version: call.integer(at.version),
            weeks: Weeks::of(call.date(at.version + 1), call.date(at.version + 2)),
        })
    }
}

impl Weeks {
    /// From the Monday of the week of one day to the end of the week of another; an infinite day is itself.
    fn of(from: Option<i32>, to: Option<i32>) -> Self {
        let of = |day: i32, weeks: i32| match day {
            i32::MIN | i32::MAX => day,
            day => Week::of_day(day).plus(weeks).monday(),
        };
        Self { from: from.map(|day| of(day, 0)), until: to.map(|day| of(day, 1)) }
    }
}

/// A query for the rows of a subject.
pub struct Query {
    pub text: String,
    pub parameters: Vec<Parameter>,
    /// Qualified, quoted name of the relation.
    pub source: String,
    pub label: Label,
    /// What the label's reader and the slice's are for.
    pub layout: Layout,
    /// Position of the slice's text.
    pub slice: Option<usize>,
}

/// The column that says what came true.
pub struct Label {
    pub name: String,
    pub position: usize,
    pub reader: Reader,
    task: Task,
}

impl Query {
    /// Reads the columns of the recipe, then the label, then the slice, of rows that have a label.
    pub fn new(subject: &Subject, version: &VersionRow, recipe: &Recipe, task: Task) -> Result<Self, Error> {
        let columns = Columns::of(subject.source, version)?;
        let inputs = recipe.columns.iter().map(|column| column.name.as_str());
        let name = subject.label.as_ref().or(version.label.as_ref()).ok_or_else(|| no_label(version))?;
        let (reader, label_type) = columns.label(name, task)?;
        let mut selected: Vec<String> = inputs.chain([name.as_str()]).map(column).collect();
        let position = selected.len() - 1;
        if let Some(by) = &subject.by {
            columns.source.require(by, "by")?;
            selected.push(format!("{}::pg_catalog.text", column(by)));
        }
        let mut conditions = vec![format!("{} IS NOT NULL", column(name))];
        let mut parameters = Vec::new();
        for (day, operator) in [(subject.weeks.from, ">="), (subject.weeks.until, "<")] {
            let Some(day) = day else { continue };
            let time = column(columns.time()?);
            parameters.push((pg_sys::DATEOID, Some(pg_sys::Datum::from(day))));
            conditions.push(format!("{time} OPERATOR(pg_catalog.{operator}) ${}", parameters.len()));
        }
        let slice = subject.by.is_some().then_some(position + 1);
        let types = [(position, label_type)].into_iter().chain(slice.map(|slice| (slice, pg_sys::TEXTOID)));
        let layout = Layout::new(&columns.source.name, types);
        let (selected, conditions) = (selected.join(", "), conditions.join(" AND "));
        Ok(Self {
            text: format!("SELECT {selected} FROM {} AS t WHERE {conditions}", columns.source.name),
            parameters,
            label: Label { name: name.clone(), position, reader, task },
            layout,
            slice,
            source: columns.source.name.to_string(),
        })
    }
}

fn no_label(version: &VersionRow) -> Error {
    Error::InvalidArgument(
        format!("it is not known which column model \"{}\" predicts", version.model),
        Some("Name the column: label => 'purchased'.".into()),
    )
}

impl Label {
    /// The label as a number; 0 or 1 of a binary task.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the label's column.
    #[inline]
    pub unsafe fn value(&self, datum: pg_sys::Datum) -> Result<f64, Error> {
        // SAFETY: as the caller says: the reader was chosen for the column.
        let value = unsafe { values::number(self.reader, datum) };
        let fits = match self.task {
            Task::Binary => value == 0.0 || value == 1.0,
            Task::Regression => value.is_finite(),
        };
        if fits {
            return Ok(value);
        }
        Err(Error::Data {
            message: format!("label column \"{}\" holds the value {value}", self.name),
            hint: match self.task {
                Task::Binary => "The label of a probability is true, false, 1, 0 or NULL.".into(),
                Task::Regression => "The label of a quantity is a finite number or NULL.".into(),
            },
        })
    }
}

fn column(name: &str) -> String {
    format!("t.{}", quote_identifier(name))
}

/// The columns of a relation, for a version.
struct Columns<'a> {
    source: Relation,
    version: &'a VersionRow,
}

impl<'a> Columns<'a> {
    fn of(relation: pg_sys::Oid, version: &'a VersionRow) -> Result<Self, Error> {
        Ok(Self { source: Relation::of(relation)?, version })
    }

    fn wrong_type(&self, column: &str, type_oid: pg_sys::Oid, expected: &str) -> Error {
        Error::WrongType {
            column: column.to_owned(),
            relation: Some(self.source.name.to_string()),
            model: self.version.model.clone(),
            found: values::type_name(type_oid, -1),
            expected: expected.to_owned(),
        }
    }

    fn label(&self, name: &str, task: Task) -> Result<(Reader, pg_sys::Oid), Error> {
        let type_oid = self.source.require(name, "label")?.type_oid;
        match values::reader_of(type_oid) {
            Some((Family::Boolean | Family::Number, reader)) => Ok((reader, type_oid)),
            _ => Err(self.wrong_type(
                name,
                type_oid,
                match task {
                    Task::Binary => "a label that is boolean, or 0 and 1",
                    Task::Regression => "a label that is a number",
                },
            )),
        }
    }

    fn time(&self) -> Result<&'a str, Error> {
        let Some(name) = &self.version.time_column else {
            return Err(Error::InvalidArgument(
                format!(
                    "model \"{}\" has no time column, so from_week and to_week have no meaning",
                    self.version.model
                ),
                Some("Leave them out; a view of the wanted rows can be measured instead.".into()),
            ));
        };
        let type_oid = self.source.require(name, "time")?.type_oid;
        match values::reader_of(type_oid) {
            Some((Family::Date | Family::Timestamp, _)) => Ok(name),
            _ => Err(self.wrong_type(name, type_oid, "a date or a timestamp")),
        }
    }
}
