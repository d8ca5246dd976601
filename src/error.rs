//! Every error that the extension raises, with its SQLSTATE, detail and hint.

use crate::pg::{extension, mapping};
use features::FeatureError;
use lake_protocol::message::Cause as LakeCause;
use model::protocol::Cause;
use model::ModelError;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_identifier;
use pgrx::{PgLogLevel, PgSqlErrorCode};
use std::io::ErrorKind;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    #[error("model \"{0}\" does not exist")]
    UnknownModel(String),
    #[error("model \"{0}\" has no champion")]
    NoChampion(String),
    #[error("there is no model yet")]
    NoModel,
    #[error("there are {} models: say which one is meant", .0.len())]
    SeveralModels(Vec<String>),
    /// The role may score with models, but none of them is a default, because no role whose grants count for others made or
    /// granted one.
    #[error("role \"{role}\" has no default model: say which one is meant")]
    NoDefault { role: String, models: Vec<String> },
    #[error("role \"{0}\" does not exist")]
    UnknownRole(String),
    #[error("model \"{model}\" has no alias \"{alias}\"")]
    UnknownAlias { model: String, alias: String },
    #[error("model \"{model}\" has no version {version}")]
    UnknownVersion { model: String, version: i32 },
    #[error("A/B test \"{0}\" does not exist")]
    UnknownTest(String),
    #[error("there is no schedule for the {kind} of {subject}")]
    UnknownSchedule { kind: &'static str, subject: String },
    #[error(transparent)]
    Schedule(#[from] schedule::ScheduleError),
    #[error("version {version} of model \"{model}\" is archived")]
    Archived { model: String, version: i32 },
    #[error("model \"{0}\" has no earlier champion to go back to")]
    NoEarlierChampion(String),
    #[error("the artifact cannot be imported: {0}")]
    BadArtifact(String),
    /// The format has nothing for something that the version needs.
    #[error("version {version} of model \"{model}\" is not exported: {reason}")]
    NotExported { model: String, version: i32, reason: String },
    /// A value in the catalog is one that the extension never writes.
    #[error("{0}")]
    Damaged(String),
    /// A table of the catalog is missing.
    #[error("the extension pg_recommend is not installed in this database")]
    NotInstalled,
    /// The declaration of a type in SQL is no longer the one that the extension installed.
    #[error("a type of the extension pg_recommend has been altered")]
    Altered,
    /// `why` says what the call needs of the catalog.
    #[error(
        "the library of pg_recommend is version {}, and its catalog in this database version {catalog}",
        extension::LIBRARY
    )]
    OtherVersion { catalog: String, why: String },
    /// The rows that the call needs are on another server, or are not kept up to date on this one.
    #[error("{message}")]
    NotHere { message: String, hint: String },
    #[error("{message}")]
    InUse { message: String, hint: String },
    #[error("model \"{0}\" has no source: its champion was imported without one")]
    NoSource(String),
    #[error("{0}")]
    InvalidArgument(String, Option<String>),
    /// `relation` is the relation that a version reads; `None` means that a row was given.
    #[error("column \"{column}\" is missing from {}", relation.as_deref().unwrap_or("the row"))]
    MissingColumn { column: String, relation: Option<String>, model: String, expected: String },
    #[error(
        "column \"{column}\"{} has type {found}, but model \"{model}\" expects {expected}",
        relation.as_ref().map_or(String::new(), |relation| format!(" of {relation}"))
    )]
    WrongType { column: String, relation: Option<String>, model: String, found: String, expected: String },
    /// The rows do not fit what they are used for.
    #[error("{message}")]
    Data { message: String, hint: String },
    #[error("version {version} of model \"{model}\" has no score for the row: its sums overflow")]
    NoScore { model: String, version: i32 },
    /// A number that is too large for a double.
    #[error("{0} overflows")]
    Overflow(&'static str),
    /// What was looked up has changed since.
    #[error("{0}")]
    Changed(String),
    /// There is more of something than one call can take.
    #[error("{message}")]
    Limit { message: String, hint: String },
    #[error("{message}")]
    UndefinedColumn { message: String, hint: String },
    /// In the words of Postgres, for the result of a definition.
    #[error("column \"{0}\" specified more than once")]
    DuplicateColumn(String),
    #[error("column \"{column}\" has type {found}, which cannot be used for training")]
    UnsupportedType { column: String, found: String, hint: String },
    #[error(
        "time column \"{column}\" has type {found}, but a feature view's is a date: the Monday of the week"
    )]
    UnsupportedTime { column: String, found: String },
    #[error("{message}")]
    Privilege { message: String, hint: Option<String> },
    #[error("{message}")]
    Trainer { cause: Cause, message: String, detail: Option<String>, hint: Option<String> },
    #[error("foreign table {0} cannot be read in a parallel worker")]
    ForeignInWorker(String),
    /// `last` says what was seen instead.
    #[error("{what} was not seen here within {seconds} s")]
    NotSeen { what: String, seconds: f64, last: String },
    /// What the object-storage process reports, or how it ended.
    #[error("{message}")]
    Lake { cause: LakeCause, message: String, detail: Option<String>, hint: Option<String> },
    #[error("relation {0} of model \"{1}\" does not exist")]
    SourceGone(String, String),
    #[error("{0} is no longer the feature view that model \"{1}\" was trained on")]
    SourceReplaced(String, String),
    /// The name is known if another session dropped the relation after it was looked up.
    #[error("{}", .name.as_ref().map_or(format!("there is no relation with the OID {oid}"), |name| format!("relation {name} was dropped")))]
    NoRelation { name: Option<String>, oid: u32 },
    #[error(transparent)]
    Feature(#[from] FeatureError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("the file that a large model is shared through was cut short while it was in use")]
    LostModel,
    #[error("{context}: {cause}")]
    System { context: String, cause: std::io::Error },
    /// `path` is relative to the data directory.
    #[error("could not write {holds} into the temporary file \"{path}\" after {written} bytes: {cause}")]
    TempFile { holds: &'static str, path: String, written: u64, cause: std::io::Error },
    #[error("{0}")]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A cancel or a shutdown came while the trainer ran. Postgres raises it in its own words.
    #[error("training was cancelled")]
    Interrupted,
}

/// The hint for temporary files that do not fit on the disk.
pub const TEMPORARY_SPACE: &str =
    "Free some space in the database's default tablespace, or train on fewer weeks \
     or columns; temp_file_limit bounds what a session may take there.";

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidArgument(message.into(), None)
    }

    pub fn damaged_row() -> Self {
        Self::Damaged("a row of the catalog is damaged".into())
    }

    pub fn system(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |cause| Self::System { context, cause }
    }

    /// The same error, but about a column of a relation and not of a row.
    pub fn of_relation(mut self, name: &str) -> Self {
        if let Self::MissingColumn { relation, .. } | Self::WrongType { relation, .. } = &mut self {
            *relation = Some(name.to_owned());
        }
        self
    }

    /// The call found a catalog of another version, which lacks something.
    pub fn lacking(catalog: String, what: &str) -> Self {
        let library = extension::LIBRARY;
        let why = format!("The call needs what version {library} has in the catalog: {what}.");
        Self::OtherVersion { catalog, why }
    }

    /// The error; or, where the catalog is of another version, that it comes of this.
    fn or_other_version(self) -> Self {
        match extension::other_version() {
            Some(catalog) => Self::lacking(catalog, &self.to_string()),
            None => self,
        }
    }

    pub fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode::*;
        match self {
            Self::UnknownModel(_)
            | Self::NoChampion(_)
            | Self::NoModel
            | Self::UnknownRole(_)
            | Self::UnknownVersion { .. }
            | Self::UnknownTest(_)
            | Self::UnknownSchedule { .. }
            | Self::UnknownAlias { .. } => ERRCODE_UNDEFINED_OBJECT,
            Self::Archived { .. }
            | Self::NoEarlierChampion(_)
            | Self::NoSource(_)
            | Self::NotSeen { .. }
            | Self::NotHere { .. }
            | Self::OtherVersion { .. } => ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::ForeignInWorker(_) => ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::BadArtifact(_) => ERRCODE_INVALID_BINARY_REPRESENTATION,
            Self::NotExported { .. } => ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::InUse { .. } => ERRCODE_OBJECT_IN_USE,
            Self::SeveralModels(_) | Self::NoDefault { .. } => ERRCODE_AMBIGUOUS_PARAMETER,
            Self::InvalidArgument(..)
            | Self::NotInstalled
            | Self::Altered
            | Self::Schedule(_)
            | Self::Model(ModelError::Parameter { .. }) => ERRCODE_INVALID_PARAMETER_VALUE,
            Self::MissingColumn { .. } | Self::UndefinedColumn { .. } => ERRCODE_UNDEFINED_COLUMN,
            Self::WrongType { .. } | Self::UnsupportedType { .. } | Self::UnsupportedTime { .. } => {
                ERRCODE_DATATYPE_MISMATCH
            }
            Self::DuplicateColumn(_) => ERRCODE_DUPLICATE_COLUMN,
            Self::Privilege { .. } => ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::Trainer { cause: Cause::Arguments, .. } => ERRCODE_INVALID_PARAMETER_VALUE,
            Self::Trainer { cause: Cause::Data | Cause::Diverged, .. } => ERRCODE_DATA_EXCEPTION,
            Self::Trainer { cause: Cause::Trainer, .. } => ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
            Self::Lake { cause, .. } => lake_code(*cause),
            Self::SourceGone(..) | Self::SourceReplaced(..) | Self::NoRelation { .. } => {
                ERRCODE_UNDEFINED_TABLE
            }
            Self::Feature(error) => feature_code(error),
            Self::Model(ModelError::Data { .. }) | Self::Data { .. } => ERRCODE_DATA_EXCEPTION,
            Self::NoScore { .. } | Self::Overflow(_) => ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            Self::Changed(_) => ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::Limit { .. } => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::Model(ModelError::Artifact(_)) | Self::Damaged(_) => ERRCODE_DATA_CORRUPTED,
            Self::LostModel => ERRCODE_IO_ERROR,
            Self::System { .. } => ERRCODE_SYSTEM_ERROR,
            Self::TempFile { cause, .. } if cause.kind() == ErrorKind::StorageFull => ERRCODE_DISK_FULL,
            Self::TempFile { .. } => ERRCODE_IO_ERROR,
            Self::Arrow(_) | Self::Spi(_) | Self::Json(_) => ERRCODE_INTERNAL_ERROR,
            Self::Interrupted => ERRCODE_QUERY_CANCELED,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::MissingColumn { model, expected, .. } => {
                Some(format!("Model \"{model}\" expects it to be {expected}."))
            }
            Self::Trainer { detail, .. } | Self::Lake { detail, .. } => detail.clone(),
            Self::OtherVersion { why, .. } => Some(why.clone()),
            Self::NotSeen { last, .. } => Some(last.clone()),
            Self::ForeignInWorker(_) => Some(
                "A worker has a connection of its own to the foreign server, which does not see what this transaction has \
                 written there."
                    .into(),
            ),
            Self::NoDefault { .. } => Some(
                "The default is a model of the role's own, or one that the database's owner or a superuser has granted: other \
                 roles' grants and models do not change it."
                    .into(),
            ),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownModel(_) => Some("The view reco.models lists the models there are.".into()),
            Self::NoChampion(model) | Self::UnknownVersion { model, .. } => {
                Some(format!("The view reco.versions lists the versions of \"{model}\"."))
            }
            Self::BadArtifact(_) => Some(
                "It is a safetensors file with the recipe, layout and output of a model in its metadata, as reco.export_model(…) \
                 writes it: \"Export and import\" on the page \"Models\" of the documentation has a whole one."
                    .into(),
            ),
            Self::NotExported { .. } => {
                Some("As safetensors every version can be exported; \"What is refused\" on the page \"Models\" says what is not as ONNX.".into())
            }
            Self::UnknownTest(_) => Some("The view reco.ab_tests lists the tests there are.".into()),
            Self::UnknownSchedule { .. } => Some("The view reco.schedules lists the schedules there are.".into()),
            Self::Schedule(error) => Some(error.hint().into()),
            Self::UnknownAlias { .. } => Some("The view reco.aliases lists the aliases there are.".into()),
            Self::Archived { .. } => {
                Some("Its weights are deleted; the view reco.versions lists those that can be used.".into())
            }
            Self::NoEarlierChampion(_) => Some(
                "The view reco.promotions lists its history; reco.promote(…) makes any version the champion."
                    .into(),
            ),
            Self::NoSource(_) => {
                Some("Import it with source => …, or score rows with reco.predict(model, row).".into())
            }
            Self::LostModel => Some(
                "Run the statement again: the file is made anew. Nothing but the server is to write below base/pgsql_tmp."
                    .into(),
            ),
            Self::Damaged(_) => Some("reco.check_setup() lists what is wrong, and what to do.".into()),
            Self::OtherVersion { catalog, .. } => Some(extension::remedy(catalog)),
            Self::InUse { hint, .. } | Self::NotHere { hint, .. } => Some(hint.clone()),
            Self::Changed(_) => Some("Nothing is lost: call again.".into()),
            Self::NoModel => Some("Train one with CALL reco.train(…).".into()),
            Self::SeveralModels(names) => {
                Some(format!("Name it in the call, or set reco.default_model: {}.", first_names(names)))
            }
            Self::NoDefault { role, models } => Some(format!(
                "Name it in the call, or set it for the role: ALTER ROLE {} SET reco.default_model = '…'. It may score with: {}.",
                quote_identifier(role),
                first_names(models)
            )),
            Self::MissingColumn { relation: Some(_), model, .. } => {
                Some(format!("Give the column its name again, or train \"{model}\" again."))
            }
            Self::WrongType { model, .. } => Some(format!("Cast the column in a view, or train \"{model}\" again.")),
            Self::MissingColumn { .. } => {
                Some("Columns are found by name: rename the row's column, or train again.".into())
            }
            Self::ForeignInWorker(_) => Some(
                "SET max_parallel_workers_per_gather = 0 for the statement; reco.top_products(…) reads the keys of a region at \
                 once and never runs in a worker."
                    .into(),
            ),
            Self::NotSeen { .. } => Some(
                "Was it promoted, and committed? On a standby, reco.metrics shows how far behind its primary it is \
                 (reco_standby_lag_seconds); time_limit says how long to wait."
                    .into(),
            ),
            Self::SourceGone(_, model) => {
                Some(format!("Train \"{model}\" again from the relation that replaced it."))
            }
            Self::SourceReplaced(relation, model) => Some(format!(
                "Another relation has taken its name. If \"{model}\" is to read that, train it again from {relation}."
            )),
            Self::NoRelation { name: Some(_), .. } => {
                Some("Another session did it while this statement waited for it: if it is made anew, call again.".into())
            }
            Self::NoScore { .. } => Some(
                "A value of the row is far from all that the model was trained on: make it NULL, or train with fewer cross \
                 layers."
                    .into(),
            ),
            Self::TempFile { .. } => Some(TEMPORARY_SPACE.into()),
            Self::InvalidArgument(_, hint)
            | Self::Privilege { hint, .. }
            | Self::Trainer { hint, .. }
            | Self::Lake { hint, .. } => hint.clone(),
            Self::DuplicateColumn(column) => Some(format!(
                "Give one of them another name: AS …. An attribute of products is renamed in a view of that table: \
                 SELECT {} AS …, … .",
                quote_identifier(column)
            )),
            Self::UnsupportedTime { column, .. } => {
                Some(format!("For example: date_trunc('week', sold_at)::date AS {column}"))
            }
            Self::UndefinedColumn { hint, .. }
            | Self::UnsupportedType { hint, .. }
            | Self::Data { hint, .. }
            | Self::Limit { hint, .. } => Some(hint.clone()),
            Self::Feature(error) => error.hint().map(str::to_owned),
            Self::Model(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }

    /// Message, detail and hint, each in a line of its own, for an error that is shown and not raised.
    pub fn in_lines(&self) -> String {
        let lines = [Some(self.to_string()), self.detail(), self.hint()];
        let lines = lines.into_iter().flatten().filter(|line| !line.is_empty());
        lines.map(|line| shortened(line, LONGEST_DETAIL)).collect::<Vec<_>>().join("\n")
    }

    /// The message, in the form in which it is raised and recorded.
    pub fn message(&self) -> String {
        shortened(self.to_string(), LONGEST_MESSAGE)
    }

    /// Raises the error in Postgres.
    pub fn raise(self) -> ! {
        let told = match self {
            // What this version never makes or writes, another may have.
            Self::NotInstalled | Self::Altered | Self::Damaged(_) | Self::Model(ModelError::Artifact(_)) => {
                self.or_other_version()
            }
            other => other,
        };
        let mut report = ErrorReport::new(told.code(), told.message(), "pg_recommend");
        if let Some(detail) = told.detail() {
            report = report.set_detail(shortened(detail, LONGEST_DETAIL));
        }
        if let Some(hint) = told.hint().filter(|h| !h.is_empty()) {
            report = report.set_hint(shortened(hint, LONGEST_DETAIL));
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an ERROR does not return")
    }
}

/// The first few of many names.
fn first_names(names: &[String]) -> String {
    const FEW: usize = 5;
    let shown = names.iter().take(FEW).cloned().collect::<Vec<_>>().join(", ");
    match names.len() > FEW {
        true => format!("{shown}, …"),
        false => shown,
    }
}

/// The most bytes of an error's message, and of its detail and hint. Without a limit an argument that they repeat could
/// make them as long as it is.
const LONGEST_MESSAGE: usize = 1000;
const LONGEST_DETAIL: usize = 8000;

/// The text, shortened to about this number of bytes. Of a longer text the beginning and the end stay, which say what it is
/// about.
fn shortened(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let whole = |at: &usize| text.is_char_boundary(*at);
    let first = (0..=most / 2).rev().find(whole).unwrap_or(0);
    let last = (text.len() - most / 2..text.len()).find(whole).unwrap_or(text.len());
    format!("{} … ({} bytes) … {}", &text[..first], last - first, &text[last..])
}

fn lake_code(cause: LakeCause) -> PgSqlErrorCode {
    use PgSqlErrorCode::*;
    match cause {
        LakeCause::Argument => ERRCODE_INVALID_PARAMETER_VALUE,
        LakeCause::Missing => ERRCODE_UNDEFINED_FILE,
        LakeCause::Data => ERRCODE_DATA_EXCEPTION,
        LakeCause::Denied => ERRCODE_INSUFFICIENT_PRIVILEGE,
        LakeCause::Store => ERRCODE_IO_ERROR,
        LakeCause::DiskFull => ERRCODE_DISK_FULL,
        LakeCause::Process => ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
    }
}

fn feature_code(error: &FeatureError) -> PgSqlErrorCode {
    use PgSqlErrorCode::*;
    match error {
        FeatureError::Argument { .. } => ERRCODE_INVALID_PARAMETER_VALUE,
        FeatureError::Range { .. } => ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        FeatureError::Text(_) => ERRCODE_INVALID_TEXT_REPRESENTATION,
        FeatureError::Binary(_) => ERRCODE_INVALID_BINARY_REPRESENTATION,
        FeatureError::Limit { .. } => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
    }
}

/// The value; an error is raised in Postgres. Every SQL function ends here, so that a function is an error, whatever its
/// value, if a model that it has read was cut short meanwhile.
pub fn or_raise<T>(result: Result<T, Error>) -> T {
    if mapping::is_to_be_told() {
        Error::LostModel.raise();
    }
    result.unwrap_or_else(|error| error.raise())
}
