//! The query for the rows of the wanted keys, and the positions of key and time in its rows.

use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::cursor::Parameter;
use crate::pg::layout::Layout;
use crate::pg::tuples::Attributes;
use crate::pg::values::{self, Number, Reader};
use crate::scoring::key_plan::recipe_columns;
use crate::scoring::source::{Key, Source};
use model::protocol::MICROSECONDS_A_DAY;
use model::recipe::Recipe;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// A key. Numbers come in their order, and before texts, which come in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    Number(i64),
    Text(Box<str>),
}

impl std::fmt::Display for Id {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(to, "{number}"),
            Self::Text(text) => write!(to, "{text}"),
        }
    }
}

/// Which of the two keys is given, and which is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    ProductsOfRegion,
    RegionsOfProduct,
}

/// The keys whose newest rows are wanted.
pub struct Wanted {
    pub of: Of,
    /// The key that is given, with its type.
    pub given: (Key, pg_sys::Datum),
    pub as_of: Option<pg_sys::Datum>,
    /// If it is given, only these keys are wanted: an array, with its type.
    pub candidates: Option<(pg_sys::Oid, pg_sys::Datum)>,
    /// A jsonb whose values take the place of every row's planned columns.
    pub plan: Option<pg_sys::Datum>,
}

/// A query for the wanted rows. It returns the columns that were asked for, the ranked key and the time.
pub struct RankingQuery {
    from: String,
    /// The ranked key as a quoted name.
    key: String,
    time: Option<String>,
    pub parameters: Vec<Parameter>,
    /// The columns of whole rows as they are stored, if reading these is less work: then the executor does not have to
    /// build other rows from them.
    stored: Option<RankingColumns>,
    named: RankingColumns,
}

/// The columns that the query selects.
pub struct RankingColumns {
    list: String,
    key: (usize, Reader),
    time: Option<(usize, Reader)>,
    /// Only columns before this one are read.
    width: usize,
    /// The types that key and time are read as.
    layout: Layout,
}

impl RankingQuery {
    /// The query for the columns that a version is scored from.
    pub fn of_recipe(version: &VersionRow, recipe: &Recipe, wanted: &Wanted) -> Result<Self, Error> {
        let source = Source::find(version)?;
        source.check(version, recipe)?;
        let stored = |ranked: &str| RankingColumns::stored(version, &source, recipe, ranked);
        Self::new(version, recipe_columns(recipe), wanted, stored)
    }

    /// The query for expressions over the source, which the query calls t and which has been checked. They are the first
    /// columns of the row.
    pub fn of_expressions(
        version: &VersionRow,
        columns: Vec<String>,
        wanted: &Wanted,
    ) -> Result<Self, Error> {
        Self::new(version, columns, wanted, |_| None)
    }

    fn new(
        version: &VersionRow,
        columns: Vec<String>,
        wanted: &Wanted,
        stored: impl FnOnce(&str) -> Option<RankingColumns>,
    ) -> Result<Self, Error> {
        let [product, region] = version.keys.as_slice() else {
            return Err(Error::invalid(format!(
                "model \"{}\" has the keys ({}), not a product and a region",
                version.model,
                version.keys.join(", ")
            )));
        };
        let (ranked, given) = match wanted.of {
            Of::ProductsOfRegion => (product, region),
            Of::RegionsOfProduct => (region, product),
        };
        let source = Source::find(version)?;
        let (given_type, given_value) = wanted.given;
        let mut parameters = vec![(given_type.type_oid(), Some(given_value))];
        let key = format!("t.{}", quote_identifier(ranked));
        let is_given = match wanted.of {
            Of::ProductsOfRegion => source.equals_written(version, given, "$1")?,
            Of::RegionsOfProduct => source.equals(version, given, "$1", given_type)?,
        };
        let mut conditions = vec![is_given, format!("{key} IS NOT NULL")];
        let time = version.time_column.as_ref().map(|time| format!("t.{}", quote_identifier(time)));
        conditions.extend(time.as_ref().map(|time| format!("{time} IS NOT NULL")));
        if let Some(as_of) = wanted.as_of {
            let Some(time) = &time else {
                return Err(Error::invalid(format!(
                    "model \"{}\" has no time column, so as_of has no meaning",
                    version.model
                )));
            };
            // The as-of date counts to its end, for a timestamp too.
            parameters.push((pg_sys::DATEOID, Some(values::day_after(as_of))));
            conditions.push(format!("{time} OPERATOR(pg_catalog.<) ${}", parameters.len()));
        }
        if let Some((array_type, array)) = wanted.candidates {
            parameters.push((array_type, Some(array)));
            conditions.push(source.is_any_of(ranked, &format!("${}", parameters.len()), array_type));
        }
        Ok(Self {
            from: format!("FROM {} AS t WHERE {}", source.relation.name, conditions.join(" AND ")),
            stored: stored(ranked),
            named: RankingColumns::named(version, &source, columns, ranked),
            key,
            time,
            parameters,
        })
    }

    /// The query for all rows, in any order.
    pub fn unordered(&self) -> (String, &RankingColumns) {
        let columns = self.stored.as_ref().unwrap_or(&self.named);
        (format!("SELECT {} {}", columns.list, self.from), columns)
    }

    /// The query for the newest row of each key only.
    pub fn one_each(&self) -> (String, &RankingColumns) {
        let newest = self.time.as_ref().map_or(String::new(), |time| format!(", {time} DESC"));
        let (key, list, from) = (&self.key, &self.named.list, &self.from);
        (format!("SELECT DISTINCT ON ({key}) {list} {from} ORDER BY {key}{newest}"), &self.named)
    }
}

impl RankingColumns {
    /// The columns of whole rows; `None` if most of the columns are not needed, or the key cannot be read in the form in
    /// which it is stored.
    fn stored(version: &VersionRow, source: &Source, recipe: &Recipe, ranked: &str) -> Option<Self> {
        let all = source.rows_as_stored()?;
        let place = |column: &str| usize::try_from(source.relation.position(column)).ok()?.checked_sub(1);
        let of_recipe: Option<Vec<usize>> = recipe.columns.iter().map(|column| place(&column.name)).collect();
        let (key, key_type) = (place(ranked)?, type_of(source, ranked));
        let time_name = version.time_column.as_deref();
        let time = match time_name {
            Some(name) => Some((place(name)?, time_reader(source, name)?)),
            None => None,
        };
        let time_place = time.map(|(place, _)| place);
        let used = of_recipe?.into_iter().chain([key]).chain(time_place);
        let (last, count) = used.fold((0, 0), |(last, count), place| (place.max(last), count + 1));
        let (_, reader) = values::reader_of(key_type)?;
        let direct = match reader {
            Reader::Number(number) => number.is_integer(),
            Reader::Text | Reader::Padded => true,
            _ => false,
        };
        (direct && 2 * count >= all).then(|| Self {
            list: "t.*".into(),
            key: (key, reader),
            time,
            width: last + 1,
            layout: Layout::new(
                &source.relation.name,
                [(key, key_type)]
                    .into_iter()
                    .chain(time_place.zip(time_name.and_then(|name| source.relation.type_of(name)))),
            ),
        })
    }

    /// The columns that were asked for, then the key, then the time if there is one.
    fn named(version: &VersionRow, source: &Source, mut columns: Vec<String>, ranked: &str) -> Self {
        let time = version.time_column.as_deref();
        let (reader, key_type, key) = match values::reader_of(type_of(source, ranked)) {
            Some((_, Reader::Number(number))) if number.is_integer() => (
                Reader::Number(Number::Int8),
                pg_sys::INT8OID,
                format!("t.{}::pg_catalog.int8", quote_identifier(ranked)),
            ),
            _ => (Reader::Text, pg_sys::TEXTOID, source.key_text(ranked)),
        };
        let place = columns.len();
        columns.push(key);
        columns.extend(time.map(|time| format!("t.{}", quote_identifier(time))));
        Self {
            list: columns.join(", "),
            key: (place, reader),
            time: time.and_then(|name| time_reader(source, name)).map(|reader| (place + 1, reader)),
            width: columns.len(),
            layout: Layout::new(
                &source.relation.name,
                [(place, key_type)].into_iter().chain(
                    time.and_then(|name| source.relation.type_of(name)).map(|type_oid| (place + 1, type_oid)),
                ),
            ),
        }
    }

    /// How many columns of each row are read, and the layout that the rows must have.
    pub fn read(&self) -> (usize, &Layout) {
        (self.width, &self.layout)
    }

    /// # Safety
    /// The row comes from the query that has these columns.
    pub unsafe fn id(&self, row: Attributes) -> Id {
        // SAFETY: the row has these columns, as the caller says, and the layout was checked, so the key has its reader's
        // type.
        unsafe {
            let (place, reader) = self.key;
            match reader {
                Reader::Number(number) => Id::Number(number.integer(row.values[place])),
                text => Id::Text(values::with_text(text, row.values[place], |text| text.into())),
            }
        }
    }

    /// A number that grows with the row's time. Without a time column it is the same for all rows.
    pub fn time(&self, row: Attributes) -> i64 {
        match self.time {
            Some((place, Reader::Date)) => (row.values[place].value() as i32).into(),
            Some((place, _)) => row.values[place].value() as i64,
            None => 0,
        }
    }

    /// The time that is this number of days before another time.
    pub fn days_before(&self, time: i64, days: i32) -> i64 {
        let unit = match self.time {
            Some((_, Reader::Date)) | None => 1,
            Some(_) => MICROSECONDS_A_DAY,
        };
        time.saturating_sub(i64::from(days) * unit)
    }
}

fn type_of(source: &Source, column: &str) -> pg_sys::Oid {
    source.relation.type_of(column).unwrap_or(pg_sys::InvalidOid)
}

fn time_reader(source: &Source, column: &str) -> Option<Reader> {
    source.relation.type_of(column).and_then(values::reader_of).map(|(_, reader)| reader)
}
