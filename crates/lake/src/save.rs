//! A query's rows into files: one, or a folder of them, with a folder for each value of the columns of partition_by.

use crate::error::{LakeError, Result};
use crate::output::{Output, Part};
use crate::rows::{folder_text, next_row, Rows};
use crate::{credentials, hive, say, store};
use lake_protocol::frame::{END, ROWS};
use lake_protocol::message::{Event, Save};
use lake_protocol::uri::Uri;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tokio::runtime::Handle;

/// Readers take a row group at a time: large enough to be worth a request, small enough for their memory.
const ROW_GROUP_ROWS: usize = 1 << 20;
const ROW_GROUP_BYTES: usize = 128 << 20;
/// A file of a folder ends after so many bytes, and another one begins.
const FILE_BYTES: u64 = 1 << 30;
/// How many rows, and bytes of them, are made an array at a time.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 8 << 20;

pub fn run(save: Save, runtime: &Handle) -> Result<()> {
    let uri = Uri::parse(&save.uri).map_err(LakeError::argument)?;
    if uri.has_wildcards() {
        return Err(LakeError::argument(format!("{uri} has wildcards: files are written to one place")));
    }
    let partitions = partitions(&save)?;
    let options = credentials::options(save.credentials.as_deref(), &uri)?;
    let store = store::open(&uri, &options)?;
    let rows = Rows::new(&save.columns, &partitions)?;
    let output = Output::begin(uri, store, !partitions.is_empty(), save.replace, runtime.clone())?;
    let mut saving =
        Saving { save, partitions, rows, output, file: None, files: 0, total: 0, bytes: 0, folder: None };
    saving.take_all()?;
    let Saving { output, files, total, bytes, .. } = saving;
    output.commit()?;
    say::event(&Event::Finished { rows: total, files, bytes })
}

fn partitions(save: &Save) -> Result<Vec<usize>> {
    let position = |name: &String| {
        let found = save.columns.iter().position(|column| column.name == *name);
        found.ok_or_else(|| {
            LakeError::argument(format!("partition_by names \"{name}\", which is no column of the rows"))
        })
    };
    save.partition_by.iter().map(position).collect()
}

struct Saving {
    save: Save,
    partitions: Vec<usize>,
    rows: Rows,
    output: Output,
    file: Option<Open>,
    files: u64,
    total: u64,
    bytes: u64,
    /// The folder of the file that is written, and the fields that it was made of.
    folder: Option<(Vec<Option<Vec<u8>>>, String)>,
}

struct Open {
    part: Part,
    /// Writes into memory, from where what is finished goes to the part.
    writer: ArrowWriter<Vec<u8>>,
    written: u64,
}

impl Saving {
    /// Takes rows until the backend says that these were all. If it goes away before, nothing may be seen.
    fn take_all(&mut self) -> Result<()> {
        let mut room = Vec::new();
        loop {
            match say::next(&mut room)? {
                Some(ROWS) => self.take(&room)?,
                Some(END) => break,
                _ => return Err(LakeError::process("the backend went away before its rows were complete")),
            }
        }
        // A query without rows has columns, and so has its file.
        if self.files == 0 && self.partitions.is_empty() {
            self.open()?;
        }
        self.close()
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        let (mut rest, mut fields) = (piece, Vec::new());
        while next_row(&mut rest, &mut fields, self.save.columns.len())?.is_some() {
            self.enter_folder(&fields)?;
            self.rows.append(&fields)?;
            self.total += 1;
            if self.rows.count >= BATCH_ROWS || self.rows.bytes >= BATCH_BYTES {
                self.write()?;
            }
        }
        Ok(())
    }

    /// Begins a folder where a row belongs into another one than the row before it.
    fn enter_folder(&mut self, fields: &[Option<&[u8]>]) -> Result<()> {
        let of_row: Vec<_> = self.partitions.iter().map(|at| fields[*at]).collect();
        if self
            .folder
            .as_ref()
            .is_some_and(|(of, _)| of.iter().map(Option::as_deref).eq(of_row.iter().copied()))
        {
            return Ok(());
        }
        self.close()?;
        let mut name = String::new();
        for at in &self.partitions {
            let column = &self.save.columns[*at];
            let value = fields[*at].map(|field| folder_text(field, column)).transpose()?;
            name = name + &hive::folder(&column.name, value.as_deref()) + "/";
        }
        self.folder = Some((of_row.into_iter().map(|field| field.map(<[u8]>::to_vec)).collect(), name));
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let folder = self.folder.as_ref().map_or("", |(_, name)| name);
        let part = self.output.part(&format!("{folder}part-{:05}.parquet", self.files))?;
        let writer =
            ArrowWriter::try_new(Vec::new(), self.rows.schema(), Some(properties())).map_err(unmade)?;
        self.file = Some(Open { part, writer, written: 0 });
        self.files += 1;
        Ok(())
    }

    /// Writes the rows that wait.
    fn write(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        let batch = self.rows.take()?;
        let Some(open) = &mut self.file else { return Ok(()) };
        open.writer.write(&batch).map_err(unmade)?;
        let finished = std::mem::take(open.writer.inner_mut());
        open.written += finished.len() as u64;
        self.output.write(&mut open.part, &finished)?;
        match self.output.is_folder && open.written >= FILE_BYTES {
            true => self.close(),
            false => Ok(()),
        }
    }

    /// Ends the file that is written, if there is one.
    fn close(&mut self) -> Result<()> {
        if self.rows.count > 0 {
            self.write()?;
        }
        let Some(Open { mut part, writer, written }) = self.file.take() else { return Ok(()) };
        let rest = writer.into_inner().map_err(unmade)?;
        self.output.write(&mut part, &rest)?;
        self.bytes += written + rest.len() as u64;
        self.output.close(part)
    }
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build()
}

fn unmade(error: ParquetError) -> LakeError {
    LakeError::process(format!("the rows could not be written as Parquet: {error}"))
}
