//! Files that are seen whole or not at all: on the machine written beside and renamed, in a store as uploads that are
//! completed at the end. What was not committed is removed when the [`Output`] is dropped.

use crate::error::{LakeError, Result};
use crate::list;
use crate::store::{path, Store};
use bytes::Bytes;
use futures_util::StreamExt;
use lake_protocol::uri::{Scheme, Uri};
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStoreExt};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// How many bytes one request uploads. A store takes 10,000 of a file, and not less than 5 MB.
const PART: usize = 16 << 20;

pub struct Output {
    uri: Uri,
    /// Whether many files may be written, below a folder.
    pub is_folder: bool,
    replace: bool,
    to: To,
    committed: bool,
}

enum To {
    /// Written at the first path, then renamed to the second.
    Machine {
        beside: PathBuf,
        at: PathBuf,
    },
    Store {
        store: Store,
        runtime: Handle,
        uploads: Vec<Upload>,
    },
}

struct Upload {
    to: ObjectPath,
    upload: Box<dyn MultipartUpload>,
    /// What waits to fill a part.
    waiting: Vec<u8>,
    completed: bool,
}

/// A file that is being written.
pub enum Part {
    Machine(File),
    /// The last of the uploads.
    Store,
}

impl Output {
    /// Looks whether something is there that must not be replaced.
    pub fn begin(uri: Uri, store: Store, partitioned: bool, replace: bool, runtime: Handle) -> Result<Self> {
        let is_file =
            !uri.is_folder && !partitioned && list::is_parquet(uri.segments.last().map_or("", |last| last));
        if replace && !is_file {
            return Err(LakeError::argument("only a single file can be replaced, and this is a folder")
                .hint(
                "Write to a new folder, or name one file: one that ends with .parquet, without partition_by.",
            ));
        }
        let to = match uri.scheme {
            Scheme::File => on_machine(&uri, is_file)?,
            _ => To::Store { store, runtime, uploads: Vec::new() },
        };
        let output = Self { uri, is_folder: !is_file, replace, to, committed: false };
        match !replace && output.is_taken()? {
            true => Err(output.taken()),
            false => Ok(output),
        }
    }

    fn is_taken(&self) -> Result<bool> {
        let failed = |error| LakeError::store(&format!("could not look at {}", self.uri), &error);
        match &self.to {
            To::Machine { at, .. } if self.is_folder => match fs::read_dir(at) {
                Ok(mut entries) => Ok(entries.next().is_some()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(LakeError::io(&format!("could not look at {}", self.uri), &error)),
            },
            To::Machine { at, .. } => Ok(fs::symlink_metadata(at).is_ok()),
            To::Store { store, runtime, .. } => {
                let at = path(&self.uri.segments)?;
                runtime.block_on(async {
                    match self.is_folder {
                        true => match store.list(Some(&at)).next().await {
                            None => Ok(false),
                            Some(first) => first.map(|_| true).map_err(failed),
                        },
                        false => match store.head(&at).await {
                            Ok(_) => Ok(true),
                            Err(object_store::Error::NotFound { .. }) => Ok(false),
                            Err(error) => Err(failed(error)),
                        },
                    }
                })
            }
        }
    }

    fn taken(&self) -> LakeError {
        let (what, hint) = match self.is_folder {
            true => ("there are files below", "Write to a new folder."),
            false => ("there is a file at", "Write to another one, or say replace => true."),
        };
        LakeError::argument(format!("{what} {} already", self.uri)).hint(hint)
    }

    /// Begins a file. Its name is relative to the folder, and not used where there is one file only.
    pub fn part(&mut self, name: &str) -> Result<Part> {
        match &mut self.to {
            To::Machine { beside, .. } => {
                let at = if self.is_folder { beside.join(name) } else { beside.clone() };
                if let Some(folder) = at.parent() {
                    fs::create_dir_all(folder).map_err(|error| unwritten(&self.uri, &error))?;
                }
                Ok(Part::Machine(File::create_new(&at).map_err(|error| unwritten(&self.uri, &error))?))
            }
            To::Store { store, runtime, uploads } => {
                let mut segments = self.uri.segments.clone();
                if self.is_folder {
                    segments.extend(name.split('/').map(str::to_owned));
                }
                let to = path(&segments)?;
                let upload = runtime.block_on(store.put_multipart(&to));
                let upload = upload.map_err(|error| unsent(&self.uri, &error))?;
                uploads.push(Upload { to, upload, waiting: Vec::new(), completed: false });
                Ok(Part::Store)
            }
        }
    }

    pub fn write(&mut self, part: &mut Part, bytes: &[u8]) -> Result<()> {
        match part {
            Part::Machine(file) => file.write_all(bytes).map_err(|error| unwritten(&self.uri, &error)),
            Part::Store => self.upload(bytes, PART),
        }
    }

    /// Ends a file, which nobody sees yet.
    pub fn close(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Machine(file) => file.sync_all().map_err(|error| unwritten(&self.uri, &error)),
            Part::Store => self.upload(&[], 1),
        }
    }

    /// Sends what waits, as long as it is so much.
    fn upload(&mut self, bytes: &[u8], least: usize) -> Result<()> {
        let To::Store { runtime, uploads, .. } = &mut self.to else { return Ok(()) };
        let Some(Upload { upload, waiting, .. }) = uploads.last_mut() else { return Ok(()) };
        waiting.extend_from_slice(bytes);
        while waiting.len() >= least {
            let rest = waiting.split_off(waiting.len().min(PART));
            let piece = std::mem::replace(waiting, rest);
            let sent = runtime.block_on(upload.put_part(Bytes::from(piece).into()));
            sent.map_err(|error| unsent(&self.uri, &error))?;
        }
        Ok(())
    }

    /// Makes everything seen that was written.
    pub fn commit(mut self) -> Result<()> {
        match &mut self.to {
            To::Machine { beside, at } => {
                let renamed = rename(beside, at, self.is_folder, self.replace);
                match renamed {
                    Err(error) if is_there(&error) => return Err(self.taken()),
                    renamed => renamed.map_err(|error| unwritten(&self.uri, &error))?,
                }
            }
            To::Store { runtime, uploads, .. } => {
                for one in uploads {
                    runtime.block_on(one.upload.complete()).map_err(|error| unsent(&self.uri, &error))?;
                    one.completed = true;
                }
            }
        }
        self.committed = true;
        Ok(())
    }
}

/// What is removed here nobody has seen, but for files of a store that were completed before another failed. Errors are
/// ignored, because there is one already.
impl Drop for Output {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        match &mut self.to {
            To::Machine { beside, .. } => {
                let _ = if self.is_folder { fs::remove_dir_all(beside) } else { fs::remove_file(beside) };
            }
            To::Store { store, runtime, uploads } => {
                for one in uploads {
                    let _ = runtime.block_on(async {
                        match one.completed {
                            true => store.delete(&one.to).await,
                            false => one.upload.abort().await,
                        }
                    });
                }
            }
        }
    }
}

fn on_machine(uri: &Uri, is_file: bool) -> Result<To> {
    let at = Path::new("/").join(uri.segments.join("/"));
    let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
        return Err(LakeError::argument(format!("{uri} is no place to write to")));
    };
    fs::create_dir_all(parent).map_err(|error| unwritten(uri, &error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let beside = parent.join(format!(".{}.{}-{now:x}.tmp", name.to_string_lossy(), std::process::id()));
    if !is_file {
        fs::create_dir(&beside).map_err(|error| unwritten(uri, &error))?;
    }
    Ok(To::Machine { beside, at })
}

/// A folder takes the place of one that is not there or is empty. A file that must not be replaced gets its name by a link,
/// which fails where there is one.
fn rename(beside: &Path, at: &Path, is_folder: bool, replace: bool) -> std::io::Result<()> {
    match is_folder || replace {
        true => fs::rename(beside, at)?,
        false => {
            fs::hard_link(beside, at)?;
            fs::remove_file(beside)?;
        }
    }
    File::open(at.parent().unwrap_or(at))?.sync_all()
}

fn is_there(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory)
}

fn unwritten(uri: &Uri, error: &std::io::Error) -> LakeError {
    LakeError::io(&format!("could not write {uri}"), error)
}

fn unsent(uri: &Uri, error: &object_store::Error) -> LakeError {
    LakeError::store(&format!("could not write {uri}"), error)
}
