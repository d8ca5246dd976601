//! The library and the trainer of a version, where one server finds them. Each server has a folder of its own, in which
//! they are replaced as an installation does it: a new file takes the name, and who has the old one open keeps it.

use integration::installation::Installation;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub const NEW: &str = env!("CARGO_PKG_VERSION");
const LIBRARY: &str = "pg_recommend.so";
const TRAINER: &str = "pg_recommend_trainer";

/// The versions whose libraries are there, oldest first.
pub fn releases() -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(built())
        .expect("scripts/test-upgrade has built the releases")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|version| version != NEW)
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no release in {:?}", built());
    found
}

/// A folder for each version, with its library, its trainer and its libtorch.
fn built() -> PathBuf {
    PathBuf::from(
        std::env::var_os("PG_RECOMMEND_RELEASES").expect("scripts/test-upgrade says where they are"),
    )
}

pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Those of a version.
    pub fn of(version: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let state = &Installation::get().state;
        let folder = state.join("tests").join(name);
        fs::create_dir(&folder).expect("the folder is made");
        let files = Self { folder };
        files.replace_by(version);
        files
    }

    pub fn replace_by(&self, version: &str) {
        let new = self.folder.join("new");
        for file in [LIBRARY, TRAINER] {
            fs::copy(built().join(version).join(file), &new).expect("the version has been built");
            fs::rename(&new, self.folder.join(file)).expect("the file is replaced");
        }
        // The trainer looks for libtorch there.
        let libtorch = built().join(version).join("libtorch/lib");
        std::os::unix::fs::symlink(libtorch, &new).expect("the link is made");
        fs::rename(&new, self.folder.join("lib")).expect("the link is replaced");
    }

    /// What a server needs to find them.
    pub fn settings(&self) -> String {
        let (folder, trainer) = (self.folder.display(), self.folder.join(TRAINER));
        format!("dynamic_library_path = '{folder}:$libdir'\nreco.trainer_path = '{}'\n", trainer.display())
    }

    /// The library's file as a backend has it mapped; Linux adds that a file is deleted.
    pub fn mapped(&self, backend: i32) -> String {
        let maps = fs::read_to_string(Path::new("/proc").join(backend.to_string()).join("maps")).unwrap();
        let path = self.folder.join(LIBRARY);
        let line = maps.lines().find(|line| line.contains(path.to_str().unwrap()));
        line.map(|line| line[line.find('/').unwrap()..].to_owned()).unwrap_or_default()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
