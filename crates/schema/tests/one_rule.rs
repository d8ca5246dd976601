//! The name of a SQL object leads to where it is made: definition and comment stand together in one file of `sql/`, and
//! what Rust implements is in the folder of `src/` that has the file's name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What has a name that a reader looks for. The others (indexes, grants, columns) stand with these.
const KINDS: [&str; 6] = ["FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "VIEW", "TABLE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The files below a folder whose names end so, by path.
fn files(folder: &Path, extension: &str, deep: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
        let path = entry.unwrap().path();
        if path.is_dir() && deep {
            found.extend(files(&path, extension, deep));
        } else if path.extension().is_some_and(|given| given == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where a text ends that begins with what `opens`, or the rest.
fn closed(text: &str, opens: &str, closes: &str) -> usize {
    text[opens.len()..].find(closes).map_or(text.len(), |at| opens.len() + at + closes.len())
}

/// The statements of a file, without remarks and with single spaces.
fn statements(sql: &str) -> Vec<String> {
    let (mut found, mut statement, mut rest) = (Vec::new(), String::new(), sql);
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '-' if rest.starts_with("--") => {
                rest = &rest[closed(rest, "--", "\n")..];
                continue;
            }
            '\'' => closed(rest, "'", "'"),
            '"' => closed(rest, "\"", "\""),
            '$' if rest.starts_with("$$") => closed(rest, "$$", "$$"),
            _ => next.len_utf8(),
        };
        match next {
            ';' => {
                found.push(std::mem::take(&mut statement).split_whitespace().collect::<Vec<_>>().join(" "))
            }
            _ => statement.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    assert!(statement.trim().is_empty(), "a statement has no end: {statement}");
    found
}

/// An object as a statement names it: its kind, its name, and how many arguments it has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    kind: &'static str,
    name: String,
    arguments: usize,
}

impl Object {
    /// Of `CREATE …` or `COMMENT ON …`; `None` of any other statement and of a type that is only announced.
    fn of(statement: &str, verb: &str) -> Option<Self> {
        let (kind, rest) = KINDS.iter().find_map(|kind| {
            Some((
                *kind,
                statement.strip_prefix(verb)?.strip_prefix(' ')?.strip_prefix(kind)?.strip_prefix(' ')?,
            ))
        })?;
        let end = rest.find([' ', '(']).unwrap_or(rest.len());
        if verb == "CREATE" && end == rest.len() {
            return None;
        }
        let mut object = Self { kind, name: rest[..end].trim_matches('"').to_owned(), arguments: 0 };
        if object.is_called() {
            object.arguments = arguments(&rest[end..]);
        }
        Some(object)
    }

    fn is_called(&self) -> bool {
        matches!(self.kind, "FUNCTION" | "PROCEDURE" | "AGGREGATE")
    }
}

/// How many there are in the parentheses that a text begins with.
fn arguments(text: &str) -> usize {
    let (mut depth, mut commas, mut quoted) = (0, 0, false);
    for (at, next) in text.char_indices() {
        match next {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 1 => commas += 1,
            _ => {}
        }
        if depth == 0 {
            return if text[1..at].trim().is_empty() { 0 } else { commas + 1 };
        }
    }
    panic!("no list of arguments: {text}");
}

/// The files of `sql/` by their names without `.sql`, with their statements.
fn sql_files() -> BTreeMap<String, Vec<String>> {
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files(&root().join("sql"), "sql", false)
        .iter()
        .map(|path| (stem(path), statements(&read(path))))
        .collect()
}

#[test]
fn a_comment_stands_below_what_it_is_about() {
    let mut broken = Vec::new();
    for (file, statements) in sql_files() {
        for (at, statement) in statements.iter().enumerate() {
            let next = statements.get(at + 1).and_then(|next| Object::of(next, "COMMENT ON"));
            if let Some(made) = Object::of(statement, "CREATE") {
                if next.as_ref() != Some(&made) {
                    broken.push(format!(
                        "sql/{file}.sql: {} {} is not followed by its COMMENT ON",
                        made.kind, made.name
                    ));
                }
            } else if let Some(about) = next {
                broken.push(format!(
                    "sql/{file}.sql: COMMENT ON {} {} does not follow its CREATE",
                    about.kind, about.name
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_name_stands_in_one_file() {
    // A table may be called as a procedure is.
    let mut where_made: BTreeMap<(bool, String), BTreeSet<String>> = BTreeMap::new();
    for (file, statements) in sql_files() {
        for made in statements.iter().filter_map(|statement| Object::of(statement, "CREATE")) {
            where_made.entry((made.is_called(), made.name)).or_default().insert(file.clone());
        }
    }
    assert!(where_made.len() > 200, "only {} names were found", where_made.len());
    where_made.retain(|_, files| files.len() > 1);
    assert!(where_made.is_empty(), "these are made in several files of sql/: {where_made:?}");
}

/// The folder of `src/` that a file of SQL is named after.
fn folder_of(file: &str) -> &str {
    file.strip_suffix("_views").unwrap_or(file)
}

/// The files of `src/` that make a function callable from SQL, by the name that they give it.
fn implementations() -> BTreeMap<String, Vec<PathBuf>> {
    let root = root();
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in files(&root.join("src"), "rs", true) {
        let text = read(&path);
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let externs = text
            .split("\n#[pg_extern")
            .skip(1)
            .filter_map(|rest| Some(word(rest.split_once("\nfn ").or_else(|| rest.split_once(" fn "))?.1)));
        let plain = text.split("sql_function!(").skip(1).map(word);
        let lists = text.split("sql_functions!(").skip(1).filter_map(|rest| rest.split_once(");"));
        let lists = lists.flat_map(|(names, _)| names.split(',').map(|name| name.trim().to_owned()));
        for name in externs.chain(plain).chain(lists).filter(|name| !name.is_empty()) {
            found.entry(name).or_default().push(path.strip_prefix(&root).unwrap().to_owned());
        }
    }
    found
}

#[test]
fn a_file_of_sql_is_named_as_the_folder_that_implements_it() {
    let sql = sql_files();
    let implementations = implementations();
    let mut called = BTreeSet::new();
    let mut broken = Vec::new();
    for (file, statements) in &sql {
        for statement in statements {
            let Some((_, symbol)) = statement.split_once("'MODULE_PATHNAME', '") else { continue };
            let made = Object::of(statement, "CREATE").expect("only functions are in the library").name;
            let symbol = symbol.split('\'').next().unwrap_or_default();
            let name = symbol.strip_suffix("_wrapper").unwrap_or(symbol);
            called.insert(name.to_owned());
            let found = implementations.get(name);
            let Some([path]) = found.map(Vec::as_slice) else {
                broken.push(format!("sql/{file}.sql: {made} calls {symbol}, which src/ has in {found:?}"));
                continue;
            };
            // The innermost folder that a file of SQL is named after.
            let mut folders = path.parent().unwrap().iter().filter_map(|folder| folder.to_str());
            let folder = folders.rfind(|folder| sql.contains_key(*folder));
            if folder != Some(folder_of(file)) {
                broken.push(format!("sql/{file}.sql: {made} is implemented in {}", path.display()));
            }
        }
    }
    for (name, paths) in implementations.iter().filter(|(name, _)| !called.contains(*name)) {
        broken.push(format!("{name} of {paths:?} is called by nothing in sql/"));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_of_sql_is_named_after_a_folder_and_installed() {
    let root = root();
    let released = format!("sql/releases/pg_recommend--{}.sql", env!("CARGO_PKG_VERSION"));
    let released = read(&root.join(released));
    for path in files(&root.join("sql"), "sql", false) {
        let folder = folder_of(path.file_stem().unwrap().to_str().unwrap()).to_owned();
        let there =
            [root.join("src"), root.join("src/features")].iter().any(|src| src.join(&folder).is_dir());
        assert!(there, "{path:?}: src/ has no folder {folder}");
        assert!(
            released.contains(read(&path).trim()),
            "{path:?} is not as it is installed: run scripts/release-sql; a new file is named by extension_sql_file!"
        );
    }
}
