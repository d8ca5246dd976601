//! Large models, mapped by all backends from one file each instead of decoded into the memory of every one.
//!
//! A file is an image of a scorer (see [`model::image`]), made from the catalog by the first backend that needs it and
//! named by the digest of the weights, which the catalog holds. It lies among the server's temporary files, because that is
//! what it is: it may be deleted at any time, is not part of a base backup, and is gone when the server starts. No file
//! decides anything: which version scores, and that it exists, is what the catalog says under the statement's snapshot; one
//! that is missing, or not exactly what this server wrote, is made anew; and where none can be made, the model is decoded.

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

/// In the data folder, where every backend runs. Both names begin as the server wants them of what it deletes when it starts.
const FOLDER: &str = "base/pgsql_tmp/pgsql_tmp_reco";
/// Models whose artifact is smaller are decoded by each backend: their copies cost less than a mapping is worth.
const LEAST: usize = 256 << 10;

/// A scorer, and what it reads if that is mapped.
pub type Found = (Scorer, Option<Arc<Mapping>>);

/// The scorer of a version's weights: mapped if they are large, otherwise decoded.
pub fn scorer(version: &VersionRow) -> Result<Found, Error> {
    let Summary { digest: content, size } = weights::summary(version)?;
    if size < LEAST || settings::shared_models_size() == 0 {
        return Ok((decode(version)?, None));
    }
    if let Some(found) = open(&content) {
        return Ok(found);
    }
    // One backend makes the file; those that wait here find it. Decoding takes several times the model's size.
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

/// Deletes the file of weights that are about to leave the catalog. If they stay after all, it is made again.
pub fn remove(content: &Content) {
    // Nothing depends on it.
    let _ = fs::remove_file(path(content));
}

fn decode(version: &VersionRow) -> Result<Scorer, Error> {
    Ok(Scorer::new(&Artifact::from_bytes(&weights::read(version)?)?)?)
}

/// Another build of this library has files of its own.
fn path(content: &Content) -> PathBuf {
    let digest: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    Path::new(FOLDER).join(format!("{digest}.{BUILD}"))
}

/// The scorer of the file, if it is there as [`write`] left it.
fn open(content: &Content) -> Option<Found> {
    let path = path(content);
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).ok()?;
    if !is_untouched(&file, content).ok()? {
        return None;
    }
    // The least recently opened are deleted first; a failure only makes this one look older.
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
    let before = losses();
    let mapping = Arc::new(Mapping::new(file)?);
    let scorer = Scorer::of_image(Bytes::from_owner(Shared(Arc::clone(&mapping))), content).ok()?;
    (losses() == before).then_some((scorer, Some(mapping)))
}

/// A share of a mapping.
struct Shared(Arc<Mapping>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// Whether a file is the server's own and was not written to since [`write`] set its time.
fn is_untouched(file: &File, content: &Content) -> io::Result<bool> {
    let is = file.metadata()?;
    // SAFETY: always succeeds.
    let me = unsafe { libc::geteuid() };
    Ok(is.is_file() && is.uid() == me && is.mode() & 0o7777 == MODE && is.modified()? == seal(content))
}

const MODE: u32 = 0o400;

/// The time of last change that a file of this content has: one long ago, which no write leaves behind.
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
        // Of an earlier process with this number.
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

/// A file that is deleted unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Deletes the least recently opened files until one of this length fits with the others. One that is mapped somewhere
/// stays there until it is let go. A length that never fits is an error.
fn make_room(length: u64) -> io::Result<()> {
    let most = settings::shared_models_size();
    if length > most {
        return Err(io::Error::other(format!("its {length} bytes are more than reco.shared_models_size")));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let entry = entry?;
        // Gone by now: somebody else makes room as well.
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

/// Waits until no other backend has the turn; interrupts and deadlocks end the wait as those of any lock.
fn take_turn(content: &Content) -> Turn {
    let tag = tag(content);
    // SAFETY: a complete tag, of a method that the server has.
    unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as i32, false, false) };
    Turn(tag)
}

/// An advisory lock of a kind that SQL cannot take, the same in all databases.
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
        // While an error unwinds, the transaction's abort releases the lock.
        if !std::thread::panicking() {
            // SAFETY: taken in `take_turn`, released once.
            unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as i32, false) };
        }
    }
}
