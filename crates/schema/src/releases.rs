//! What was released: the list `sql/releases/released`, and whether the folder still holds it.
//!
//! A line of the list names a version, the commit that was released, and a file with its SHA-256:
//! `0.1.0 COMMIT pg_recommend--0.1.0.sql SHA256`. Lines that begin with `#` are remarks.

use object::{Object, ObjectSymbol};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

pub const LIST: &str = "released";

/// A file of a release. It never changes any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    pub version: String,
    pub commit: String,
    pub file: String,
    pub digest: String,
}

/// The lines of the list.
pub fn frozen(list: &str) -> Result<Vec<Frozen>, String> {
    let lines = list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [version, commit, file, digest] if is_hex(commit, 40) && is_hex(digest, 64) => Ok(Frozen {
                version: version.into(),
                commit: commit.into(),
                file: file.into(),
                digest: digest.into(),
            }),
            _ => Err(format!("{LIST}: a line is \"VERSION COMMIT FILE SHA256\", not \"{line}\"")),
        })
        .collect()
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|sign| sign.is_ascii_hexdigit())
}

/// What is wrong with the folder, where `version` is the one that the sources have; nothing if nothing is. `library` is the
/// content of the extension's shared library.
pub fn faults(folder: &Path, version: &str, library: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    let frozen = frozen(&std::fs::read_to_string(folder.join(LIST))?)?;
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != LIST {
            files.insert(name, std::fs::read_to_string(entry.path())?);
        }
    }
    let mut faults = edited(&frozen, &files);
    faults.extend(out_of_place(&frozen, version, &files));
    faults.extend(missing_symbols(&files, library)?);
    Ok(faults)
}

/// Files of a release that are gone or no longer what they were.
fn edited(frozen: &[Frozen], files: &BTreeMap<String, String>) -> Vec<String> {
    let fault = |release: &Frozen| {
        let Frozen { version, commit, file, digest } = release;
        let how = match files.get(file) {
            Some(text) if sha256(text.as_bytes()) == *digest => return None,
            Some(_) => "is not as it was released",
            None => "is missing",
        };
        Some(format!(
            "{file} {how} with version {version}: git checkout {commit} -- sql/releases/{file}; what changes \
             stands in the script that updates from {version}"
        ))
    };
    frozen.iter().filter_map(fault).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files that belong to no release, and releases from which nothing leads to this version.
fn out_of_place(frozen: &[Frozen], version: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut known: BTreeSet<&str> = frozen.iter().map(|release| release.version.as_str()).collect();
    let released = known.clone();
    known.insert(version);
    let (mut faults, mut steps) = (Vec::new(), Vec::new());
    for name in files.keys() {
        match versions_of(name).as_deref() {
            Some([of]) if known.contains(of) => (),
            Some([from, to]) if known.contains(from) && known.contains(to) => steps.push((*from, *to)),
            _ => faults
                .push(format!("{name} is the script of no version in the list {LIST}, nor of {version}")),
        }
        let is_frozen = frozen.iter().any(|release| release.file == *name);
        if !is_frozen
            && versions_of(name).is_some_and(|versions| versions.iter().all(|of| released.contains(of)))
        {
            faults.push(format!("{name} was not released with its versions"));
        }
    }
    for from in released {
        let mut reached = BTreeSet::from([from]);
        while let Some((_, to)) = steps.iter().find(|(at, to)| reached.contains(at) && !reached.contains(to))
        {
            reached.insert(to);
        }
        if !reached.contains(version) {
            faults.push(format!(
                "no script updates from {from} to {version}: pg_recommend--{from}--{version}.sql"
            ));
        }
    }
    faults
}

/// The versions in the name of a file: one where it installs, two where it updates.
fn versions_of(file: &str) -> Option<Vec<&str>> {
    let versions: Vec<_> = file.strip_prefix("pg_recommend--")?.strip_suffix(".sql")?.split("--").collect();
    (versions.len() <= 2).then_some(versions)
}

/// Functions of C that a file names and the library lacks. A catalog of an earlier version calls them until it is updated.
fn missing_symbols(files: &BTreeMap<String, String>, library: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
    let object = object::File::parse(library)?;
    let exported: BTreeSet<_> = object.dynamic_symbols().filter_map(|symbol| symbol.name().ok()).collect();
    let mut faults = Vec::new();
    for (file, sql) in files {
        let missing = symbols(sql).filter(|symbol| !exported.contains(symbol));
        faults.extend(missing.map(|symbol| {
            format!("{file} calls {symbol}, which the library lacks: retired!({symbol}) answers whoever still calls it")
        }));
    }
    Ok(faults)
}

/// The functions of C that the SQL names.
fn symbols(sql: &str) -> impl Iterator<Item = &str> {
    sql.split("'MODULE_PATHNAME'").skip(1).filter_map(|after| after.split('\'').nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "a051ff9f4765ab289b224c11667e74b09f12527c";

    fn release(version: &str, file: &str, sql: &str) -> Frozen {
        let digest = sha256(sql.as_bytes());
        Frozen { version: version.into(), commit: COMMIT.into(), file: file.into(), digest }
    }

    fn folder(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect()
    }

    /// 1.0 and 1.1 are released, 1.2 is not.
    fn releases() -> Vec<Frozen> {
        vec![
            release("1.0", "pg_recommend--1.0.sql", "a"),
            release("1.1", "pg_recommend--1.1.sql", "b"),
            release("1.1", "pg_recommend--1.0--1.1.sql", "c"),
        ]
    }

    const FILES: [(&str, &str); 5] = [
        ("pg_recommend--1.0.sql", "a"),
        ("pg_recommend--1.1.sql", "b"),
        ("pg_recommend--1.0--1.1.sql", "c"),
        ("pg_recommend--1.2.sql", "d"),
        ("pg_recommend--1.1--1.2.sql", "e"),
    ];

    fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
        let files = folder(files);
        [edited(&releases(), &files), out_of_place(&releases(), "1.2", &files)].concat()
    }

    #[test]
    fn releases_that_lead_to_this_version_are_well() {
        assert_eq!(faults_of(&FILES), Vec::<String>::new());
    }

    #[test]
    fn a_released_file_that_was_edited_or_removed_is_told() {
        let mut files = FILES;
        files[0].1 = "a ";
        assert!(faults_of(&files)[0].contains("pg_recommend--1.0.sql is not as it was released"));
        assert!(faults_of(&FILES[1..])[0].contains("pg_recommend--1.0.sql is missing"));
    }

    #[test]
    fn a_release_without_a_way_to_this_version_is_told() {
        let faults = faults_of(&FILES[..4]);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("no script updates from 1.")), "{faults:?}");
    }

    #[test]
    fn files_of_no_version_and_scripts_that_came_after_their_release_are_told() {
        for (name, told) in [
            ("pg_recommend--3.0.sql", "of no version"),
            ("notes.txt", "of no version"),
            ("pg_recommend--1.1--1.0.sql", "was not released with its versions"),
        ] {
            let files = [&FILES[..], &[(name, "")]].concat();
            let faults = faults_of(&files);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_an_error() {
        let digest = sha256(b"");
        let line = format!("# version\n\n1.0 {COMMIT} pg_recommend--1.0.sql {digest}\n");
        assert_eq!(frozen(&line).unwrap(), [release("1.0", "pg_recommend--1.0.sql", "")]);
        assert!(frozen("1.0 abc file digest").is_err());
        assert!(frozen(&format!("1.0 {COMMIT} {digest}")).is_err());
    }

    #[test]
    fn the_functions_of_c_are_found() {
        let sql =
            "CREATE FUNCTION a() LANGUAGE c AS 'MODULE_PATHNAME', 'a_wrapper';\nAS 'MODULE_PATHNAME' , 'b';";
        assert_eq!(symbols(sql).collect::<Vec<_>>(), ["a_wrapper", "b"]);
    }
}
