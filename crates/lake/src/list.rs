//! Which files a URI names: one file, all below a folder, or those that match a pattern.

use crate::error::{LakeError, Result};
use crate::hive;
use crate::store::{path, Store};
use futures_util::StreamExt;
use glob::{MatchOptions, Pattern};
use lake_protocol::message::{Cause, File};
use lake_protocol::uri::{Scheme, Uri, LONGEST};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

/// A file, and the values that the names of its folders give.
pub struct Found {
    pub meta: ObjectMeta,
    pub file: File,
    pub folders: hive::Values,
}

/// More would not fit into one message, and are a sign that another folder was meant.
const MOST_FILES: usize = 100_000;
const SUFFIXES: [&str; 2] = [".parquet", ".parq"];
/// Folders by which formats are known whose data files alone do not say which rows there are.
const FORMATS: [(&str, &str); 3] = [("_delta_log", "Delta"), (".hoodie", "Hudi"), ("metadata", "Iceberg")];

/// The files in the order of their paths.
pub async fn files(store: &Store, uri: &Uri) -> Result<Vec<Found>> {
    let base = path(&uri.segments[..uri.literal_segments()])?;
    let mut found = match single(store, uri, &base).await? {
        Some(meta) => vec![meta],
        None => below(store, uri, &base).await?,
    };
    if found.is_empty() {
        return Err(LakeError::new(Cause::Missing, format!("there is no Parquet file at {uri}")).hint(
            "Files are found by names that end with .parquet; those that begin with a dot or an underscore are left out.",
        ));
    }
    found.sort_by(|a, b| a.location.cmp(&b.location));
    found.into_iter().map(|meta| described(uri, &base, meta)).collect()
}

/// The file itself, where the URI is that of a file.
async fn single(store: &Store, uri: &Uri, base: &Path) -> Result<Option<ObjectMeta>> {
    if uri.has_wildcards() || uri.is_folder {
        return Ok(None);
    }
    match store.head(base).await {
        Ok(meta) => Ok(Some(meta)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        // A folder of the machine is no file, which is an error of another kind.
        Err(_) if uri.scheme == Scheme::File => Ok(None),
        Err(error) => Err(LakeError::store(&format!("could not look at {uri}"), &error)),
    }
}

async fn below(store: &Store, uri: &Uri, base: &Path) -> Result<Vec<ObjectMeta>> {
    let pattern = pattern(uri)?;
    let mut found = Vec::new();
    let mut listed = store.list(Some(base));
    while let Some(meta) = listed.next().await {
        let meta = meta.map_err(|error| LakeError::store(&format!("could not list {uri}"), &error))?;
        let relative = relative(base, &meta.location);
        refuse_format(uri, &relative)?;
        let matches = match &pattern {
            Some(pattern) => pattern.matches_with(meta.location.as_ref(), WHOLE_SEGMENTS),
            None => is_parquet(meta.location.as_ref()),
        };
        if matches && !relative.iter().any(|part| is_hidden(part)) {
            found.push(meta);
        }
        if found.len() > MOST_FILES {
            return Err(LakeError::argument(format!("{uri} has more than {MOST_FILES} files"))
                .hint("Load it folder by folder."));
        }
    }
    Ok(found)
}

/// A star does not pass a slash; two stars do.
const WHOLE_SEGMENTS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

fn pattern(uri: &Uri) -> Result<Option<Pattern>> {
    if !uri.has_wildcards() {
        return Ok(None);
    }
    let text = uri.segments.join("/") + if uri.is_folder { "/**/*.parquet" } else { "" };
    let wrong = |error| LakeError::argument(format!("the pattern of {uri} cannot be read: {error}"));
    Pattern::new(&text).map(Some).map_err(wrong)
}

/// Whether a file has the name of one.
pub fn is_parquet(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// An etag without its quotes.
pub fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// The parts of a path below a folder.
fn relative(base: &Path, location: &Path) -> Vec<String> {
    match location.prefix_match(base) {
        Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect(),
        None => Vec::new(),
    }
}

/// As Spark and others mark what is no data.
fn is_hidden(part: &str) -> bool {
    (part.starts_with('_') && !part.contains('=')) || part.starts_with('.')
}

fn refuse_format(uri: &Uri, relative: &[String]) -> Result<()> {
    let is_of = |folder: &str, file: &str| match folder {
        "metadata" => file.ends_with(".metadata.json"),
        _ => true,
    };
    let file = relative.last().map(String::as_str).unwrap_or_default();
    let known =
        FORMATS.iter().find(|(folder, _)| relative.iter().any(|part| part == folder) && is_of(folder, file));
    match known {
        None => Ok(()),
        Some((folder, format)) => Err(LakeError::data(format!(
            "{uri} is a table in the format {format}: some of its files hold rows that were deleted or replaced"
        ))
        .detail(format!("It has a folder \"{folder}\"."))
        .hint("Write the table's rows as plain Parquet files, and load these.")),
    }
}

fn described(uri: &Uri, base: &Path, meta: ObjectMeta) -> Result<Found> {
    let mut parts = uri.segments[..uri.literal_segments()].to_vec();
    parts.extend(relative(base, &meta.location));
    let folders = hive::values(&parts[..parts.len().saturating_sub(1)]);
    // A store without etags tells one content from another by size and time.
    let etag = meta.e_tag.as_deref().map(|tag| bare(tag).to_owned());
    let etag = etag.unwrap_or_else(|| format!("{}-{}", meta.last_modified, meta.size));
    let whole = uri.of_path(meta.location.as_ref());
    if whole.len() > LONGEST {
        return Err(LakeError::argument(format!("the URI of a file has more than {LONGEST} bytes: {whole}")));
    }
    let file = File { uri: whole, etag, bytes: meta.size };
    Ok(Found { meta, file, folders })
}
