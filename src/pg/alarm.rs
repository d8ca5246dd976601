//! `NOTIFY reco_alarm`: what needs a person's attention, as JSON, for whoever listens.
//!
//! Any role of the database may listen, so that an alarm says what failed and never quotes what an error said: its text may
//! hold values of somebody's data.

use crate::error::Error;
use crate::pg::acting_as::as_owner;
use serde_json::Value;

/// The channel.
const CHANNEL: &str = "reco_alarm";
/// PostgreSQL refuses a payload of 8000 bytes.
const LONGEST: usize = 7900;

/// Notifies whoever listens, once the transaction commits. Texts of a payload that is too long are shortened.
pub fn alarm(payload: &Value) -> Result<(), Error> {
    let payload = bounded(payload);
    as_owner(|client| {
        client.select(
            "SELECT pg_catalog.pg_notify($1, $2)",
            None,
            &[CHANNEL.into(), payload.as_str().into()],
        )?;
        Ok(())
    })
}

/// The payload as text that a notification has room for. What is not to be shortened into it says no more than that.
fn bounded(payload: &Value) -> String {
    let mut characters = LONGEST;
    let mut payload = payload.clone();
    loop {
        let written = payload.to_string();
        if written.len() <= LONGEST {
            return written;
        }
        characters /= 2;
        if characters == 0 {
            return r#"{"too_long": true}"#.to_owned();
        }
        shorten(&mut payload, characters);
    }
}

/// Cuts each text to so many characters.
fn shorten(value: &mut Value, characters: usize) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(characters) {
                text.truncate(at);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shorten(value, characters)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shorten(value, characters)),
        _ => {}
    }
}
