//! Errors as a user sees them.

use postgres::error::DbError;
use postgres::Client;

/// A Postgres error.
#[derive(Debug)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

/// The error that the statement must end with.
pub fn refusal(client: &mut Client, sql: &str) -> Refusal {
    match client.batch_execute(sql) {
        Ok(()) => panic!("this was expected to fail: {sql}"),
        Err(error) => Refusal::of(&error),
    }
}

impl Refusal {
    pub fn of(error: &postgres::Error) -> Self {
        let error = error.as_db_error().unwrap_or_else(|| panic!("no error of the server: {error:?}"));
        Self::from(error)
    }

    /// Asserts the SQLSTATE, and that message and hint have these words.
    #[track_caller]
    pub fn expect(&self, code: &str, message: &[&str], hint: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in message {
            assert!(self.message.contains(word), "no {word:?} in the message of {self:?}");
        }
        for word in hint {
            assert!(self.hint.contains(word), "no {word:?} in the hint of {self:?}");
        }
        self
    }
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Self {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            hint: text(error.hint()),
        }
    }
}
