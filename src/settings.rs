//! Every setting of the extension.
//!
//! A setting that begins with `max_` or `min_` is a limit. Only a superuser, or a role that was granted SET on it, can set
//! it for the server, a database or a role. What a user wishes within a limit is a setting of its own. One setting could
//! not do both: what any role may set, it may also make the default at login of its role or its database, and then nothing
//! tells who wanted it.

use crate::error::Error;
use crate::pg::own_library;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use Who::{Anybody, Configuration, Superuser};

const PLAIN: GucFlags = GucFlags::empty();
/// Numbers in MB.
const MEBIBYTES: GucFlags = GucFlags::UNIT_MB;
/// Who may not set it may not read it either.
const SECRET: GucFlags = GucFlags::SUPERUSER_ONLY;

/// Makes of each row a variable, which the readers below read, and its definition.
macro_rules! settings {
    ($($variable:ident: $kind:ident { $($field:ident: $value:expr,)* })*) => {
        $(static $variable: $kind = $kind { $($field: $value),* };)*

        fn define_each() {
            $($variable.define();)*
        }
    };
}

settings! {
    DEFAULT_MODEL: Text {
        name: c"reco.default_model", value: empty(), who: Anybody, flags: PLAIN,
        about: c"Model that recommend() uses when none is named",
        more: c"Empty: the only one that the caller owns, else that the database's owner has granted to it, else to everybody.",
    }
    MODEL_CACHE_SIZE: Number {
        name: c"reco.model_cache_size", value: default(64), bounds: 1..=65_536, who: Anybody, flags: MEBIBYTES,
        about: c"Memory a backend keeps for models it has scored with",
        more: c"The model in use is kept even if it is larger.",
    }
    SHARED_MODELS_SIZE: Number {
        name: c"reco.shared_models_size", value: default(4096), bounds: 0..=i32::MAX, who: Configuration, flags: MEBIBYTES,
        about: c"Disk that the files may take through which backends share large models",
        more: c"The least recently used are deleted. A model that does not fit, or any at 0, is copied by each backend.",
    }
    COUNTED_VERSIONS: Number {
        name: c"reco.counted_versions", value: default(1000), bounds: 0..=100_000, who: Configuration, flags: PLAIN,
        about: c"Versions whose scoring is counted, of all databases together, if the library is preloaded",
        more: c"Read when the server starts; 256 bytes of shared memory each. 0 counts nothing.",
    }
    MAX_IMPORT_SIZE: Number {
        name: c"reco.max_import_size", value: default(256), bounds: 1..=1023, who: Superuser, flags: MEBIBYTES,
        about: c"Largest artifact that import_model() takes",
        more: c"Reading one takes a few times its size in memory.",
    }
    MAX_SCHEDULED_RUNS: Number {
        name: c"reco.max_scheduled_runs", value: default(2), bounds: 1..=64, who: Superuser, flags: PLAIN,
        about: c"Attempts of schedules that run at once in a database",
        more: c"Each is a background worker of max_worker_processes; what is due besides waits.",
    }
    MAX_SCHEDULE_HISTORY: Number {
        name: c"reco.max_schedule_history", value: default(90), bounds: 1..=36_500, who: Superuser, flags: PLAIN,
        about: c"Days after which run_due() forgets an attempt of a schedule",
        more: c"The view reco.schedule_runs shows those that are kept.",
    }
    TRAINER_PATH: Text {
        name: c"reco.trainer_path", value: empty(), who: Superuser, flags: SECRET,
        about: c"Executable of the training process",
        more: c"Empty: pg_recommend/pg_recommend_trainer in the folder of this library, else that of the package pg-recommend-trainer.",
    }
    LIBTORCH_PATH: Text {
        name: c"reco.libtorch_path", value: empty(), who: Superuser, flags: SECRET,
        about: c"Folder with libtorch's shared libraries",
        more: c"Empty: the folder lib beside the trainer.",
    }
    TRAINING_THREADS: Number {
        name: c"reco.training_threads", value: default(0), bounds: 0..=1024, who: Anybody, flags: PLAIN,
        about: c"CPU threads of a training that does not ask for a number itself",
        more: c"At most one for each core, which is what 0 gives.",
    }
    MIN_TRAINING_NICE: Number {
        name: c"reco.min_training_nice", value: default(10), bounds: 0..=19, who: Superuser, flags: PLAIN,
        about: c"Least nice value of the training process",
        more: c"0 competes with the server's own processes, 19 takes only what they leave.",
    }
    TRAINING_NICE: Number {
        name: c"reco.training_nice", value: default(0), bounds: 0..=19, who: Anybody, flags: PLAIN,
        about: c"Nice value of the training process, where it is more than the least",
        more: c"0: reco.min_training_nice.",
    }
    MAX_TRAINING_MEMORY: Number {
        name: c"reco.max_training_memory", value: default(8192), bounds: 0..=i32::MAX, who: Superuser, flags: MEBIBYTES,
        about: c"Most memory a training process may allocate",
        more: c"0: no bound. Data that need more are read from disk by the block; what cannot fit is refused.",
    }
    TRAINING_MEMORY: Number {
        name: c"reco.training_memory", value: default(0), bounds: 0..=i32::MAX, who: Anybody, flags: MEBIBYTES,
        about: c"Memory a training process may allocate, where it is less than the most",
        more: c"0: reco.max_training_memory.",
    }
    LAKE_PATH: Text {
        name: c"reco.lake_path", value: empty(), who: Superuser, flags: SECRET,
        about: c"Executable of the object-storage process",
        more: c"Empty: pg_recommend/pg_recommend_lake in the folder of this library, else that of the package pg-recommend-trainer.",
    }
    LAKE_PREFIXES: Text {
        name: c"reco.lake_prefixes", value: empty(), who: Superuser, flags: PLAIN,
        about: c"Prefixes of the URIs that load_parquet() and save_parquet() may be given, between commas",
        more: c"Empty: none. Superusers are not bound by it.",
    }
    LAKE_CREDENTIALS_FILE: Text {
        name: c"reco.lake_credentials_file", value: empty(), who: Superuser, flags: SECRET,
        about: c"File with the credentials of object stores, which only the server's user may read",
        more: c"Empty: the machine's own identity.",
    }
    MAX_LAKE_MEMORY: Number {
        name: c"reco.max_lake_memory", value: default(1024), bounds: 0..=i32::MAX, who: Superuser, flags: MEBIBYTES,
        about: c"Most memory an object-storage process may allocate",
        more: c"0: no bound. A row group takes at most a quarter of it before it is decoded.",
    }
}

/// Who may set it, and for whom.
enum Who {
    /// Any role, for its own sessions.
    Anybody,
    /// A superuser, or who was granted SET on it.
    Superuser,
    /// The server's configuration, for all sessions alike.
    Configuration,
}

impl Who {
    fn context(&self) -> GucContext {
        match self {
            Self::Anybody => GucContext::Userset,
            Self::Superuser => GucContext::Suset,
            Self::Configuration => GucContext::Sighup,
        }
    }
}

struct Text {
    name: &'static CStr,
    value: GucSetting<Option<CString>>,
    who: Who,
    flags: GucFlags,
    about: &'static CStr,
    more: &'static CStr,
}

struct Number {
    name: &'static CStr,
    value: GucSetting<i32>,
    bounds: RangeInclusive<i32>,
    who: Who,
    flags: GucFlags,
    about: &'static CStr,
    more: &'static CStr,
}

const fn empty() -> GucSetting<Option<CString>> {
    GucSetting::<Option<CString>>::new(None)
}

const fn default(value: i32) -> GucSetting<i32> {
    GucSetting::<i32>::new(value)
}

impl Text {
    fn define(&'static self) {
        let Self { name, value, who, flags, about, more } = self;
        GucRegistry::define_string_guc(name, about, more, value, who.context(), *flags);
    }

    /// `None` where it is empty.
    fn get(&self) -> Option<String> {
        let value = self.value.get()?.to_string_lossy().into_owned();
        (!value.is_empty()).then_some(value)
    }
}

impl Number {
    fn define(&'static self) {
        let Self { name, value, bounds, who, flags, about, more } = self;
        let (least, most) = (*bounds.start(), *bounds.end());
        GucRegistry::define_int_guc(name, about, more, value, least, most, who.context(), *flags);
    }

    fn get(&self) -> i32 {
        self.value.get()
    }

    /// What is set in [`MEBIBYTES`].
    fn bytes(&self) -> u64 {
        (self.get() as u64) << 20
    }
}

/// Called once, when the library is loaded.
pub fn define() {
    define_each();
    reserve_prefix();
}

/// The model that `recommend` uses if the caller names none; `None` if it is not set.
pub fn default_model() -> Option<String> {
    DEFAULT_MODEL.get()
}

/// How many bytes of decoded models a backend keeps in its own memory.
pub fn model_cache_size() -> usize {
    MODEL_CACHE_SIZE.bytes() as usize
}

/// How many bytes the files may take through which backends share models.
pub fn shared_models_size() -> u64 {
    SHARED_MODELS_SIZE.bytes()
}

/// How many versions have a place in shared memory where their scoring is counted.
pub fn counted_versions() -> usize {
    COUNTED_VERSIONS.get() as usize
}

/// The largest number of bytes of an artifact that may be imported.
pub fn max_import_size() -> usize {
    MAX_IMPORT_SIZE.bytes() as usize
}

/// How many attempts of schedules may run at once in a database.
pub fn max_scheduled_runs() -> usize {
    MAX_SCHEDULED_RUNS.get() as usize
}

/// For how many days attempts of schedules are kept.
pub fn max_schedule_history() -> i32 {
    MAX_SCHEDULE_HISTORY.get()
}

/// Where the Debian package pg-recommend-trainer has the programs, which serve servers of every major version.
const PACKAGED: &str = "/usr/lib/pg_recommend";

/// The path of the trainer's executable. One beside the extension belongs to it, so that it goes before the package's.
pub fn trainer_path() -> PathBuf {
    TRAINER_PATH.get().map_or_else(|| installed("pg_recommend_trainer"), PathBuf::from)
}

/// Where a program is installed.
fn installed(program: &str) -> PathBuf {
    let beside = own_library::folder().join("pg_recommend").join(program);
    let packaged = Path::new(PACKAGED).join(program);
    match packaged.exists() && !beside.exists() {
        true => packaged,
        false => beside,
    }
}

/// The folder in which the trainer looks for libtorch before it looks in its own folder `lib`.
pub fn libtorch_path() -> Option<String> {
    LIBTORCH_PATH.get()
}

/// The library that the trainer is linked with.
const LIBTORCH: &str = "libtorch_cpu.so";

/// Refuses a folder without libtorch, because the dynamic linker would look in other folders without a word.
pub fn check_libtorch_path() -> Result<(), Error> {
    match libtorch_path() {
        Some(folder) if !Path::new(&folder).join(LIBTORCH).is_file() => Err(Error::InvalidArgument(
            format!("reco.libtorch_path names a folder in which the server finds no {LIBTORCH}"),
            Some("Name the folder of libtorch's shared libraries, or leave it empty for those beside the trainer.".into()),
        )),
        _ => Ok(()),
    }
}

/// The path of the object-storage process's executable.
pub fn lake_path() -> PathBuf {
    LAKE_PATH.get().map_or_else(|| installed("pg_recommend_lake"), PathBuf::from)
}

/// The prefixes of URIs that may be given, as they were set.
pub fn lake_prefixes() -> String {
    LAKE_PREFIXES.get().unwrap_or_default()
}

/// The file with the credentials of object stores; `None`: the machine's own identity.
pub fn lake_credentials_file() -> Option<String> {
    LAKE_CREDENTIALS_FILE.get()
}

/// How many bytes of memory an object-storage process may allocate; `None` means that there is no bound.
pub fn lake_memory() -> Option<u64> {
    Some(MAX_LAKE_MEMORY.bytes()).filter(|bytes| *bytes > 0)
}

/// The number of CPU threads of a training, at most one for each core; 0 means all cores.
pub fn training_threads() -> usize {
    (TRAINING_THREADS.get() as usize).min(cores())
}

/// The number of cores that this process and its children may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// The trainer's nice value, at least what a superuser has set. The higher it is, the more a training yields to the server.
pub fn training_nice() -> i32 {
    MIN_TRAINING_NICE.get().max(TRAINING_NICE.get())
}

/// How many bytes of memory a trainer may allocate, at most what a superuser has set; `None` means that there is no bound.
pub fn training_memory() -> Option<u64> {
    [&MAX_TRAINING_MEMORY, &TRAINING_MEMORY].map(Number::bytes).into_iter().filter(|bytes| *bytes > 0).min()
}

/// Makes a misspelt setting that begins with `reco.` an error.
fn reserve_prefix() {
    // SAFETY: the literal is NUL-terminated, and this is called while the library is being loaded.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"reco".as_ptr()) }
}
