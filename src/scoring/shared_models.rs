//! Large models, each mapped from one file by all backends, instead of decoded into the memory of every one of them.
//!
//! A file is an image of a scorer (see [`model::image`]). The first backend that needs it makes it from the catalog and
//! names it by the digest of the weights, which the catalog holds. The file lies among the server's temporary files: it may
//! be deleted at any time, is not part of a base backup, and is gone when the server starts. No file decides anything.
//! Which version scores, and that it exists, is what the catalog says under the statement's snapshot. A file that is
//! missing, or is not exactly what this server wrote, is made again, and if no file can be made the model is decoded.

use crate::catalog::read::VersionRow;
use crate::catalog::weights::{self, Summary};
use crate::error::Error;
use crate::pg::mapping::{losses, Mapping};
use crate::settings;
use bytes::Bytes;
use model::image::{Content, BUILD};
use model::{Artifact, Scorer};
use pgrx::pg_sys;
use std::fs::{DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, process};

/// The folder, relative to the data directory, in which every backend runs. Both names have the prefix of what the server
/// deletes when it starts.
const FOLDER: &str = "base/pgsql_tmp/pgsql_tmp_reco";
/// Models with a smaller artifact are decoded by each backend: a mapping would save less than it costs.
const LEAST: usize = 256 << 10;

/// A scorer, and the mapping that it reads, if it is mapped.
pub type Found = (Scorer, Option<Arc<Mapping>>);

/// The scorer of a version's weights. It is mapped if they are large, and decoded otherwise.
pub fn scorer(version: &VersionRow) -> Result<Found, Error> {
    let Summary { digest: content, size } = weights::summary(version)?;
    if size < LEAST || settings::shared_models_size() == 0 {
        return Ok((decode(version)?, None));
    }
    if let Some(found) = open(&content) {
        return Ok(found);
    }
    // One backend makes the file, and the backends that wait here find it: decoding takes several times the model's size in
    // memory.
    let _turn = take_turn(&content);
    if let Some(found) = open(&content) {
        return Ok(found);
    }
    let decoded = decode(version)?;
    if let Err(error) = write(&decoded, &content) {
        whisper!("the file of the weights {} could not be written: {error}", version.artifact_id);
    }
    Ok(open(&content).unwrap_or((decoded, None)))
}

/// Deletes the file of weights that are about to leave the catalog. If they stay after all, the file is made again.
pub fn remove(content: &Content) {
    // A failure is ignored, because nothing depends on the deletion.
    let _ = fs::remove_file(path(content));
}

fn decode(version: &VersionRow) -> Result<Scorer, Error> {
    Ok(Scorer::new(&Artifact::from_bytes(&weights::read(version)?)?)?)
}

/// The file's path. Another build of this library has files of its own.
fn path(content: &Content) -> PathBuf {
    let digest: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    Path::new(FOLDER).join(format!("{digest}.{BUILD}"))
}

/// The scorer of the file, if the file exists and is as [`write`] left it.
fn open(content: &Content) -> Option<Found> {
    let path = path(content);
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).ok()?;
    if !is_untouched(&file, content).ok()? {
        return None;
    }
    // The least recently opened files are deleted first. A failure only makes this file look older.
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
    let before = losses();
    let mapping = Arc::new(Mapping::new(file)?);
    let scorer = Scorer::of_image(Bytes::from_owner(Shared(Arc::clone(&mapping))), content).ok()?;
    (losses() == before).then_some((scorer, Some(mapping)))
}

/// A shared owner of a mapping.
struct Shared(Arc<Mapping>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// Whether a file belongs to the server's user and was not written to since [`write`] set its time.
fn is_untouched(file: &File, content: &Content) -> io::Result<bool> {
    let is = file.metadata()?;
    // SAFETY: geteuid takes no argument and always succeeds.
    let me = unsafe { libc::geteuid() };
    Ok(is.is_file() && is.uid() == me && is.mode() & 0o7777 == MODE && is.modified()? == seal(content))
}

const MODE: u32 = 0o400;

/// The modification time of a file with this content. It lies long ago, so no write leaves it behind.
fn seal(content: &Content) -> SystemTime {
    let [a, b, c, ..] = *content;
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(u32::from_be_bytes([0, a, b, c])))
}

/// Writes the file under another name and renames it, so that nobody sees a part of it.
fn write(scorer: &Scorer, content: &Content) -> Result<(), Error> {
    let image = scorer.image(content)?;
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(FOLDER)?;
        make_room(image.length() as u64)?;
        let unfinished = Unfinished(path(content).with_extension(process::id().to_string()));
        // A process with the same number may have left the file.
        let _ = fs::remove_file(&unfinished.0);
        let flags = libc::O_NOFOLLOW;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(&unfinished.0)?;
        image.write(&mut file)?;
        file.flush()?;
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.set_times(FileTimes::new().set_modified(seal(content)).set_accessed(SystemTime::now()))?;
        fs::rename(&unfinished.0, path(content))
    };
    write().map_err(Error::system("could not write a shared model"))
}

/// A file that is deleted when this value is dropped, unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Deletes the least recently opened files until a file of this length fits beside the others. A deleted file that a
/// backend has mapped stays there until it is unmapped. It is an error if the length can never fit.
fn make_room(length: u64) -> io::Result<()> {
    let most = settings::shared_models_size();
    if length > most {
        return Err(io::Error::other(format!("its {length} bytes are more than reco.shared_models_size")));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let entry = entry?;
        // The file may be gone by now, because another backend makes room as well.
        let Ok(is) = entry.metadata() else { continue };
        files.push((is.accessed()?, is.len(), entry.path()));
    }
    let mut taken: u64 = files.iter().map(|(_, length, _)| length).sum();
    files.sort_unstable();
    for (_, size, path) in files {
        if taken + length <= most {
            break;
        }
        if fs::remove_file(path).is_ok() {
            taken -= size;
        }
    }
    Ok(())
}

/// One backend at a time makes the file of a model. Held until dropped, at the latest until the transaction ends.
struct Turn(pg_sys::LOCKTAG);

/// Waits until no other backend holds the lock. An interrupt or a deadlock ends the wait, as it does for any lock.
fn take_turn(content: &Content) -> Turn {
    let tag = tag(content);
    // SAFETY: every field of the tag is set, and the server knows its lock method.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
    Turn(tag)
}

/// The tag of an advisory lock of a kind that SQL cannot take. It is the same in all databases.
fn tag(content: &Content) -> pg_sys::LOCKTAG {
    const KIND: u16 = 0x7265;
    let [a, b, c, d, e, f, g, h, ..] = *content;
    pg_sys::LOCKTAG {
        locktag_field1: 0,
        locktag_field2: u32::from_be_bytes([a, b, c, d]),
        locktag_field3: u32::from_be_bytes([e, f, g, h]),
        locktag_field4: KIND,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction releases the lock.
        if !std::thread::panicking() {
            // SAFETY: taken in `take_turn`, released once.
            unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as i32, false) };
        }
    }
}
