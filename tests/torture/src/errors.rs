//! Which errors a statement may end with. Internal ones (class XX) never.

/// What any statement may come to: others change the tables and models it asks for, and it is cancelled at random.
const ANY: &[&str] = &[
    "22012", // division by zero: asked for
    "22P02", // an invalid cast: asked for
    "25001", // not in a transaction
    "25006", // read only
    "25P02", // the transaction has failed already
    "25P01", // no transaction
    "3B001", // no such savepoint, after a rollback
    "26000", // no such prepared statement, after DISCARD ALL
    "34000", // no such cursor
    "24000", // the cursor failed before
    "42P03", // a cursor of that name
    "42P05", // a prepared statement of that name
    "40001", // serialization
    "40P01", // deadlock
    "42501", // rights
    "42703", // a column was dropped
    "42704", // a model, an alias
    "42804", // a column has another type now
    "42P22", // collations of the tables of now
    "42P01", // a table was dropped or renamed
    "42883", // no operator for the column's type of now
    "3F000", // a schema was dropped
    "55000", // not populated, archived, no earlier champion
    "55006", // in use
    "55P03", // the lock was not to be had in time
    "57014", // cancelled, timed out
    "57P01", // terminated
    "0A000", // the plan's result type changed; sources that cannot be
    "P0001", // raised: asked for
    "22023", // arguments that do not fit the table of now
    "2BP01", // other objects depend on it
];

/// What changes of tables and models may come to besides.
const CHANGES: &[&str] = &[
    "22003", // a value does not fit the new type
    "22000", // nothing to train from
    "22004", "22008", "23502", "23505", "23514", // rows that the table of now refuses
    "42601", "42611", "42701", "42710", "42723", "42P06", "42P07", // it is there already
    "42809", // another kind of relation
    "42P16", "42P17", // a table that cannot be changed so
    "42725", "42846", // casts and functions of the types of now
];

/// Postgres' own internal errors for what two sessions do to one object at once.
const CONCURRENT: &[&str] = &[
    "tuple concurrently updated",
    "tuple concurrently deleted",
    "cache lookup failed for",
    "could not open relation with OID",
    "could not find tuple for",
];

pub fn is_allowed(kind: &str, code: &str, message: &str) -> bool {
    if ANY.contains(&code) {
        return true;
    }
    // Nothing to measure under an old snapshot, or of rows that others changed.
    if code == "22000" && message.starts_with("no row of") && ["ask evaluate", "ask charts"].contains(&kind) {
        return true;
    }
    // The parser asks for a row type's relation without a lock, while others drop it.
    if code == "XX000" && kind == "ask features_as_of" {
        return message.starts_with("could not open relation with OID");
    }
    if !is_change(kind) {
        return false;
    }
    CHANGES.contains(&code) || (code == "XX000" && is_of_postgres(kind) && is_concurrent(message))
}

fn is_change(kind: &str) -> bool {
    is_of_postgres(kind) || ["train", "model", "feature"].iter().any(|prefix| kind.starts_with(prefix))
}

/// Statements that run nothing of ours.
fn is_of_postgres(kind: &str) -> bool {
    ["ddl", "data", "role"].iter().any(|prefix| kind.starts_with(prefix))
}

fn is_concurrent(message: &str) -> bool {
    CONCURRENT.iter().any(|words| message.starts_with(words))
}
