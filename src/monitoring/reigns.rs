//! Which version was the champion when, as the history of promotions has it.

use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::values::EPOCH;
use features::weeks::Week;

/// A version, and the day of UTC from whose moves on it was the champion, in days since 2000-01-01.
struct Reign {
    version: Option<i32>,
    from: i32,
}

/// The moves of a model's champion, in their order.
pub struct Reigns(Vec<Reign>);

/// The version that a week is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The champion at the end of the week.
    By(i32),
    /// There was no champion yet: the first one.
    Before(i32),
    /// The model had been left without a champion.
    Nobody,
}

impl Served {
    pub fn version(self) -> Option<i32> {
        match self {
            Self::By(version) | Self::Before(version) => Some(version),
            Self::Nobody => None,
        }
    }
}

impl Reigns {
    pub fn read(model: &str) -> Result<Self, Error> {
        let sql = format!(
            "SELECT p.to_version, \
                    CASE WHEN pg_catalog.isfinite(p.moved_at) \
                         THEN (p.moved_at AT TIME ZONE 'UTC')::pg_catalog.date OPERATOR(pg_catalog.-) {EPOCH} END \
             FROM reco.promotion AS p WHERE p.model OPERATOR(pg_catalog.=) $1 ORDER BY p.step"
        );
        as_owner(|client| {
            let moves = client.update(&sql, None, &[model.into()])?;
            let reign = |row: pgrx::spi::SpiHeapTupleData| {
                Ok(Reign { version: row.get(1)?, from: row.get(2)?.unwrap_or(i32::MIN) })
            };
            moves.map(reign).collect::<Result<Vec<_>, Error>>().map(Self)
        })
    }

    /// Every version that was a champion, once each.
    pub fn versions(&self) -> Vec<i32> {
        let mut versions: Vec<i32> = self.0.iter().filter_map(|reign| reign.version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// Who served a week: the champion at 00:00 UTC of the next Monday.
    pub fn at_end_of(&self, week: Week) -> Served {
        let end = week.plus(1).monday();
        let last = self.0.iter().rev().find(|reign| reign.from < end);
        let first = || self.0.iter().find_map(|reign| reign.version);
        match last {
            Some(Reign { version: Some(version), .. }) => Served::By(*version),
            Some(_) => Served::Nobody,
            None => first().map_or(Served::Nobody, Served::Before),
        }
    }
}
