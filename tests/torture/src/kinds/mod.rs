//! The statements there are, by what they are about. Each function makes one of its kind.

pub mod asking;
pub mod cursors;
pub mod data;
pub mod ddl;
pub mod models;
pub mod plpgsql;
pub mod session;
pub mod tables;
pub mod target;
pub mod training;

use crate::dice::Dice;
use crate::step::Step;
use crate::world;

/// Where a statement runs.
pub struct Place {
    pub session: usize,
    pub sessions: usize,
    /// The model that only this session changes.
    pub own: String,
    /// How many scenarios there were before: part of names that must be new.
    pub scenario: usize,
}

/// The transaction around a statement.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// A transaction block.
    pub block: bool,
    /// It keeps its snapshot: REPEATABLE READ or SERIALIZABLE.
    pub kept: bool,
    /// Nothing is changed in it, so that a session of the same snapshot sees the same.
    pub unchanged: bool,
}

pub type Make = fn(&mut Dice, &Place, Frame) -> Step;

impl Place {
    pub fn new(session: usize, sessions: usize) -> Self {
        Self { session, sessions, own: world::own_model(session), scenario: 0 }
    }
}

impl Frame {
    pub const ALONE: Self = Self { block: false, kept: false, unchanged: false };
}
