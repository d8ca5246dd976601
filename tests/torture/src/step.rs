//! A statement, and what its answer is held against.

/// What a session does next.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it is a case of; counted by it.
    pub kind: &'static str,
    pub sql: String,
    pub expect: Expect,
    pub disturb: Option<Disturb>,
}

/// How the answer is checked. Where it cannot be known what is right, only errors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Nothing,
    /// The last two columns of every row are what was got and what is right: the statement asks for both, under one
    /// snapshot.
    Pairs,
    /// The statement raises SQLSTATE TT001 if an answer is wrong; it compares itself.
    Itself,
    /// A fresh session gets the same rows under the same snapshot. Only in a transaction that has changed nothing and
    /// keeps its snapshot.
    Fresh,
    /// `Pairs` through the extended protocol, so many rows at a time; without a number all at once.
    Portal(Option<i32>),
}

/// What others do to a statement while it runs.
#[derive(Debug, Clone, Copy)]
pub enum Disturb {
    /// Cancel it after so many microseconds.
    Cancel(u64),
    /// Terminate the backend of this session.
    Terminate(usize),
    /// Another connection changes what it reads; each begins after so many microseconds.
    Meanwhile { sql: &'static str, after: u64, statement_after: u64 },
}

impl Step {
    pub fn new(kind: &'static str, sql: impl Into<String>) -> Self {
        Self { kind, sql: sql.into(), expect: Expect::Nothing, disturb: None }
    }

    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    pub fn disturb(mut self, disturb: Disturb) -> Self {
        self.disturb = Some(disturb);
        self
    }
}
