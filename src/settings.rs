//! Every setting of the extension.
//!
//! A setting that begins with `max_` or `min_` is a limit. Only a superuser, or a role that was granted SET on it, can set
//! it for the server, a database or a role. What a user wishes within a limit is a setting of its own. One setting could
//! not do both: what any role may set, it may also make the default at login of its role or its database, and then nothing
//! tells who wanted it.

use crate::error::Error;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

static DEFAULT_MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static MODEL_CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64);
static SHARED_MODELS_SIZE: GucSetting<i32> = GucSetting::<i32>::new(4096);
static MAX_IMPORT_SIZE: GucSetting<i32> = GucSetting::<i32>::new(256);
static TRAINER_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static LIBTORCH_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TRAINING_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static MIN_TRAINING_NICE: GucSetting<i32> = GucSetting::<i32>::new(10);
static TRAINING_NICE: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_TRAINING_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(8192);
static TRAINING_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(0);

/// The model that `recommend` uses if the caller names none; `None` if it is not set.
pub fn default_model() -> Option<String> {
    text(&DEFAULT_MODEL)
}

/// How many bytes of decoded models a backend keeps in its own memory.
pub fn model_cache_size() -> usize {
    MODEL_CACHE_SIZE.get() as usize * MEBIBYTE
}

/// How many bytes the files may take through which backends share models.
pub fn shared_models_size() -> u64 {
    SHARED_MODELS_SIZE.get() as u64 * MEBIBYTE as u64
}

/// The largest number of bytes of an artifact that may be imported.
pub fn max_import_size() -> usize {
    MAX_IMPORT_SIZE.get() as usize * MEBIBYTE
}

/// The path of the trainer's executable.
pub fn trainer_path() -> PathBuf {
    match text(&TRAINER_PATH) {
        Some(path) => PathBuf::from(path),
        None => library_folder().join("pg_recommend").join("pg_recommend_trainer"),
    }
}

/// The folder in which the trainer looks for libtorch before it looks in its own folder `lib`.
pub fn libtorch_path() -> Option<String> {
    text(&LIBTORCH_PATH)
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
    let bounds = [MAX_TRAINING_MEMORY.get(), TRAINING_MEMORY.get()];
    let least = bounds.into_iter().filter(|mebibytes| *mebibytes > 0).min();
    least.map(|mebibytes| mebibytes as u64 * MEBIBYTE as u64)
}

const MEBIBYTE: usize = 1 << 20;

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    let value = setting.get()?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

/// The server's folder of loadable modules.
fn library_folder() -> PathBuf {
    // SAFETY: the server fills this array with a NUL-terminated path before it loads any module.
    let path = unsafe { CStr::from_ptr((&raw const pgrx::pg_sys::pkglib_path).cast()) };
    PathBuf::from(path.to_string_lossy().into_owned())
}

/// Defines the settings. This is called once, when the library is loaded.
pub fn define() {
    let superuser_only = GucFlags::SUPERUSER_ONLY;
    GucRegistry::define_string_guc(
        c"reco.default_model",
        c"Model that recommend() uses when none is named",
        c"Empty: the only one that the caller owns, else that the database's owner has granted to it, else to everybody.",
        &DEFAULT_MODEL,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"reco.model_cache_size",
        c"Memory a backend keeps for models it has scored with",
        c"The model in use is kept even if it is larger.",
        &MODEL_CACHE_SIZE,
        1,
        65_536,
        GucContext::Userset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"reco.shared_models_size",
        c"Disk that the files may take through which backends share large models",
        c"The least recently used are deleted. A model that does not fit, or any at 0, is copied by each backend.",
        &SHARED_MODELS_SIZE,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"reco.max_import_size",
        c"Largest artifact that import_model() takes",
        c"Reading one takes a few times its size in memory.",
        &MAX_IMPORT_SIZE,
        1,
        1023,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_string_guc(
        c"reco.trainer_path",
        c"Executable of the training process",
        c"Empty: pg_recommend/pg_recommend_trainer in the server's library folder.",
        &TRAINER_PATH,
        GucContext::Suset,
        superuser_only,
    );
    GucRegistry::define_string_guc(
        c"reco.libtorch_path",
        c"Folder with libtorch's shared libraries",
        c"Empty: the folder lib beside the trainer.",
        &LIBTORCH_PATH,
        GucContext::Suset,
        superuser_only,
    );
    GucRegistry::define_int_guc(
        c"reco.training_threads",
        c"CPU threads of a training that does not ask for a number itself",
        c"At most one for each core, which is what 0 gives.",
        &TRAINING_THREADS,
        0,
        1024,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"reco.min_training_nice",
        c"Least nice value of the training process",
        c"0 competes with the server's own processes, 19 takes only what they leave.",
        &MIN_TRAINING_NICE,
        0,
        19,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"reco.training_nice",
        c"Nice value of the training process, where it is more than the least",
        c"0: reco.min_training_nice.",
        &TRAINING_NICE,
        0,
        19,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"reco.max_training_memory",
        c"Most memory a training process may allocate",
        c"0: no bound. Data that need more are read from disk by the block; what cannot fit is refused.",
        &MAX_TRAINING_MEMORY,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"reco.training_memory",
        c"Memory a training process may allocate, where it is less than the most",
        c"0: reco.max_training_memory.",
        &TRAINING_MEMORY,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MB,
    );
    reserve_prefix();
}

/// Makes a misspelt setting that begins with `reco.` an error.
fn reserve_prefix() {
    // SAFETY: the literal is NUL-terminated, and this is called while the library is being loaded.
    unsafe {
        #[cfg(any(feature = "pg13", feature = "pg14"))]
        pgrx::pg_sys::EmitWarningsOnPlaceholders(c"reco".as_ptr());
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        pgrx::pg_sys::MarkGUCPrefixReserved(c"reco".as_ptr());
    }
}
