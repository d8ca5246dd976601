//! What is measured: a version of a model, the rows of a relation, their labels, and the column by which they are sliced.

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
use std::time::Instant;

/// The arguments that every function of this folder has.
pub struct Subject {
    /// The model; `None` means the default model.
    pub model: Option<String>,
    /// The version; `None` means the champion.
    pub version: Option<i32>,
    pub source: pg_sys::Oid,
    /// The column of the label; `None` means the one that the version was trained on.
    pub label: Option<String>,
    /// The column whose values make the slices.
    pub by: Option<String>,
    /// If they are given, only rows of these weeks are measured, by the version's time column.
    pub weeks: Weeks,
    /// If the slices are days of a date or timestamp: then their names are ISO dates, whatever the session's settings.
    pub by_day: bool,
    /// When reading is given up, which is looked at between batches of rows.
    pub deadline: Option<Instant>,
}

/// The first day, and the day after the last, in days since 2000-01-01.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weeks {
    pub from: Option<i32>,
    pub until: Option<i32>,
}

/// The positions of arguments in a call.
pub struct Positions {
    pub label: usize,
    pub by: usize,
    /// The position of `version`; `from_week` and `to_week` follow it.
    pub version: usize,
}

impl Subject {
    /// Reads the arguments: (model text, source regclass) come first, and (label name, by name, version integer, from_week
    /// date, to_week date) stand at these positions.
    pub fn read(call: &Call, at: Positions) -> Result<Self, Error> {
        Ok(Self {
            model: call.text(0),
            source: values::given(call.oid(1), "source")?,
            label: call.name(at.label),
            by: call.name(at.by),
            version: call.integer(at.version),
            weeks: Weeks::of(call.date(at.version + 1), call.date(at.version + 2)),
            by_day: false,
            deadline: None,
        })
    }
}

impl Weeks {
    /// The weeks from the Monday of one day's week to the end of another day's week. An infinite day stays as it is.
    pub fn of(from: Option<i32>, to: Option<i32>) -> Self {
        let of = |day: i32, weeks: i32| match day {
            i32::MIN | i32::MAX => day,
            day => Week::of_day(day).plus(weeks).monday(),
        };
        Self { from: from.map(|day| of(day, 0)), until: to.map(|day| of(day, 1)) }
    }
}

/// What the slices are.
#[derive(Debug, Clone, Copy)]
pub enum Slicing {
    /// The values of the subject's column `by`, if it has one.
    By,
    /// The lists that people act on: one for each region and time of the version.
    Lists,
}

/// The query for the rows of a subject.
pub struct EvaluationQuery {
    pub text: String,
    pub parameters: Vec<Parameter>,
    /// The qualified, quoted name of the relation.
    pub source: String,
    pub label: Label,
    /// The types that label and slice are read as.
    pub layout: Layout,
    /// The position of the slice, which is a text.
    pub slice: Option<usize>,
}

/// The column that says how a row turned out.
pub struct Label {
    pub name: String,
    pub position: usize,
    pub reader: Reader,
    task: Task,
}

impl EvaluationQuery {
    /// The query for the rows that have a label. Its columns are those of the recipe, then the label, then the slice.
    pub fn new(
        subject: &Subject,
        slicing: Slicing,
        version: &VersionRow,
        recipe: &Recipe,
        task: Task,
    ) -> Result<Self, Error> {
        let columns = LabelledColumns::of(subject.source, version)?;
        let inputs = recipe.columns.iter().map(|column| column.name.as_str());
        let name = subject.label.as_ref().or(version.label.as_ref()).ok_or_else(|| no_label(version))?;
        let (reader, label_type) = columns.label(name, task)?;
        let mut selected: Vec<String> = inputs.chain([name.as_str()]).map(column).collect();
        let position = selected.len() - 1;
        let slice = columns.slice(subject, slicing)?;
        selected.extend(slice);
        let mut conditions = vec![format!("{} IS NOT NULL", column(name))];
        let mut parameters = Vec::new();
        for (day, operator) in [(subject.weeks.from, ">="), (subject.weeks.until, "<")] {
            let Some(day) = day else { continue };
            let time = column(columns.time()?);
            parameters.push((pg_sys::DATEOID, Some(pg_sys::Datum::from(day))));
            conditions.push(format!("{time} OPERATOR(pg_catalog.{operator}) ${}", parameters.len()));
        }
        let slice = (selected.len() > position + 1).then_some(position + 1);
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
    /// The label as a number. For a binary task it is 0 or 1, and anything else is an error.
    ///
    /// # Safety
    /// `datum` is a non-NULL value of the label's column.
    #[inline]
    pub unsafe fn value(&self, datum: pg_sys::Datum) -> Result<f64, Error> {
        // SAFETY: the datum is a value of the label's column, as the caller says, and the reader was chosen for that
        // column.
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

/// The columns of a relation that a version is measured on.
struct LabelledColumns<'a> {
    source: Relation,
    version: &'a VersionRow,
}

impl<'a> LabelledColumns<'a> {
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

    /// The slice of a row as a text; `None` without slices.
    fn slice(&self, subject: &Subject, slicing: Slicing) -> Result<Option<String>, Error> {
        match (slicing, &subject.by) {
            (Slicing::Lists, _) => self.list().map(Some),
            (Slicing::By, None) => Ok(None),
            (Slicing::By, Some(by)) => {
                self.source.require(by, "by")?;
                Ok(Some(match subject.by_day {
                    true => format!("pg_catalog.to_char({}, 'YYYY-MM-DD')", column(by)),
                    false => format!("{}::pg_catalog.text", column(by)),
                }))
            }
        }
    }

    /// Region and time of a row, as far as the version has them, as one text.
    fn list(&self) -> Result<String, Error> {
        let names: Vec<&String> =
            self.version.keys.get(1).into_iter().chain(&self.version.time_column).collect();
        names.iter().try_for_each(|name| self.source.require(name, "list").map(drop))?;
        let columns: Vec<String> = names.iter().map(|name| column(name)).collect();
        Ok(format!("ROW({})::pg_catalog.text", columns.join(", ")))
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
