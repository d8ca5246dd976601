//! The index paths to a key's newest row. A plain table has one; a table that is partitioned by ranges of time, as feature
//! views are, has one for each partition.

use super::index_probe::{Found, IndexPath, Place};
use super::row::Inputs;
use super::source::Key;
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::relations::Opened;
use crate::pg::relations::Relation;
use crate::pg::storage_age;
use model::recipe::Recipe;
use model::Scorer;
use pgrx::pg_sys;

/// Index paths into a relation; the path to the newest rows is the first.
pub struct NewestFirst {
    /// The relation that the paths lead into.
    relation: pg_sys::Oid,
    paths: Vec<IndexPath>,
}

impl NewestFirst {
    /// The paths to a version's rows; `None` if the rows have to be read by a query.
    ///
    /// # Safety
    /// There is an active snapshot.
    pub unsafe fn find(
        version: &VersionRow,
        recipe: &Recipe,
        key: Key,
        source: &Relation,
    ) -> Result<Option<Self>, Error> {
        // SAFETY: the snapshot is active, as the caller says.
        unsafe {
            let relation = source.oid;
            let found = match partitions(source, version.time_column.as_deref())? {
                None => IndexPath::find(version, recipe, key, source)?.map(|path| vec![path]),
                Some(partitions) => {
                    let mut paths = Vec::with_capacity(partitions.len());
                    for partition in partitions {
                        match IndexPath::find(version, recipe, key, &Relation::of(partition)?)? {
                            Some(path) => paths.push(path),
                            None => return Ok(None),
                        }
                    }
                    Some(paths)
                }
            };
            Ok(found.map(|paths| Self { relation, paths }))
        }
    }

    pub fn table(&self) -> pg_sys::Oid {
        self.relation
    }

    /// Fills the inputs from the newest row of the key. `in_place` is the number of paths, from the first on, whose tables
    /// are known to be stored as the snapshot sees them: a key without a row in such a table really has none there.
    ///
    /// # Safety
    /// The values have the types that the paths were found for, and there is an active snapshot.
    pub unsafe fn fill(
        &self,
        place: Place,
        key: [pg_sys::Datum; 2],
        as_of: Option<pg_sys::Datum>,
        scorer: &Scorer,
        (inputs, in_place): (&mut Inputs, &mut usize),
    ) -> Result<Found, Error> {
        // SAFETY: the values and the snapshot are as the caller says, and the probe has locked the table.
        unsafe {
            for (n, path) in self.paths.iter().enumerate() {
                let found = path.fill(place, key, as_of, scorer, inputs)?;
                if found != Found::Nothing {
                    return Ok(found);
                }
                if n >= *in_place {
                    storage_age::check([path.table()])?;
                    *in_place = n + 1;
                }
            }
            Ok(Found::Nothing)
        }
    }
}

/// The numbers of columns of `pg_partitioned_table`.
const STRATEGY: pg_sys::AttrNumber = 2;
const COLUMNS: pg_sys::AttrNumber = 3;
const DEFAULT: pg_sys::AttrNumber = 4;
const ATTRIBUTES: pg_sys::AttrNumber = 5;

/// The partitions by ranges of the time column, the newest first; `None` if the relation is not partitioned in this way.
///
/// # Safety
/// There is an active snapshot.
unsafe fn partitions(
    source: &Relation,
    time_column: Option<&str>,
) -> Result<Option<Vec<pg_sys::Oid>>, Error> {
    // SAFETY: the columns that are read are never NULL in a row of pg_partitioned_table, and the row is released after its
    // last use. The relation is open and locked while its partitions are read.
    unsafe {
        let Some(time_column) = time_column else { return Ok(None) };
        let time = source.position(time_column);
        let cache = pg_sys::SysCacheIdentifier::PARTRELID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(source.oid));
        if row.is_null() {
            return Ok(None);
        }
        let column = |number| {
            let mut is_null = false;
            pg_sys::SysCacheGetAttr(cache, row, number, &mut is_null)
        };
        let by_range = column(STRATEGY).value() as u8 == b'r' && column(COLUMNS).value() as i16 == 1;
        let has_default = column(DEFAULT).value() as u32 != 0;
        let attributes: *const pg_sys::int2vector = column(ATTRIBUTES).cast_mut_ptr();
        let by_time = by_range && !has_default && (*attributes).values.as_slice(1)[0] == time;
        pg_sys::ReleaseSysCache(row);
        if !by_time {
            return Ok(None);
        }
        let opened = Opened::of(source.oid)?;
        let description = &*pg_sys::RelationGetPartitionDesc(opened.relation(), true);
        let count = description.nparts as usize;
        // The partitions are in the order of their bounds.
        let partitions = match count {
            0 => Vec::new(),
            _ => std::slice::from_raw_parts(description.oids, count).iter().rev().copied().collect(),
        };
        Ok(Some(partitions))
    }
}
