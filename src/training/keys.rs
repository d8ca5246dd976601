//! Finds the columns of a source that are its time and its keys. Of the keys, the first is the product and the second the
//! region.

use crate::error::Error;
use crate::pg::relations::{Column, Relation};
use model::recipe::Family;
use pgrx::Spi;

const PRODUCT: &str = "product_id";
const REGION: &str = "region";
/// The column that is the event time if nothing else says which is.
const USUAL_TIME: &str = "week";

/// The columns by which the rows of a source are told apart.
pub struct Keys {
    /// The product, the region, and any others.
    pub columns: Vec<String>,
    pub time: Option<String>,
    /// Columns that are no keys but are another for every row, such as a serial number. Nothing can be learned from them.
    pub row_ids: Vec<String>,
}

impl Keys {
    /// The columns that were given. Time and keys that were not are those of a unique index, or else those with the usual
    /// names.
    pub fn of(source: &Relation, given: Option<Vec<String>>, time: Option<String>) -> Result<Self, Error> {
        let indexes = UniqueIndex::all(source)?;
        let index = UniqueIndex::choose(&indexes, source);
        let time = match time {
            Some(name) => Some(source.require(&name, "time")?.name.clone()),
            None => find_time(source, index),
        };
        let columns = match given {
            Some(names) => {
                check(source, &names, time.as_deref())?;
                by_name(names, |name, usual| name == usual)
            }
            None => by_role(source, find_keys(source, index, time.as_deref())),
        };
        let row_ids = indexes.iter().filter_map(UniqueIndex::row_id);
        let row_ids = row_ids.filter(|name| !columns.contains(name)).cloned().collect();
        Ok(Self { columns, time, row_ids })
    }
}

/// The columns of a unique index.
struct UniqueIndex {
    is_primary: bool,
    columns: Vec<String>,
    /// The columns that are no dates or timestamps.
    timeless: Vec<String>,
}

impl UniqueIndex {
    /// Those over plain columns and all rows, the primary key first. Of a key WITHOUT OVERLAPS, which is unique and excludes,
    /// the last column is no key: it says when a row holds.
    fn all(source: &Relation) -> Result<Vec<Self>, Error> {
        let sql = "SELECT i.indisprimary, ARRAY(SELECT a.attname::pg_catalog.text
                            FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
                            JOIN pg_catalog.pg_attribute AS a
                              ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                             AND a.attnum OPERATOR(pg_catalog.=) k.attnum
                            WHERE k.n OPERATOR(pg_catalog.<=) i.indnkeyatts
                              AND NOT (i.indisexclusion AND k.n OPERATOR(pg_catalog.=) i.indnkeyatts) ORDER BY k.n)
                   FROM pg_catalog.pg_index AS i
                   WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indisvalid
                     AND i.indexprs IS NULL AND i.indpred IS NULL
                   ORDER BY i.indisprimary DESC, i.indexrelid";
        let is_time = |name: &&String| source.column(name).is_some_and(is_time);
        Spi::connect(|client| {
            let rows = client.select(sql, None, &[source.oid.into()])?;
            let index = |row: pgrx::spi::SpiHeapTupleData| {
                let columns = row.get::<Vec<String>>(2)?.unwrap_or_default();
                let timeless = columns.iter().filter(|name| !is_time(name)).cloned().collect();
                Ok(Self { is_primary: row.get(1)?.unwrap_or(false), columns, timeless })
            };
            rows.map(index).collect()
        })
    }

    /// The index that says which columns are the keys. It is the first with both usual names, or else the first that does
    /// more than number the rows.
    fn choose<'a>(all: &'a [Self], source: &Relation) -> Option<&'a Self> {
        let has_usual_names = [PRODUCT, REGION].iter().all(|name| source.column(name).is_some());
        let both =
            |index: &&Self| [PRODUCT, REGION].iter().all(|name| index.columns.iter().any(|c| c == name));
        let numbers_rows = |index: &Self| {
            let usual = index.timeless.iter().any(|name| name == PRODUCT || name == REGION);
            index.timeless.len() == 1 && !usual && (has_usual_names || index.columns.len() == 1)
        };
        let first = all.first().filter(|_| !has_usual_names);
        all.iter().find(both).or_else(|| all.iter().find(|index| !numbers_rows(index))).or(first)
    }

    /// The column that is unique by itself, or with the time in the primary key.
    fn row_id(&self) -> Option<&String> {
        match self.timeless.as_slice() {
            [only] if self.is_primary || self.columns.len() == 1 => Some(only),
            _ => None,
        }
    }
}

fn is_time(column: &Column) -> bool {
    matches!(column.family(), Some(Family::Date | Family::Timestamp))
}

/// The only date or timestamp of the index, or else the column `week`.
fn find_time(source: &Relation, index: Option<&UniqueIndex>) -> Option<String> {
    let times: Vec<&String> =
        source.columns.iter().filter(|column| is_time(column)).map(|column| &column.name).collect();
    let of_index = index.map_or(&[][..], |index| &index.columns);
    let found: Vec<_> = times.iter().filter(|name| of_index.contains(name)).collect();
    match found.as_slice() {
        [only] => Some((**only).clone()),
        _ => times.into_iter().find(|name| *name == USUAL_TIME).cloned(),
    }
}

/// The columns of the index without the time, or else those with the usual names.
fn find_keys(source: &Relation, index: Option<&UniqueIndex>, time: Option<&str>) -> Vec<String> {
    let of_index = index.map_or(&[][..], |index| &index.columns);
    let found: Vec<String> = of_index.iter().filter(|name| Some(name.as_str()) != time).cloned().collect();
    if !found.is_empty() {
        return found;
    }
    let usual = [PRODUCT, REGION].into_iter().filter(|name| source.column(name).is_some());
    usual.map(str::to_owned).collect()
}

/// Refuses names that cannot be keys.
fn check(source: &Relation, names: &[String], time: Option<&str>) -> Result<(), Error> {
    for (n, name) in names.iter().enumerate() {
        source.require(name, "key")?;
        if names[..n].contains(name) {
            return Err(Error::invalid(format!("key column \"{name}\" is named twice")));
        }
        if time == Some(name) {
            return Err(Error::invalid(format!("column \"{name}\" cannot be a key and the time column")));
        }
    }
    Ok(())
}

/// Keys that were found, in the order of their roles. Names tell the roles. Where they do not, a number is the product of
/// a text, and otherwise the order is that of the index.
fn by_role(source: &Relation, keys: Vec<String>) -> Vec<String> {
    let is_named = |name: &str, usual: &str| name == usual || name.starts_with(stem(usual));
    let families: Vec<_> = keys.iter().map(|name| source.family(name)).collect();
    let untold = !keys.iter().any(|name| is_named(name, PRODUCT) || is_named(name, REGION));
    match keys.as_slice() {
        [region, product] if untold && families == [Some(Family::Text), Some(Family::Number)] => {
            vec![product.clone(), region.clone()]
        }
        _ => by_name(keys, is_named),
    }
}

/// The word that the names of a role's columns begin with: `product`, as in `product_code`.
fn stem(usual: &str) -> &str {
    usual.strip_suffix("_id").unwrap_or(usual)
}

/// Puts the key that is named as the product first, and the one that is named as the region second. Where one of them is
/// not named, the first of the other keys takes its role.
fn by_name(keys: Vec<String>, is_named: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let named = |usual: &str| {
        let exact = keys.iter().position(|name| name == usual);
        let mut like = (0..keys.len()).filter(|n| is_named(&keys[*n], usual));
        exact.or_else(|| like.next().filter(|_| like.next().is_none()))
    };
    let other = |taken: Option<usize>| (0..keys.len()).find(|n| Some(*n) != taken);
    let region = named(REGION);
    let product = named(PRODUCT).or_else(|| other(region));
    let region = region.or_else(|| other(product));
    let rest = (0..keys.len()).filter(|n| ![product, region].contains(&Some(*n)));
    product.into_iter().chain(region).chain(rest).map(|n| keys[n].clone()).collect()
}
