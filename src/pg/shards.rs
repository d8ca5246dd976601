//! The shards of a distributed table that lie on this server.
//!
//! Citus runs a query on shards on the servers that have them. A function in such a query cannot query the distributed table:
//! that would be a distributed query inside a query on a shard, which Citus refuses. But the rows of the keys that the query is
//! about are in the same server's shards, and those are ordinary tables.

use crate::error::Error;
use crate::pg::relations::{self, Relation};
use pgrx::pg_sys;
use pgrx::spi::Spi;
use std::ffi::CStr;

/// The shards of a table.
pub struct Shards {
    /// The distribution column; `None` if the table has one shard, which every server has.
    column: Option<DistributionColumn>,
    /// In the order of their hashes.
    all: Vec<Shard>,
}

struct DistributionColumn {
    name: String,
    /// The type whose hash function is Citus's for the column.
    hashed_as: pg_sys::Oid,
    hash: *mut pg_sys::TypeCacheEntry,
    collation: pg_sys::Oid,
}

struct Shard {
    /// The hash values whose rows it has; `None` means all.
    hashes: Option<(i32, i32)>,
    /// The table with its rows; `None` if that is on another server.
    table: Option<pg_sys::Oid>,
}

/// The application name that Citus gives its own connections begins so.
const CITUS_INTERNAL: &[u8] = b"citus_internal ";

/// Whether this may be a query on shards that another server has sent, in which queries of distributed tables are forbidden.
#[inline]
pub fn is_sent_by_citus() -> bool {
    // SAFETY: the setting is a NUL-terminated string of this process, or null before there is one.
    unsafe {
        let name = pg_sys::application_name;
        !name.is_null() && CStr::from_ptr(name).to_bytes().starts_with(CITUS_INTERNAL)
    }
}

impl Shards {
    /// The shards of a distributed table, as Citus lists them now. It is an error if its rows are distributed by something else
    /// than the hash of a column.
    pub fn of(table: &Relation) -> Result<Self, Error> {
        let sql = "SELECT CASE WHEN p.partmethod OPERATOR(pg_catalog.=) 'h' \
                               THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END, \
                          s.shardminvalue::pg_catalog.int4, s.shardmaxvalue::pg_catalog.int4, \
                          CASE WHEN l.shardid IS NOT NULL \
                               THEN pg_catalog.to_regclass(pg_catalog.shard_name(s.logicalrelid, s.shardid))::pg_catalog.oid END \
                   FROM pg_catalog.pg_dist_partition AS p \
                   JOIN pg_catalog.pg_dist_shard AS s ON s.logicalrelid OPERATOR(pg_catalog.=) p.logicalrelid \
                   LEFT JOIN pg_catalog.pg_dist_placement AS l \
                        ON l.shardid OPERATOR(pg_catalog.=) s.shardid AND l.shardstate OPERATOR(pg_catalog.=) 1 \
                       AND l.groupid OPERATOR(pg_catalog.=) (SELECT g.groupid FROM pg_catalog.pg_dist_local_group AS g) \
                   WHERE p.logicalrelid OPERATOR(pg_catalog.=) $1 AND p.partmethod OPERATOR(pg_catalog.=) ANY ('{h,n}') \
                   ORDER BY 2";
        let (mut column, mut all) = (None, Vec::new());
        Spi::connect(|client| {
            for row in client.select(sql, None, &[table.oid.into()])? {
                column = row.get::<String>(1)?;
                let hashes = row.get::<i32>(2)?.zip(row.get::<i32>(3)?);
                all.push(Shard { hashes, table: row.get(4)? });
            }
            Ok::<_, Error>(())
        })?;
        if all.is_empty() {
            return Err(Error::invalid(format!("the shards of {} are not known on this server", table.name)));
        }
        let column = column.map(|name| DistributionColumn::of(table, name)).transpose()?;
        Ok(Self { column, all })
    }

    /// The name of the distribution column; `None` if the table has one shard, which every server has.
    pub fn column(&self) -> Option<&str> {
        self.column.as_ref().map(|column| column.name.as_str())
    }

    /// The shard that has the rows with this value in the distribution column; `None` if it is on another server. Where there is
    /// no such column, the value is not looked at. It is an error if the column is no number and the value is one, or the reverse.
    ///
    /// # Safety
    /// The value is of the type `given`.
    pub unsafe fn with(
        &self,
        value: pg_sys::Datum,
        given: pg_sys::Oid,
    ) -> Result<Option<pg_sys::Oid>, Error> {
        let Some(column) = &self.column else { return Ok(self.all.first().and_then(|shard| shard.table)) };
        if column.hashed_as != given {
            return Err(Error::invalid(format!("a key is not of the type of column {}", column.name)));
        }
        // SAFETY: the entry of the type cache lives as long as the process, and the value has the type of its hash function.
        let hash = unsafe {
            let function = &raw mut (*column.hash).hash_proc_finfo;
            pg_sys::FunctionCall1Coll(function, column.collation, value).value() as i32
        };
        let has_it =
            |shard: &&Shard| shard.hashes.is_some_and(|(least, most)| (least..=most).contains(&hash));
        Ok(self.all.iter().find(has_it).and_then(|shard| shard.table))
    }
}

impl DistributionColumn {
    /// Numbers of all three widths have the same hash, so a bigint stands for each of them; so do text and varchar.
    fn of(table: &Relation, name: String) -> Result<Self, Error> {
        let column = table.require(&name, "distribution")?;
        let hashed_as = match column.type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => pg_sys::INT8OID,
            pg_sys::TEXTOID | pg_sys::VARCHAROID => pg_sys::TEXTOID,
            _ => {
                return Err(Error::NotHere {
                    message: format!(
                        "{} is distributed by {name}, whose type is {}: its shards are not read without a query",
                        table.name,
                        column.type_name()
                    ),
                    hint: "Distribute it by a bigint, an integer, a smallint or a text, or ask outside a query on it.".into(),
                })
            }
        };
        // SAFETY: this is a look-up of a built-in type, which has a hash function.
        let hash = unsafe { pg_sys::lookup_type_cache(hashed_as, pg_sys::TYPECACHE_HASH_PROC_FINFO as i32) };
        Ok(Self { name, hashed_as, hash, collation: column.collation })
    }
}

/// The error for a row that is in another server's shard.
pub fn elsewhere(table: pg_sys::Oid) -> Result<Error, Error> {
    Ok(Error::NotHere {
        message: format!(
            "a key's row is in a shard of {} on another server, and this is a query on shards",
            relations::qualified_name(table)?
        ),
        hint: "Let the query read its keys from that table or one that is colocated with it, or from a local table, such as a \
               temporary one."
            .into(),
    })
}
