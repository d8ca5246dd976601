//! Hive partitions: folders whose names are a column and its value, such as `week=2024-01-01`.

use std::collections::BTreeMap;

/// Values by column; `None` is NULL.
pub type Values = BTreeMap<String, Option<String>>;

/// The name that Hive, Spark and DuckDB give to the folder of NULL.
pub const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// What the names of folders say.
pub fn values(folders: &[String]) -> Values {
    let pairs = folders.iter().filter_map(|folder| folder.split_once('='));
    pairs.map(|(name, value)| (decoded(name), (value != NULL).then(|| decoded(value)))).collect()
}

/// The name of a folder.
pub fn folder(column: &str, value: Option<&str>) -> String {
    format!("{}={}", encoded(column), value.map_or(NULL.to_owned(), encoded))
}

/// Everything but letters, digits and a few signs is written by its bytes, as in URLs.
fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b' ' => written.push(byte.into()),
            _ => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut read = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                read.push(byte);
                at += 3;
            }
            None => {
                read.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_reads_back_as_it_was_written() {
        for value in ["2024-01-01", "São Paulo", "a/b=c%d", "", "..", "per cent 5%"] {
            let folder = folder("städte", Some(value));
            assert!(!folder.contains('/'), "{folder}");
            assert_eq!(values(&[folder])["städte"].as_deref(), Some(value));
        }
        assert_eq!(values(&[folder("week", None)])["week"], None);
        assert!(values(&["sales".to_owned()]).is_empty());
    }
}
