//! URIs of the lake: `file:///folder/`, `s3://bucket/folder/`, `gs://bucket/folder/`, `az://container/folder/` and
//! `abfss://container@account.dfs.core.windows.net/folder/`.
//!
//! A URI has one spelling: what could be another spelling of the same place (`..`, `//`, percent signs, a query) is refused.
//! So a prefix can be compared segment by segment.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    File,
    Azure,
    S3,
    Google,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    pub scheme: Scheme,
    /// The scheme as it was written: Azure has two.
    word: &'static str,
    /// The bucket or container, with the account where it was given; empty for files of the machine.
    pub authority: String,
    /// The parts of the path. The last may have wildcards, and so may others.
    pub segments: Vec<String>,
    /// Whether the path ended with a slash.
    pub is_folder: bool,
}

const SCHEMES: [(&str, Scheme); 5] = [
    ("file", Scheme::File),
    ("abfss", Scheme::Azure),
    ("az", Scheme::Azure),
    ("s3", Scheme::S3),
    ("gs", Scheme::Google),
];
const AZURE_HOST: &str = ".dfs.core.windows.net";
/// The most bytes of a URI. S3 allows 1024 of a key, Azure as many characters.
pub const LONGEST: usize = 2048;

impl Uri {
    /// Reads a URI; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("\"{}\" is no URI of a lake: {why}", text.escape_debug()));
        if text.len() > LONGEST {
            return Err(format!("a URI of a lake has at most {LONGEST} bytes, this one {}", text.len()));
        }
        if text.contains(|c: char| c.is_control() || matches!(c, '\\' | '%' | '#' | '"')) {
            return refuse("a control character, a backslash, a quote, '%' or '#' is in it");
        }
        let Some((word, rest)) = text.split_once("://") else { return refuse("it has no scheme") };
        let Some((word, scheme)) = SCHEMES.into_iter().find(|(known, _)| *known == word) else {
            return refuse("the schemes are file, abfss, az, s3 and gs");
        };
        let Some((authority, path)) = rest.split_once('/') else {
            return refuse("a slash has to follow what is after the scheme");
        };
        if let Some(why) = wrong_authority(word, authority) {
            return refuse(why);
        }
        let is_folder = path.is_empty() || path.ends_with('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<String> = match path {
            "" => Vec::new(),
            path => path.split('/').map(str::to_owned).collect(),
        };
        if segments.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return refuse("\"//\", \"/./\" or \"/../\" is in its path");
        }
        Ok(Self { scheme, word, authority: authority.to_owned(), segments, is_folder })
    }

    /// Whether it lies under the prefix: same scheme, same bucket, and whole segments of the path. A wildcard in the place of
    /// a segment of the prefix is not that segment.
    pub fn lies_under(&self, prefix: &Uri) -> bool {
        self.word == prefix.word
            && self.authority == prefix.authority
            && self.segments.starts_with(&prefix.segments)
    }

    /// How many segments stand before the first with a wildcard.
    pub fn literal_segments(&self) -> usize {
        self.segments.iter().take_while(|part| !is_pattern(part)).count()
    }

    pub fn has_wildcards(&self) -> bool {
        self.literal_segments() < self.segments.len()
    }

    /// The URI of an object in the same bucket.
    pub fn of_path(&self, path: &str) -> String {
        format!("{}://{}/{path}", self.word, self.authority)
    }

    /// Container and account, where Azure's long form gives both.
    pub fn container_and_account(&self) -> (&str, Option<&str>) {
        match self.authority.split_once('@') {
            Some((container, host)) => (container, host.strip_suffix(AZURE_HOST)),
            None => (&self.authority, None),
        }
    }
}

/// The prefixes of a setting: URIs without wildcards, between commas or white space.
pub fn prefixes(setting: &str) -> Result<Vec<Uri>, String> {
    let texts = setting.split(|c: char| c == ',' || c.is_whitespace()).filter(|text| !text.is_empty());
    texts
        .map(|text| {
            let uri = Uri::parse(text)?;
            match uri.has_wildcards() {
                true => Err(format!("\"{text}\" has wildcards, which a prefix has not")),
                false => Ok(uri),
            }
        })
        .collect()
}

pub fn is_pattern(segment: &str) -> bool {
    segment.contains(['*', '?', '['])
}

fn wrong_authority(word: &str, authority: &str) -> Option<&'static str> {
    let plain = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '$'))
    };
    match word {
        "file" => (!authority.is_empty())
            .then_some("a file of the machine is written with three slashes: file:///…"),
        "abfss" => {
            let right = authority.split_once('@').is_some_and(|(container, host)| {
                plain(container)
                    && host.strip_suffix(AZURE_HOST).is_some_and(|a| plain(a) && !a.contains('.'))
            });
            (!right).then_some("it is written abfss://container@account.dfs.core.windows.net/…")
        }
        _ => (!plain(authority))
            .then_some("the bucket's name is missing or has other signs than letters and digits"),
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.is_folder && !self.segments.is_empty() { "/" } else { "" };
        write!(f, "{}://{}/{}{slash}", self.word, self.authority, self.segments.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(uri: &str, prefix: &str) -> bool {
        Uri::parse(uri).unwrap().lies_under(&Uri::parse(prefix).unwrap())
    }

    #[test]
    fn a_uri_reads_back_as_it_was_written() {
        for text in [
            "file:///data/sales/",
            "file:///",
            "s3://bucket/a/b=1/*.parquet",
            "gs://bucket/",
            "az://box/x.parquet",
            "abfss://box@account.dfs.core.windows.net/sales/",
        ] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        let uri = Uri::parse("abfss://box@account.dfs.core.windows.net/sales/").unwrap();
        assert_eq!(uri.container_and_account(), ("box", Some("account")));
    }

    #[test]
    fn what_could_be_another_spelling_is_refused() {
        for text in [
            "sales",
            "http://host/x",
            "file://host/x",
            "file:///a/../b",
            "file:///a//b",
            "file:///a/./b",
            "s3://bucket",
            "s3:///x",
            "s3://bucket/%2e%2e/x",
            "s3://user:word@bucket/x",
            "abfss://box@evil.example/x",
            "abfss://box@evil.example.dfs.core.windows.net/x",
            "abfss://box/x",
            "s3://bucket/a\nb",
        ] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_matched_by_whole_segments() {
        assert!(under("s3://b/sales/2024/x.parquet", "s3://b/sales/"));
        assert!(under("s3://b/sales/2024/*", "s3://b/sales"));
        assert!(under("s3://b/sales/", "s3://b/sales"));
        assert!(under("s3://b/x", "s3://b/"));
        assert!(!under("s3://b/sales_secret/x", "s3://b/sales"));
        assert!(!under("s3://b2/sales/x", "s3://b/sales"));
        assert!(!under("gs://b/sales/x", "s3://b/sales"));
        assert!(!under("s3://b/*/x", "s3://b/sales"));
        assert!(!under("s3://b/", "s3://b/sales"));
    }

    #[test]
    fn prefixes_stand_between_commas_or_spaces_and_have_no_wildcards() {
        assert_eq!(prefixes("s3://a/, gs://b/c\n az://d/").unwrap().len(), 3);
        assert!(prefixes("").unwrap().is_empty());
        assert!(prefixes("s3://a/*").is_err());
        assert!(prefixes("s3://a/ nonsense").is_err());
    }
}
