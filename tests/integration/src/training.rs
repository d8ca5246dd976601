//! `CALL reco.train`.

use crate::process::Process;
use crate::query::{backend_pid, value};
use crate::refusal::Refusal;
use crate::wait::wait_for;
use postgres::{CancelToken, Client};
use std::thread::JoinHandle;
use std::time::Instant;

/// Enough to learn from the training table, in about a second.
pub const QUICK: &str =
    r#"{"hidden": [16], "epochs": 12, "learning_rate": 0.01, "batch_size": 256, "threads": 1}"#;
/// Goes on until it is stopped.
pub const ENDLESS: &str = r#"{"hidden": [16], "epochs": 100000, "patience": 0, "threads": 1}"#;

/// The arguments of a call.
#[derive(Debug, Clone)]
pub struct Training {
    model: String,
    source: String,
    label: String,
    params: String,
    others: Vec<String>,
}

impl Training {
    /// From the training table.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.into(),
            source: "launch_features".into(),
            label: "purchased".into(),
            params: QUICK.into(),
            others: Vec::new(),
        }
    }

    pub fn endless(model: &str) -> Self {
        Self::new(model).params(ENDLESS)
    }

    pub fn source(mut self, source: &str) -> Self {
        self.source = source.into();
        self
    }

    pub fn label(mut self, label: &str) -> Self {
        self.label = label.into();
        self
    }

    /// Instead of the quick ones.
    pub fn params(mut self, params: &str) -> Self {
        self.params = params.into();
        self
    }

    /// The quick ones with some more or others, such as `"seed": 7`.
    pub fn param(self, more: &str) -> Self {
        // The later of two equal names counts.
        let params = format!("{}, {more}}}", self.params.trim_end_matches('}'));
        self.params(&params)
    }

    /// Another argument, such as `promote => true`.
    pub fn with(mut self, argument: &str) -> Self {
        self.others.push(argument.into());
        self
    }

    pub fn sql(&self) -> String {
        let others: String = self.others.iter().map(|argument| format!(", {argument}")).collect();
        format!(
            "CALL reco.train('{}', '{}', '{}', params => '{}'{others})",
            self.model, self.source, self.label, self.params
        )
    }

    /// Trains, successfully.
    #[track_caller]
    pub fn call(&self, client: &mut Client) {
        client.batch_execute(&self.sql()).unwrap_or_else(|error| panic!("{}\n{error:?}", self.sql()));
    }

    /// Trains, in vain.
    #[track_caller]
    pub fn refused(&self, client: &mut Client) -> Refusal {
        crate::refusal::refusal(client, &self.sql())
    }
}

/// A statement under way in a thread of its own.
pub struct Background {
    /// The pid of its backend.
    pub backend: i32,
    cancel: CancelToken,
    thread: JoinHandle<Ended>,
}

/// How it went.
pub struct Ended {
    pub client: Client,
    pub result: Result<(), postgres::Error>,
    pub at: Instant,
}

impl Ended {
    /// The error it ended with.
    #[track_caller]
    pub fn refusal(&self) -> Refusal {
        Refusal::of(self.result.as_ref().expect_err("the statement was expected to fail"))
    }
}

impl Background {
    pub fn start(mut client: Client, sql: &str) -> Self {
        let backend = backend_pid(&mut client);
        let cancel = client.cancel_token();
        let sql = sql.to_owned();
        let thread = std::thread::spawn(move || {
            let result = client.batch_execute(&sql);
            Ended { client, result, at: Instant::now() }
        });
        Self { backend, cancel, thread }
    }

    /// Starts a training and waits until its first epoch can be seen; `observer` is another session.
    pub fn training(client: Client, training: &Training, observer: &mut Client) -> (Self, Process) {
        let this = Self::start(client, &training.sql());
        let trainer = Process::trainer_of(this.backend);
        let epochs = format!("SELECT count(*) FROM reco.run_metrics WHERE model = '{}'", training.model);
        wait_for("an epoch is seen", || {
            assert!(!this.thread.is_finished(), "the training ended before its first epoch was seen");
            (value::<i64>(observer, &epochs) > 0).then_some(())
        });
        (this, trainer)
    }

    /// Asks as a driver does when its user gives up.
    pub fn cancel(&self) {
        self.cancel.cancel_query(postgres::NoTls).expect("the server takes the request");
    }

    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    pub fn finish(self) -> Ended {
        self.thread.join().expect("the thread does not panic")
    }
}
