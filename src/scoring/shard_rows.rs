//! The newest rows of keys in a query on shards: each is read from the shard of the version's source that has the key.

use super::source::{Key, Source};
use crate::catalog::read::VersionRow;
use crate::error::Error;
use crate::pg::distributed::is_distributed;
use crate::pg::shards::{elsewhere, is_sent_by_citus, Shards};
use pgrx::pg_sys;

/// `A` is access to the rows of one shard.
pub struct ShardRows<A> {
    source: pg_sys::Oid,
    shards: Shards,
    /// Whether the region decides which shard has a key, and not the product.
    by_region: bool,
    /// Access to the shards that were read.
    read: Vec<(pg_sys::Oid, A)>,
}

impl<A> ShardRows<A> {
    /// The shards of a version's source; `None` unless only shards can be read here.
    pub fn needed(version: &VersionRow) -> Result<Option<Self>, Error> {
        if !is_sent_by_citus() {
            return Ok(None);
        }
        let Source { relation } = Source::find(version)?;
        if !is_distributed(relation.oid) {
            return Ok(None);
        }
        let shards = Shards::of(&relation)?;
        let column = shards.column();
        let place = |column: &str| version.keys.iter().position(|key| key == column);
        let by_region = match column.map(place) {
            None | Some(Some(0)) => false,
            Some(Some(_)) => true,
            Some(None) => {
                return Err(Error::NotHere {
                    message: format!(
                        "{} is distributed by {}, which is no key of model \"{}\"",
                        relation.name,
                        column.unwrap_or_default(),
                        version.model
                    ),
                    hint: "Distribute it by the product or the region, or ask outside a query on shards."
                        .into(),
                })
            }
        };
        Ok(Some(Self { source: relation.oid, shards, by_region, read: Vec::new() }))
    }

    /// The shard that has a key.
    ///
    /// # Safety
    /// The values are a product of the type that `given` says, and a region.
    pub unsafe fn with(&self, key: [pg_sys::Datum; 2], given: Key) -> Result<pg_sys::Oid, Error> {
        // SAFETY: the values are as the caller says, and the column's type is compared with theirs.
        unsafe {
            let (value, type_oid) = match self.by_region {
                true => (key[1], pg_sys::TEXTOID),
                false => (key[0], given.type_oid()),
            };
            self.shards.with(value, type_oid)?.map_or_else(|| Err(elsewhere(self.source)?), Ok)
        }
    }

    /// Access to a shard; `find` finds it the first time.
    pub fn access(
        &mut self,
        shard: pg_sys::Oid,
        find: impl FnOnce() -> Result<A, Error>,
    ) -> Result<&mut A, Error> {
        let known = self.read.iter().position(|(read, _)| *read == shard);
        let place = match known {
            Some(place) => place,
            None => {
                self.read.push((shard, find()?));
                self.read.len() - 1
            }
        };
        Ok(&mut self.read[place].1)
    }
}
