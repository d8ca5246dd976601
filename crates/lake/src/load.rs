//! Files into a table: lists them, and sends the rows of those that the backend chooses as binary COPY reads them.

use crate::columns::{decide, Loaded, Plan, Source};
use crate::convert::putter;
use crate::error::{LakeError, Result};
use crate::field::{Put, NULL_FIELD};
use crate::list::{files, Found};
use crate::store::{self, Store};
use crate::watched::WatchedFile;
use crate::{credentials, say};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use lake_protocol::message::{Choice, Event, Load};
use lake_protocol::uri::Uri;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::arrow::ProjectionMask;
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{channel, Receiver, Sender};

/// How many rows are decoded at a time.
const BATCH: usize = 4096;
/// How many bytes of rows are sent at a time.
const PIECE: usize = 256 << 10;
/// How binary COPY begins: its signature, no flags, no extension; and how it ends.
const COPY_BEGINS: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_ENDS: [u8; 2] = (-1_i16).to_be_bytes();

/// A file that can be read: what its footer says, and where its columns go.
struct Opened {
    uri: String,
    metadata: ArrowReaderMetadata,
    plan: Plan,
    reader: WatchedFile,
}

/// What the task that reads sends to the one that converts: one row group, or the end of a file.
enum Piece {
    RowGroup { file: Arc<Opened>, number: usize, rows: ParquetRecordBatchReader },
    End { file: usize, rows: u64 },
}

pub fn run(load: Load, runtime: &Handle) -> Result<()> {
    let uri = Uri::parse(&load.uri).map_err(LakeError::argument)?;
    let options = credentials::options(load.credentials.as_deref(), &uri)?;
    let store = store::open(&uri, &options)?;
    let mut found = runtime.block_on(files(&store, &uri))?;
    let listed = found.iter().map(|found| found.file.clone()).collect();
    say::event(&Event::Listed { files: listed })?;
    let choice: Choice = say::message()?;
    let bytes = choice.files.iter().filter_map(|n| found.get(*n)).map(|found| found.file.bytes).sum();
    let chosen: Vec<(usize, Found)> =
        found.drain(..).enumerate().filter(|(n, _)| choice.files.contains(n)).collect();
    let files = chosen.len() as u64;
    let rows = match chosen.is_empty() {
        true => 0,
        false => send_all(&load, store, chosen, runtime)?,
    };
    say::event(&Event::Finished { rows, files, bytes })
}

fn send_all(load: &Load, store: Store, chosen: Vec<(usize, Found)>, runtime: &Handle) -> Result<u64> {
    let (_, first) = &chosen[0];
    let (metadata, _) = runtime.block_on(footer(&store, first))?;
    let (loaded, ignored) = decide(load, &first.file.uri, metadata.schema(), &first.folders)?;
    // Before any row is read, so that what does not fit is known at once.
    open(&loaded, (metadata, WatchedFile::new(&store, first)), first)?;
    let names = loaded.iter().map(|loaded| loaded.column.name.clone()).collect();
    say::event(&Event::Columns { loaded: names, ignored })?;
    // Of the next row group the bytes are fetched while this one is converted, and no more.
    let (sender, receiver) = channel(1);
    let reading = runtime.spawn(read_all(loaded.clone(), store, chosen, load.most_bytes, sender));
    let sent = convert_all(&loaded, receiver);
    let read = runtime.block_on(reading).map_err(|error| LakeError::process(error.to_string()))?;
    // An error of the reader ends the rows early, so that it comes first.
    read.and(sent)
}

async fn footer(store: &Store, found: &Found) -> Result<(ArrowReaderMetadata, WatchedFile)> {
    let mut reader = WatchedFile::new(store, found);
    let failed = |error| of_file(&found.file.uri, None, &error);
    let metadata = reader.get_metadata(None).await.map_err(failed)?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(metadata.clone(), options.clone()).map_err(failed)?;
    let schema = with_wide_moments(&metadata, plain.schema());
    let metadata =
        ArrowReaderMetadata::try_new(metadata, options.with_schema(Arc::new(schema))).map_err(failed)?;
    Ok((metadata, reader))
}

/// Moments of the old type INT96 are read as microseconds: as nanoseconds those before 1677 and after 2262 would be others.
fn with_wide_moments(metadata: &ParquetMetaData, schema: &Schema) -> Schema {
    let roots = metadata.file_metadata().schema_descr();
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let root = &roots.root_schema().get_fields()[at];
        match root.is_primitive() && root.get_physical_type() == Type::INT96 {
            true => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
                Arc::new(Field::new(field.name(), micros, field.is_nullable()))
            }
            false => field.clone(),
        }
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn open(loaded: &[Loaded], read: (ArrowReaderMetadata, WatchedFile), found: &Found) -> Result<Opened> {
    let (metadata, reader) = read;
    let uri = found.file.uri.clone();
    let plan = Plan::of(loaded, &uri, metadata.schema(), &found.folders)?;
    Ok(Opened { uri, metadata, plan, reader })
}

/// Reads one row group after the other and sends them. It ends early if nobody takes them.
async fn read_all(
    loaded: Vec<Loaded>,
    store: Store,
    chosen: Vec<(usize, Found)>,
    most_bytes: Option<u64>,
    to: Sender<Piece>,
) -> Result<()> {
    for (index, found) in chosen {
        let file = Arc::new(open(&loaded, footer(&store, &found).await?, &found)?);
        let mask = ProjectionMask::roots(file.metadata.parquet_schema(), file.plan.read.iter().copied());
        let groups = file.metadata.metadata().num_row_groups();
        let mut rows = 0;
        for number in 0..groups {
            refuse_large(&file, number, &mask, most_bytes)?;
            let Ok(place) = to.reserve().await else { return Ok(()) };
            let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(
                file.reader.clone(),
                file.metadata.clone(),
            );
            let builder =
                builder.with_projection(mask.clone()).with_row_groups(vec![number]).with_batch_size(BATCH);
            let failed = |error| of_file(&file.uri, Some(number), &error);
            let mut stream = builder.build().map_err(failed)?;
            if let Some(rows) = stream.next_row_group().await.map_err(failed)? {
                place.send(Piece::RowGroup { file: file.clone(), number, rows });
            }
            rows += file.metadata.metadata().row_group(number).num_rows() as u64;
        }
        if to.send(Piece::End { file: index, rows }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A row group's compressed bytes are in memory while it is decoded.
fn refuse_large(file: &Opened, number: usize, mask: &ProjectionMask, most: Option<u64>) -> Result<()> {
    let group = file.metadata.metadata().row_group(number);
    let read = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
    let bytes: u64 = read.map(|(_, column)| column.compressed_size().max(0) as u64).sum();
    match most {
        Some(most) if bytes > most => Err(LakeError::data(format!(
            "row group {number} of {} has {} MB in the columns to load, more than fit into memory",
            file.uri,
            bytes >> 20
        ))
        .hint("Raise reco.max_lake_memory, or write the file with smaller row groups.")),
        _ => Ok(()),
    }
}

/// Converts what is read, and sends it. Returns the number of rows.
fn convert_all(loaded: &[Loaded], mut from: Receiver<Piece>) -> Result<u64> {
    let mut out = Vec::with_capacity(2 * PIECE);
    out.extend_from_slice(&COPY_BEGINS);
    let mut total = 0;
    while let Some(piece) = from.blocking_recv() {
        match piece {
            Piece::RowGroup { file, number, rows } => {
                for batch in rows {
                    let batch = batch.map_err(|error| of_file(&file.uri, Some(number), &error.into()))?;
                    total += batch.num_rows() as u64;
                    convert(loaded, &file, number, &batch, &mut out)?;
                }
            }
            Piece::End { file, rows } => {
                say::rows(&out)?;
                out.clear();
                say::event(&Event::Loaded { file, rows })?;
            }
        }
    }
    out.extend_from_slice(&COPY_ENDS);
    say::rows(&out)?;
    Ok(total)
}

fn convert(
    loaded: &[Loaded],
    file: &Opened,
    number: usize,
    batch: &RecordBatch,
    out: &mut Vec<u8>,
) -> Result<()> {
    let putters: Vec<Option<Put>> = file
        .plan
        .sources
        .iter()
        .zip(loaded)
        .map(|(source, loaded)| match source {
            Source::Read(n) => putter(&**batch.column(*n), &loaded.column),
            Source::Folder(_) => None,
        })
        .collect();
    let fields = (loaded.len() as i16).to_be_bytes();
    for row in 0..batch.num_rows() {
        out.extend_from_slice(&fields);
        for ((source, put), loaded) in file.plan.sources.iter().zip(&putters).zip(loaded) {
            match (source, put) {
                (Source::Folder(field), _) => out.extend_from_slice(field),
                (Source::Read(n), Some(put)) if batch.column(*n).is_valid(row) => {
                    put(row, out).map_err(|why| wrong_value(loaded, file, number, &why))?;
                }
                _ => out.extend_from_slice(&NULL_FIELD),
            }
        }
        if out.len() >= PIECE {
            say::rows(out)?;
            out.clear();
        }
    }
    Ok(())
}

fn wrong_value(loaded: &Loaded, file: &Opened, number: usize, why: &str) -> LakeError {
    LakeError::data(format!(
        "a value of column \"{}\" in row group {number} of {} {why}",
        loaded.from, file.uri
    ))
    .detail(format!("Column \"{}\" of the table has type {}.", loaded.column.name, loaded.column.sql_type))
    .hint("Nothing was loaded. Correct the file, or give the column a type that holds the value.")
}

/// The error for what could not be read of a file.
fn of_file(uri: &str, number: Option<usize>, error: &ParquetError) -> LakeError {
    let place = number.map_or(String::new(), |number| format!("row group {number} of "));
    let what = format!("could not read {place}{uri}");
    if let ParquetError::External(cause) = error {
        if let Some(cause) = cause.downcast_ref::<object_store::Error>() {
            return LakeError::store(&what, cause);
        }
    }
    LakeError::data(what)
        .detail(error.to_string())
        .hint("It is no Parquet file, is damaged, or has what is not read.")
}
