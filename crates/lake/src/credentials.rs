//! Credentials: of the file that the server's settings name, else the machine's own.
//!
//! The file is a JSON object. Each key is a prefix of URIs, each value an object of options in the words of the store:
//! `aws_access_key_id`, `azure_storage_account_key`, `google_service_account`, `aws_endpoint` and so on. The longest prefix
//! under which a URI lies decides.

use crate::error::{LakeError, Result};
use crate::masked;
use lake_protocol::uri::Uri;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// The options of a store; empty where the machine's own identity is to do.
pub type Options = BTreeMap<String, String>;

const LARGEST_FILE: u64 = 1 << 20;
const OTHERS: u32 = 0o077;

/// The options for a URI.
pub fn options(file: Option<&str>, uri: &Uri) -> Result<Options> {
    let Some(path) = file else { return Ok(Options::new()) };
    let all: BTreeMap<String, Options> = serde_json::from_str(&read(path)?).map_err(|error| {
        // The place is said and not the text, which may be a secret.
        wrong(&format!("line {}, column {} is not what it should be", error.line(), error.column()))
    })?;
    remember(&all);
    let mut best: Option<(usize, Options)> = None;
    for (prefix, options) in all {
        let prefix = Uri::parse(&prefix).map_err(|why| wrong(&why))?;
        let length = prefix.segments.len();
        if uri.lies_under(&prefix) && best.as_ref().is_none_or(|(longest, _)| length >= *longest) {
            best = Some((length, options));
        }
    }
    Ok(best.map(|(_, options)| options).unwrap_or_default())
}

fn wrong(why: &str) -> LakeError {
    LakeError::argument(format!("the file that reco.lake_credentials_file names cannot be used: {why}"))
        .hint("The page \"Data lake\" of the documentation shows what it looks like.")
}

fn read(path: &str) -> Result<String> {
    let failed = |error: std::io::Error| wrong(&error.kind().to_string());
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.mode() & OTHERS != 0 {
        return Err(wrong("others than its owner may read or write it, or it is no plain file"));
    }
    let mut text = String::new();
    file.take(LARGEST_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn remember(all: &BTreeMap<String, Options>) {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["key", "secret", "token", "sas", "password", "service_account"]
            .iter()
            .any(|word| name.contains(word))
    };
    let secrets = all.values().flatten().filter(|(name, value)| is_secret(name) && value.len() >= 4);
    masked::remember(secrets.map(|(_, value)| value.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn of(text: &str, mode: u32, uri: &str) -> Result<Options> {
        let file = file(text, mode);
        options(file.path().to_str(), &Uri::parse(uri).unwrap())
    }

    #[test]
    fn the_longest_prefix_decides() {
        let text = r#"{"s3://b/": {"aws_region": "one"}, "s3://b/x/": {"aws_region": "two"}, "gs://b/": {}}"#;
        assert_eq!(of(text, 0o600, "s3://b/x/y").unwrap()["aws_region"], "two");
        assert_eq!(of(text, 0o600, "s3://b/xy").unwrap()["aws_region"], "one");
        assert!(of(text, 0o600, "az://b/x").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        assert!(of("{}", 0o640, "s3://b/").unwrap_err().to_string().contains("others"));
    }

    #[test]
    fn a_damaged_file_is_refused_without_showing_it() {
        let error = of(r#"{"s3://b/": {"aws_secret_access_key": hunter2}}"#, 0o600, "s3://b/").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
