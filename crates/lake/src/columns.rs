//! Which column of the table takes which of a file's, by name.

use crate::convert::putter;
use crate::convert_text::folder_field;
use crate::error::{LakeError, Result};
use crate::field::NULL_FIELD;
use crate::hive::Values;
use arrow_array::new_empty_array;
use arrow_schema::{DataType, Schema, TimeUnit};
use lake_protocol::message::{Column, Load};
use std::collections::BTreeSet;

/// A column of the table, and the name that its values have in the files.
#[derive(Clone)]
pub struct Loaded {
    pub column: Column,
    pub from: String,
}

/// Where the values of a column are in one file.
pub enum Source {
    /// In the n-th of the columns that are read.
    Read(usize),
    /// The same for all rows: a field, of the name of a folder.
    Folder(Vec<u8>),
}

pub struct Plan {
    pub sources: Vec<Source>,
    /// The columns of the file to read, by their positions in it.
    pub read: Vec<usize>,
}

/// Which columns are loaded, as the first file has them, in the order of the table's; and which of the file's are not.
pub fn decide(
    load: &Load,
    file: &str,
    schema: &Schema,
    folders: &Values,
) -> Result<(Vec<Loaded>, Vec<String>)> {
    let has = |name: &str| folders.contains_key(name) || schema.field_with_name(name).is_ok();
    let loaded: Vec<Loaded> = match &load.mapping {
        Some(mapping) => {
            let known = |name: &String| load.columns.iter().find(|column| column.name == *name).cloned();
            let pair = |(to, from): (&String, &String)| {
                let column = known(to).ok_or_else(|| {
                    LakeError::argument(format!("columns names \"{to}\", which is no column of the table that can be loaded"))
                        .hint("It is a JSON object of the table's columns, each with that of the files: {\"region\": \"Region\"}.")
                })?;
                Ok(Loaded { column, from: from.clone() })
            };
            mapping.iter().map(pair).collect::<Result<_>>()?
        }
        None => {
            let same = load.columns.iter().filter(|column| has(&column.name)).cloned();
            same.map(|column| Loaded { from: column.name.clone(), column }).collect()
        }
    };
    if loaded.is_empty() {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(LakeError::data(format!("{file} has no column with the name of one of the table"))
            .detail(format!("Its columns are: {}.", names.join(", ")))
            .hint("Say which goes where: columns => '{\"region\": \"Region\"}'."));
    }
    let used: BTreeSet<_> = loaded.iter().map(|loaded| loaded.from.as_str()).collect();
    let names = schema.fields().iter().map(|field| field.name());
    let ignored = names.filter(|name| !used.contains(name.as_str())).cloned().collect();
    Ok((loaded, ignored))
}

impl Plan {
    /// Finds the columns in a file, and refuses those whose values cannot be converted.
    pub fn of(loaded: &[Loaded], file: &str, schema: &Schema, folders: &Values) -> Result<Self> {
        let mut plan = Self { sources: Vec::new(), read: Vec::new() };
        for Loaded { column, from } in loaded {
            let source = match position(schema, from, file)? {
                Some(at) => {
                    check_type(schema.field(at).data_type(), column, from, file)?;
                    plan.read.push(at);
                    Source::Read(plan.read.len() - 1)
                }
                None => Source::Folder(of_folder(folders, column, from, file)?),
            };
            plan.sources.push(source);
        }
        plan.order();
        Ok(plan)
    }

    /// Readers give columns in the order of the file, each once.
    fn order(&mut self) {
        let mut order = self.read.clone();
        order.sort_unstable();
        order.dedup();
        for source in &mut self.sources {
            if let Source::Read(n) = source {
                *n = order.iter().position(|at| *at == self.read[*n]).unwrap_or_default();
            }
        }
        self.read = order;
    }
}

fn position(schema: &Schema, name: &str, file: &str) -> Result<Option<usize>> {
    let mut all = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == name);
    let first = all.next().map(|(at, _)| at);
    match all.next() {
        None => Ok(first),
        Some(_) => Err(LakeError::data(format!("{file} has two columns \"{name}\""))),
    }
}

fn of_folder(folders: &Values, column: &Column, from: &str, file: &str) -> Result<Vec<u8>> {
    match folders.get(from) {
        Some(Some(text)) => folder_field(text, column).map_err(|why| {
            LakeError::data(format!("column \"{from}\" in the name of a folder of {file} {why}"))
        }),
        Some(None) => Ok(NULL_FIELD.to_vec()),
        None => Err(LakeError::data(format!("{file} has no column \"{from}\"")).hint(
            "All files of one call have the same columns; a file without one is loaded by a call of its own.",
        )),
    }
}

fn check_type(found: &DataType, column: &Column, from: &str, file: &str) -> Result<()> {
    let Column { name, sql_type, .. } = column;
    if found.is_nested() {
        return Err(LakeError::data(format!("column \"{from}\" of {file} is nested: {}", words(found)))
            .hint("Nested columns are not loaded. Write their parts as columns of their own, or leave it out with columns => …."));
    }
    if putter(&*new_empty_array(found), column).is_some() {
        return Ok(());
    }
    let error = LakeError::data(format!(
        "column \"{from}\" of {file} is {}, which column \"{name}\" of type {sql_type} does not take",
        words(found)
    ));
    Err(match found {
        DataType::Timestamp(_, None) => error.hint(
            "Moments without a time zone go into a column of type timestamp: which zone they are of is not said in the file.",
        ),
        DataType::Timestamp(_, Some(_)) => error.hint("Moments in UTC go into a column of type timestamptz."),
        _ => error.hint("Give the table a column of that type, or load into a table of its own and cast from there."),
    })
}

/// A type of a file, in words.
pub fn words(found: &DataType) -> String {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "a string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "a byte string".into(),
        DataType::FixedSizeBinary(length) => format!("a byte string of length {length}"),
        DataType::Timestamp(_, None) => "a timestamp without time zone".into(),
        DataType::Timestamp(_, Some(_)) => "a timestamp in UTC".into(),
        DataType::Date32 => "a date".into(),
        DataType::Time32(_) | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => {
            "a time".into()
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "a list".into(),
        DataType::Struct(_) => "a struct".into(),
        DataType::Map(..) => "a map".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("a decimal({precision}, {scale})")
        }
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Field;
    use lake_protocol::message::Kind;

    fn load(columns: &[(&str, Kind)], mapping: &[(&str, &str)]) -> Load {
        let column = |(name, kind): &(&str, Kind)| Column {
            name: (*name).into(),
            sql_type: "t".into(),
            kind: *kind,
            most_characters: None,
        };
        let mapping = mapping
            .iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect::<std::collections::BTreeMap<_, _>>();
        Load {
            uri: String::new(),
            credentials: None,
            columns: columns.iter().map(column).collect(),
            mapping: (!mapping.is_empty()).then_some(mapping),
            most_bytes: None,
        }
    }

    fn schema() -> Schema {
        let list = DataType::new_list(DataType::Int32, true);
        Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("Region", DataType::Utf8, true),
            Field::new("tags", list, true),
        ])
    }

    #[test]
    fn columns_are_found_by_name_or_by_the_mapping() {
        let (loaded, ignored) = decide(
            &load(&[("week", Kind::Date), ("id", Kind::Bigint), ("other", Kind::Text)], &[]),
            "f",
            &schema(),
            &[("week".to_owned(), None)].into(),
        )
        .unwrap();
        assert_eq!(loaded.iter().map(|l| l.column.name.as_str()).collect::<Vec<_>>(), ["week", "id"]);
        assert_eq!(ignored, ["Region", "tags"]);
        let load = load(&[("id", Kind::Bigint), ("region", Kind::Text)], &[("region", "Region")]);
        let (loaded, _) = decide(&load, "f", &schema(), &Values::new()).unwrap();
        let plan = Plan::of(&loaded, "f", &schema(), &Values::new()).unwrap();
        assert_eq!(plan.read, [1]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |kind, from: &str| {
            let load = load(&[("x", kind)], &[("x", from)]);
            let (loaded, _) = decide(&load, "f", &schema(), &Values::new()).unwrap();
            Plan::of(&loaded, "f", &schema(), &Values::new()).map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused(Kind::Text, "tags").contains("\"tags\" of f is nested"));
        assert!(refused(Kind::Integer, "Region").contains("\"Region\" of f is a string"));
        assert!(refused(Kind::Integer, "gone").contains("no column \"gone\""));
        assert!(decide(&load(&[("x", Kind::Text)], &[]), "f", &schema(), &Values::new()).is_err());
    }
}
