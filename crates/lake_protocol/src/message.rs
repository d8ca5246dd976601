//! Messages: what is to be done, and what came of it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first message to the process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The version of the extension that asks.
    pub version: String,
    pub task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    Load(Load),
    Save(Save),
    /// Says the version and ends.
    Check,
}

/// Files into a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    pub uri: String,
    /// The file with credentials, if there is one.
    pub credentials: Option<String>,
    /// The columns of the table that can be loaded.
    pub columns: Vec<Column>,
    /// Columns of the table, each with that of the files; `None`: those that have the same name.
    pub mapping: Option<BTreeMap<String, String>>,
    /// How many bytes of a row group may be in memory before they are decoded; `None`: no bound.
    pub most_bytes: Option<u64>,
}

/// A query's rows into files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Save {
    pub uri: String,
    pub credentials: Option<String>,
    pub columns: Vec<Column>,
    /// Names of columns, by whose values the rows are sorted; their values go into the names of folders.
    pub partition_by: Vec<String>,
    /// Whether a file that is there may be replaced.
    pub replace: bool,
}

/// A column of a table or of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// The type as SQL writes it, for messages.
    pub sql_type: String,
    pub kind: Kind,
    /// The most characters of a value, where its type says so.
    #[serde(default)]
    pub most_characters: Option<u32>,
}

/// What the process needs to know of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Boolean,
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    /// Precision and scale, where the type has them.
    Numeric(Option<(u8, i8)>),
    /// Any type that is sent and received as text: text, varchar, char, name, enums, json.
    Text,
    Jsonb,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Uuid,
}

/// The answer to [`Event::Listed`]: which files are to be loaded, by their positions in the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Choice {
    pub files: Vec<usize>,
}

/// A file as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its whole URI.
    pub uri: String,
    /// What the store calls this content.
    pub etag: String,
    pub bytes: u64,
}

/// Why a task failed; it decides the SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The arguments do not fit what is there.
    Argument,
    /// There is no such file or folder.
    Missing,
    /// The files hold what cannot be loaded, or the rows what cannot be saved.
    Data,
    /// The store refuses.
    Denied,
    /// The store fails, or cannot be reached.
    Store,
    DiskFull,
    /// Anything else.
    Process,
}

/// What the process says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    Checked {
        version: String,
    },
    Listed {
        files: Vec<File>,
    },
    /// The columns of the table whose values follow, in this order; and those of the files that are not loaded.
    Columns {
        loaded: Vec<String>,
        ignored: Vec<String>,
    },
    /// A file was read to its end.
    Loaded {
        file: usize,
        rows: u64,
    },
    /// The last message of a task that succeeded.
    Finished {
        rows: u64,
        files: u64,
        bytes: u64,
    },
    /// The last message of one that failed.
    Failed {
        cause: Cause,
        message: String,
        detail: Option<String>,
        hint: Option<String>,
    },
}

/// What either process says to one of another version.
pub fn other_version(process: &str, extension: &str) -> String {
    format!("the object-storage process is version {process}, the extension {extension}")
}

pub const OTHER_VERSION_HINT: &str =
    "Install both of the same version (packages, or make install), and connect anew: a session keeps the extension that it \
     began with.";
