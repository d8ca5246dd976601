//! Texts and bytes as fields: of arrays, and of the names of folders.

use crate::field::{put, Put};
use crate::{moments, numeric};
use lake_protocol::message::{Column, Kind};

const ZERO: &str = "has a zero byte, which no text of PostgreSQL has";

/// How the texts of an array become fields; `None` if texts cannot.
pub fn from_text<'a>(value: impl Fn(usize) -> &'a str + 'a, column: &Column) -> Option<Put<'a>> {
    let most = column.most_characters;
    Some(match column.kind {
        Kind::Text => Box::new(move |row, out| {
            let text = value(row);
            check(text, most)?;
            put(out, text.as_bytes())
        }),
        Kind::Jsonb => Box::new(move |row, out| put_jsonb(value(row), out)),
        Kind::Uuid => Box::new(move |row, out| {
            put(
                out,
                &uuid(value(row)).ok_or_else(|| format!("is \"{}\", which is no uuid", short(value(row))))?,
            )
        }),
        _ => return None,
    })
}

/// How the byte strings of an array become fields.
pub fn from_bytes<'a>(value: impl Fn(usize) -> &'a [u8] + 'a, kind: Kind) -> Option<Put<'a>> {
    Some(match kind {
        Kind::Bytea => Box::new(move |row, out| put(out, value(row))),
        Kind::Uuid => Box::new(move |row, out| match value(row).len() {
            16 => put(out, value(row)),
            length => Err(format!("has {length} bytes, a uuid has 16")),
        }),
        _ => return None,
    })
}

fn check(text: &str, most: Option<u32>) -> Result<(), String> {
    if text.as_bytes().contains(&0) {
        return Err(ZERO.into());
    }
    let Some(most) = most.map(|most| most as usize).filter(|most| text.len() > *most) else { return Ok(()) };
    // PostgreSQL cuts spaces that do not fit.
    let surplus = text.char_indices().nth(most).map_or("", |(at, _)| &text[at..]);
    match surplus.bytes().all(|byte| byte == b' ') {
        true => Ok(()),
        false => Err(format!("is \"{}\", which has more than {most} characters", short(text))),
    }
}

/// The type jsonb is sent with the number of its format before it.
fn put_jsonb(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    const FORMAT: u8 = 1;
    let length = i32::try_from(text.len() + 1).map_err(|_| "is longer than 2 GB".to_owned())?;
    out.extend_from_slice(&length.to_be_bytes());
    out.push(FORMAT);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32 && !digits.starts_with('+')).then(|| number.to_be_bytes())
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    const LENGTH: usize = 40;
    let end = text.char_indices().nth(LENGTH).map_or(text.len(), |(at, _)| at);
    let dots = if end < text.len() { "…" } else { "" };
    format!("{}{dots}", &text[..end])
}

/// The field of a value that the name of a folder gives.
pub fn folder_field(text: &str, column: &Column) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let wrong = || format!("is \"{}\", which the type {} does not read", short(text), column.sql_type);
    match column.kind {
        Kind::Boolean => match text {
            "true" | "t" | "1" => put(&mut out, &[1])?,
            "false" | "f" | "0" => put(&mut out, &[0])?,
            _ => return Err(wrong()),
        },
        Kind::Smallint => put(&mut out, &text.parse::<i16>().map_err(|_| wrong())?.to_be_bytes())?,
        Kind::Integer => put(&mut out, &text.parse::<i32>().map_err(|_| wrong())?.to_be_bytes())?,
        Kind::Bigint => put(&mut out, &text.parse::<i64>().map_err(|_| wrong())?.to_be_bytes())?,
        Kind::Real => put(&mut out, &text.parse::<f32>().map_err(|_| wrong())?.to_be_bytes())?,
        Kind::Double => put(&mut out, &text.parse::<f64>().map_err(|_| wrong())?.to_be_bytes())?,
        Kind::Numeric(_) => numeric::put_text(text, &mut out).ok_or_else(wrong)?,
        Kind::Text => {
            check(text, column.most_characters)?;
            put(&mut out, text.as_bytes())?;
        }
        Kind::Date => {
            let date = moments::parse_date(text).and_then(moments::date);
            put(&mut out, &date.ok_or_else(wrong)?.to_be_bytes())?;
        }
        Kind::Timestamp => {
            let moment = moments::parse_moment(text).and_then(moments::moment);
            put(&mut out, &moment.ok_or_else(wrong)?.to_be_bytes())?;
        }
        Kind::Uuid => put(&mut out, &uuid(text).ok_or_else(wrong)?)?,
        Kind::Jsonb | Kind::Bytea | Kind::Time | Kind::Timestamptz => return Err(wrong()),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, most_characters: Option<u32>) -> Column {
        Column { name: "c".into(), sql_type: "t".into(), kind, most_characters }
    }

    #[test]
    fn what_is_too_long_is_refused_and_spaces_are_not() {
        let field = |text| folder_field(text, &column(Kind::Text, Some(3)));
        assert!(field("äöü").is_ok());
        assert!(field("abc  ").is_ok());
        assert!(field("abcd").unwrap_err().contains("more than 3"));
        assert!(field("a\0").is_err());
    }

    #[test]
    fn names_of_folders_become_values_of_the_column() {
        for (kind, text, field) in [
            (Kind::Integer, "-7", (-7_i32).to_be_bytes().to_vec()),
            (Kind::Date, "2000-01-02", 1_i32.to_be_bytes().to_vec()),
            (Kind::Boolean, "true", vec![1]),
            (Kind::Uuid, "00000000-0000-0000-0000-0000000000ff", 255_u128.to_be_bytes().to_vec()),
        ] {
            assert_eq!(folder_field(text, &column(kind, None)).unwrap()[4..], field, "{text}");
        }
        for (kind, text) in [
            (Kind::Integer, "x"),
            (Kind::Smallint, "40000"),
            (Kind::Date, "2000-02-30"),
            (Kind::Timestamptz, "2000-01-01"),
        ] {
            assert!(folder_field(text, &column(kind, None)).is_err(), "{text}");
        }
    }
}
