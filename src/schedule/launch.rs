//! From what is due to a background worker for each attempt.

use super::outcome::fail_lost;
use super::plan::{claim, Claimed, Ours};
use crate::error::Error;
use crate::pg::background;
use pgrx::{pg_sys, Uuid};

/// The worker's function, by the name under which the server finds it in the library.
pub const FUNCTION: &str = "pg_recommend_run_scheduled";

/// Sets right what was lost, and records the attempts that start now.
pub fn decide_all() -> Result<Vec<Claimed>, Error> {
    let ours = Ours::lock()?;
    fail_lost(&ours)?;
    claim(&ours)
}

/// Starts a worker for each attempt, once they are committed. Returns those for which the server had none left.
pub fn launch(claimed: Vec<Claimed>) -> Vec<Claimed> {
    let start = |claimed: &Claimed| {
        let name = format!("pg_recommend: {}", claimed.subject.describe());
        background::start(FUNCTION, &name, Job::of(claimed).told())
    };
    claimed.into_iter().filter(|claimed| !start(claimed)).collect()
}

/// What a worker is told.
#[derive(Clone, Copy)]
pub struct Job {
    pub database: pg_sys::Oid,
    pub role: pg_sys::Oid,
    pub run: Uuid,
}

impl Job {
    pub fn of(claimed: &Claimed) -> Self {
        // SAFETY: this variable of the process was set when the backend connected to its database.
        Self { database: unsafe { pg_sys::MyDatabaseId }, role: claimed.role, run: claimed.run }
    }

    pub fn told(&self) -> [u8; background::TOLD] {
        let mut told = [0; background::TOLD];
        told[..4].copy_from_slice(&self.database.to_u32().to_ne_bytes());
        told[4..8].copy_from_slice(&self.role.to_u32().to_ne_bytes());
        told[8..24].copy_from_slice(self.run.as_bytes());
        told
    }

    pub fn of_this_worker() -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = background::told();
        let mut run = [0; 16];
        run.copy_from_slice(&rest[..16]);
        Self {
            database: pg_sys::Oid::from_u32(u32::from_ne_bytes([a, b, c, d])),
            role: pg_sys::Oid::from_u32(u32::from_ne_bytes([e, f, g, h])),
            run: Uuid::from_bytes(run),
        }
    }
}
