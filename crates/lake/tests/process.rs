//! The process as a backend uses it: tasks and rows over pipes, files of other writers.

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use lake_protocol::frame::{self, END, HEADER, MESSAGE, ROWS};
use lake_protocol::message::{Cause, Choice, Column, Event, Kind, Load, Request, Save, Task};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Process {
    fn start(task: Task) -> Self {
        Self::of_version(env!("CARGO_PKG_VERSION"), task)
    }

    fn of_version(version: &str, task: Task) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pg_recommend_lake"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut process = Self { child, input, output };
        process.say(&Request { version: version.into(), task });
        process
    }

    fn say(&mut self, message: &impl Serialize) {
        self.send(MESSAGE, &serde_json::to_vec(message).unwrap());
    }

    fn send(&mut self, kind: u8, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&frame::header(kind, bytes.len())).unwrap();
        input.write_all(bytes).unwrap();
    }

    /// The next event, and the rows before it.
    fn next(&mut self) -> (Event, Vec<u8>) {
        let mut rows = Vec::new();
        loop {
            let mut header = [0; HEADER];
            self.output.read_exact(&mut header).unwrap();
            let (kind, length) = frame::parse(header).unwrap();
            let mut bytes = vec![0; length];
            self.output.read_exact(&mut bytes).unwrap();
            match kind {
                ROWS => rows.extend(bytes),
                _ => return (serde_json::from_slice(&bytes).unwrap(), rows),
            }
        }
    }

    /// Waits for the failure, and says why, and in which words.
    fn failure(&mut self) -> (Cause, String) {
        loop {
            match self.next().0 {
                Event::Failed { cause, message, .. } => return (cause, message),
                Event::Finished { .. } => panic!("it succeeded"),
                _ => {}
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        self.child.wait().unwrap();
    }
}

fn columns(columns: &[(&str, Kind)]) -> Vec<Column> {
    let column = |(name, kind): &(&str, Kind)| Column {
        name: (*name).into(),
        sql_type: "a type".into(),
        kind: *kind,
        most_characters: None,
    };
    columns.iter().map(column).collect()
}

fn load(folder: &Path, of: &[(&str, Kind)]) -> Task {
    let uri = format!("file://{}/", folder.display());
    Task::Load(Load { uri, credentials: None, columns: columns(of), mapping: None, most_bytes: None })
}

fn write(path: &Path, fields: Vec<(&str, ArrayRef)>, rows_in_a_group: usize) {
    let batch = RecordBatch::try_from_iter(fields).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_in_a_group)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The rows of a load that succeeds.
fn loaded(folder: &Path, of: &[(&str, Kind)]) -> Vec<u8> {
    let mut process = Process::start(load(folder, of));
    let (Event::Listed { files }, _) = process.next() else { panic!("no list") };
    process.say(&Choice { files: (0..files.len()).collect() });
    let mut all = Vec::new();
    loop {
        let (event, rows) = process.next();
        all.extend(rows);
        match event {
            Event::Finished { .. } => return all,
            Event::Failed { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
}

fn refused(folder: &Path, of: &[(&str, Kind)]) -> (Cause, String) {
    let mut process = Process::start(load(folder, of));
    match process.next().0 {
        Event::Listed { files } => {
            process.say(&Choice { files: (0..files.len()).collect() });
            process.failure()
        }
        Event::Failed { cause, message, .. } => (cause, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_of_other_writers_become_fields_of_copy() {
    let folder = tempfile::tempdir().unwrap();
    let dictionary: DictionaryArray<Int32Type> = ["a", "a", "b"].into_iter().collect();
    let fields: Vec<(&str, ArrayRef)> = vec![
        ("big", Arc::new(UInt64Array::from(vec![Some(7), None, Some(9)]))),
        ("price", Arc::new(Decimal128Array::from(vec![1250, -1, 0]).with_precision_and_scale(9, 2).unwrap())),
        ("whole", Arc::new(Float64Array::from(vec![1.0, -2.0, 3.0]))),
        ("word", Arc::new(dictionary)),
        (
            "at",
            Arc::new(TimestampNanosecondArray::from(vec![946_684_800_000_001_999; 3]).with_timezone("UTC")),
        ),
    ];
    write(&folder.path().join("x.parquet"), fields, 1000);
    let kinds = [
        ("big", Kind::Bigint),
        ("price", Kind::Numeric(None)),
        ("whole", Kind::Integer),
        ("word", Kind::Text),
        ("at", Kind::Timestamptz),
    ];
    let rows = loaded(folder.path(), &kinds);
    assert_eq!(&rows[..11], b"PGCOPY\n\xff\r\n\0");
    let first = [
        &[0, 5][..],
        &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7],
        &[0, 0, 0, 12, 0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x13, 0x88],
        &[0, 0, 0, 4, 0, 0, 0, 1],
        &[0, 0, 0, 1, b'a'],
        &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
    ]
    .concat();
    assert_eq!(&rows[19..19 + first.len()], first, "{rows:?}");
    assert_eq!(&rows[19 + first.len()..][..6], [0, 5, 255, 255, 255, 255]);
    assert!(rows.ends_with(&[255, 255]));
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = ListBuilder::new(Int32Builder::new());
    (0..10).for_each(|_| lists.append(true));
    let fields: Vec<(&str, ArrayRef)> = vec![
        ("tags", Arc::new(lists.finish())),
        ("n", Arc::new(Int64Array::from_iter_values((0..10).map(|n| n * 1_000_000_000)))),
        ("word", Arc::new(StringArray::from(vec!["a\0"; 10]))),
    ];
    write(&folder.path().join("odd.parquet"), fields, 2);
    let (cause, message) = refused(folder.path(), &[("tags", Kind::Text)]);
    assert!(cause == Cause::Data && message.contains("\"tags\"") && message.contains("nested"), "{message}");
    let (_, message) = refused(folder.path(), &[("n", Kind::Integer)]);
    assert!(message.contains("column \"n\" in row group 1 of file://"), "{message}");
    assert!(message.contains("odd.parquet is 3000000000"), "{message}");
    let (_, message) = refused(folder.path(), &[("word", Kind::Text)]);
    assert!(message.contains("zero byte"), "{message}");
    std::fs::write(folder.path().join("none.parquet"), b"this is none").unwrap();
    let (cause, message) = refused(folder.path(), &[("n", Kind::Bigint)]);
    assert!(cause == Cause::Data && message.contains("none.parquet"), "{message}");
    std::fs::create_dir(folder.path().join("_delta_log")).unwrap();
    std::fs::write(folder.path().join("_delta_log/0.json"), b"{}").unwrap();
    assert!(refused(folder.path(), &[("n", Kind::Bigint)]).1.contains("Delta"));
}

#[test]
fn a_row_group_that_does_not_fit_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..100_000).map(|n| n * n)));
    write(&folder.path().join("x.parquet"), vec![("n", numbers)], 100_000);
    let Task::Load(mut task) = load(folder.path(), &[("n", Kind::Bigint)]) else { unreachable!() };
    task.most_bytes = Some(1000);
    let mut process = Process::start(Task::Load(task));
    process.next();
    process.say(&Choice { files: vec![0] });
    let (_, message) = process.failure();
    assert!(message.contains("row group 0") && message.contains("memory"), "{message}");
}

#[test]
fn a_file_that_changes_after_it_was_listed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let numbers = |count| -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..count)) };
    write(&path, vec![("n", numbers(1000))], 1000);
    let mut process = Process::start(load(folder.path(), &[("n", Kind::Bigint)]));
    process.next();
    write(&path, vec![("n", numbers(1001))], 1000);
    process.say(&Choice { files: vec![0] });
    let (cause, message) = process.failure();
    assert!(cause == Cause::Data && message.contains("changed while it was read"), "{message}");
}

#[test]
fn without_its_end_nothing_is_seen_of_what_a_backend_sends() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str| {
        let uri = format!("file://{}/{name}", folder.path().display());
        let columns = columns(&[("n", Kind::Integer)]);
        Task::Save(Save { uri, credentials: None, columns, partition_by: Vec::new(), replace: false })
    };
    let row = [0, 0, 0, 4, 0, 0, 0, 1];
    for name in ["one.parquet", "folder/"] {
        let mut process = Process::start(save(name));
        process.send(ROWS, &row);
        process.input = None;
        process.failure();
        drop(process);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
    let mut process = Process::start(save("one.parquet"));
    process.send(ROWS, &row);
    process.send(END, &[]);
    let (Event::Finished { rows: 1, files: 1, .. }, _) = process.next() else { panic!("not finished") };
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_extension_of_another_version_is_refused() {
    let mut process = Process::start(Task::Check);
    let (Event::Checked { version }, _) = process.next() else { panic!("no version") };
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    drop(process);
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::of_version("0.0.1", load(folder.path(), &[]));
    assert!(process.failure().1.contains("0.0.1"));
}
