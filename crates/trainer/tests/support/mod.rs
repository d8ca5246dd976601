//! Runs the trainer as a program and reads what it says and leaves.
#![allow(dead_code, reason = "each test program uses its own part")]

pub mod sales;

use arrow_array::{Float64Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use model::protocol::{DataSummary, Evaluation, Event, SourceColumn, Spec};
use model::{Algorithm, Artifact, Params};
use sales::Source;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Small and quick unless a test says otherwise.
pub fn quick() -> Params {
    Params {
        epochs: 3,
        batch_size: Some(256),
        hidden: vec![16],
        leaves: Some(31),
        threads: 1,
        device: "cpu".into(),
        ..Params::default()
    }
}

/// What a run said and left.
pub struct Run {
    pub events: Vec<Event>,
    /// The most memory, in bytes, that was resident when it last said something but its result.
    pub peak: u64,
    pub code: Option<i32>,
    pub stderr: String,
    pub model: Option<Vec<u8>>,
    /// The model that was measured, if the other one was refit.
    pub measured: Option<Vec<u8>>,
    /// libtorch's probabilities, in the order of the rows.
    pub scores: Vec<f64>,
}

pub struct Trainer {
    pub folder: TempDir,
}

impl Trainer {
    /// Writes spec and data, the data in several batches.
    pub fn new(source: &Source, params: Params) -> Self {
        Self::with_batches(source, params, &parts(&source.batch()))
    }

    /// As [`Trainer::new`], with these batches of the source's data.
    pub fn with_batches(source: &Source, params: Params, batches: &[RecordBatch]) -> Self {
        let trainer = Self { folder: tempfile::tempdir().expect("a folder") };
        trainer.write_spec(&source.columns, params);
        let file = File::create(trainer.path("data.arrow")).unwrap();
        let mut writer = FileWriter::try_new(file, &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        trainer
    }

    /// As [`Trainer::new`], with the data as a stream.
    pub fn with_stream(source: &Source, params: Params) -> Self {
        let trainer = Self { folder: tempfile::tempdir().expect("a folder") };
        trainer.write_spec(&source.columns, params);
        let batch = source.batch();
        let mut writer =
            StreamWriter::try_new(File::create(trainer.path("data.arrow")).unwrap(), &batch.schema())
                .unwrap();
        for part in parts(&batch) {
            writer.write(&part).unwrap();
        }
        writer.finish().unwrap();
        trainer
    }

    /// As [`Trainer::new`], to train these algorithms.
    pub fn of(algorithms: &[Algorithm], source: &Source, params: Params) -> Self {
        let trainer = Self::new(source, params.clone());
        trainer.write_spec_of(algorithms, &source.columns, params);
        trainer
    }

    pub fn write_spec(&self, columns: &[SourceColumn], params: Params) {
        self.write_spec_of(&[Algorithm::Mlp], columns, params);
    }

    pub fn write_spec_of(&self, algorithms: &[Algorithm], columns: &[SourceColumn], params: Params) {
        let (algorithms, columns) = (algorithms.to_vec(), columns.to_vec());
        let spec = Spec { extension: None, model: "launch".into(), algorithms, params, columns };
        serde_json::to_writer(File::create(self.path("spec.json")).unwrap(), &spec).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg_recommend_trainer"));
        for (name, file) in [
            ("--spec", "spec.json"),
            ("--data", "data.arrow"),
            ("--out", "model.safetensors"),
            ("--measured", "measured.safetensors"),
            ("--scores", "scores.arrow"),
        ] {
            command.arg(name).arg(self.path(file));
        }
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self) -> Run {
        self.run_command(self.command())
    }

    /// Runs with at most so many mebibytes of memory, as the server bounds it.
    pub fn run_within(&self, mebibytes: u64) -> Run {
        let unbounded = self.command();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -d \"$0\" && exec \"$@\"", &(mebibytes << 10).to_string()]);
        command.arg(unbounded.get_program()).args(unbounded.get_args()).stdin(Stdio::null());
        self.run_command(command)
    }

    /// Runs to the end, and on the way reads the most memory that has been resident.
    fn run_command(&self, mut command: Command) -> Run {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the trainer starts");
        let status = format!("/proc/{}/status", child.id());
        let mut text = String::new();
        let mut peak = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            text.push_str(&line.expect("UTF-8"));
            text.push('\n');
            peak = peak.max(fs::read_to_string(&status).ok().and_then(|s| resident_peak(&s)).unwrap_or(0));
        }
        let output = child.wait_with_output().expect("the trainer ends");
        let events =
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")));
        Run {
            events: events.collect(),
            peak,
            code: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into(),
            model: fs::read(self.path("model.safetensors")).ok(),
            measured: fs::read(self.path("measured.safetensors")).ok(),
            scores: self.scores(),
        }
    }

    fn scores(&self) -> Vec<f64> {
        let Ok(file) = File::open(self.path("scores.arrow")) else { return Vec::new() };
        let batches = FileReader::try_new(file, None).expect("an Arrow file");
        let batches = batches.map(|batch| batch.expect("a batch").column(0).clone());
        batches
            .flat_map(|c| c.as_any().downcast_ref::<Float64Array>().expect("doubles").values().to_vec())
            .collect()
    }
}

/// `VmHWM` in bytes; none of a process that has ended.
fn resident_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// Three batches, the last of another size, and an empty one between.
fn parts(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    let third = rows / 3;
    vec![
        batch.slice(0, third),
        batch.slice(third, 0),
        batch.slice(third, third),
        batch.slice(2 * third, rows - 2 * third),
    ]
}

/// A training of some algorithms that succeeds.
pub fn fit(algorithms: &[Algorithm], source: &sales::Source, params: Params) -> Run {
    let run = Trainer::of(algorithms, source, params).run();
    assert_eq!(run.code, Some(0), "{:?} {}", run.events.last(), run.stderr);
    assert!(run.model.is_some(), "{:?}", run.events.last());
    run
}

pub fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Trains on a source and expects that it works.
pub fn train(source: &Source, params: Params) -> Run {
    let run = Trainer::new(source, params).run();
    assert_eq!(run.code, Some(0), "{:?} {}", run.events.last(), run.stderr);
    run
}

impl Run {
    pub fn artifact(&self) -> Artifact {
        Artifact::from_bytes(self.model.as_ref().expect("a model")).expect("a valid model")
    }

    pub fn measured_artifact(&self) -> Artifact {
        Artifact::from_bytes(self.measured.as_ref().expect("a measured model")).expect("a valid model")
    }

    pub fn data(&self) -> &DataSummary {
        let data = self.events.iter().find_map(|e| if let Event::Data(data) = e { Some(data) } else { None });
        data.expect("a data event")
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Warning { message } = e { Some(&message[..]) } else { None })
            .collect()
    }

    /// Training and validation loss of each epoch of the measured fit.
    pub fn losses(&self) -> Vec<(f64, Option<f64>)> {
        let losses = self.events.iter().filter_map(|e| match e {
            Event::Epoch { train_loss, validation_loss, refit: false, .. } => {
                Some((*train_loss, *validation_loss))
            }
            _ => None,
        });
        losses.collect()
    }

    /// Validation AUROC of each epoch.
    pub fn aurocs(&self) -> Vec<f64> {
        let aurocs = self.events.iter().filter_map(|e| match e {
            Event::Epoch { validation_auroc, refit: false, .. } => *validation_auroc,
            _ => None,
        });
        aurocs.collect()
    }

    /// Validation, test, best epoch and parity.
    pub fn finished(&self) -> (Option<&Evaluation>, Option<&Evaluation>, u32, f64) {
        match self.events.last() {
            Some(Event::Finished { validation, test, best_epoch, parity, .. }) => {
                (validation.as_ref(), test.as_ref(), *best_epoch, *parity)
            }
            other => panic!("ended with {other:?}"),
        }
    }

    /// The epochs or trees of the refit, and the rows that it learned from.
    pub fn refit(&self) -> (usize, Option<u64>) {
        let epochs = self.events.iter().filter(|event| matches!(event, Event::Epoch { refit: true, .. }));
        match self.events.last() {
            Some(Event::Finished { refit_rows, .. }) => (epochs.count(), *refit_rows),
            other => panic!("ended with {other:?}"),
        }
    }

    /// Message and hint of a failure, which must be the last event and the only error, with no model written.
    pub fn failure(&self) -> (String, String) {
        assert_eq!(self.code, Some(1), "{:?} {}", self.events, self.stderr);
        assert!(self.model.is_none());
        match self.events.last() {
            Some(Event::Error { message, hint, .. }) => (message.clone(), hint.clone().unwrap_or_default()),
            other => panic!("ended with {other:?}"),
        }
    }
}
