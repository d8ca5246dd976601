//! `CALL reco.tune`.

use crate::database::Database;
use crate::installation::{output, Installation};
use crate::refusal::{refusal, Refusal};
use postgres::Client;
use std::path::Path;
use std::process::Command;

/// Two parameters that make a difference.
const SEARCH: &str =
    r#"{"learning_rate": {"min": 0.00001, "max": 0.03, "log": true}, "hidden": [[1], [8], [16]]}"#;
/// A full training is nine epochs.
const QUICK: &str = r#"{"epochs": 9, "batch_size": 256, "threads": 1, "importance": false}"#;

/// Trainings of a search of nine trials: two of nine epochs, four of one, two of three, three more of three, and the two
/// best of these.
pub const TRAININGS_OF_NINE: i64 = 2 + 4 + 1 + 1 + 3 + 1;

/// The arguments of a call.
#[derive(Debug, Clone)]
pub struct Tuning {
    model: String,
    source: String,
    search: String,
    params: String,
    trials: i32,
    others: Vec<String>,
}

impl Tuning {
    /// Of nine trials, from the training table.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.into(),
            source: "launch_features".into(),
            search: SEARCH.into(),
            params: QUICK.into(),
            trials: 9,
            others: Vec::new(),
        }
    }

    pub fn source(mut self, source: &str) -> Self {
        self.source = source.into();
        self
    }

    pub fn search(mut self, search: &str) -> Self {
        self.search = search.into();
        self
    }

    pub fn params(mut self, params: &str) -> Self {
        self.params = params.into();
        self
    }

    pub fn trials(mut self, trials: i32) -> Self {
        self.trials = trials;
        self
    }

    /// Another argument, such as `parallel => 1`.
    pub fn with(mut self, argument: &str) -> Self {
        self.others.push(argument.into());
        self
    }

    pub fn sql(&self) -> String {
        let Self { model, source, search, params, trials, others } = self;
        let label =
            if others.iter().any(|other| other.starts_with("label")) { "" } else { ", label => 'purchased'" };
        let others: String = others.iter().map(|argument| format!(", {argument}")).collect();
        format!(
            "CALL reco.tune('{model}', '{source}'{label}, search => '{search}', params => '{params}', trials => {trials}{others})"
        )
    }

    /// Tunes, successfully.
    #[track_caller]
    pub fn call(&self, client: &mut Client) {
        client.batch_execute(&self.sql()).unwrap_or_else(|error| panic!("{}\n{error:?}", self.sql()));
    }

    /// Tunes, in vain.
    #[track_caller]
    pub fn refused(&self, client: &mut Client) -> Refusal {
        refusal(client, &self.sql())
    }
}

/// Puts a shell script in the trainer's place: where the test `good` of the call's number `$n` (from 1) holds, it is the
/// trainer, else it does `otherwise`.
pub fn set_faulty_trainer(client: &mut Client, database: &Database, good: &str, otherwise: &str) {
    let installation = Installation::get();
    let libraries = output(Command::new(installation.program("pg_config")).arg("--pkglibdir"));
    let trainer = Path::new(libraries.trim()).join("pg_recommend").join("pg_recommend_trainer");
    let calls = database.cluster.folder().join(format!("calls-{}", database.name));
    installation.make_server_folder(&calls);
    let script = format!(
        "#!/bin/sh\nn=1\nuntil mkdir '{}/'$n 2>/dev/null; do n=$((n + 1)); done\n\
         if [ {good} ]; then exec '{}' \"$@\"; fi\n{otherwise}\n",
        calls.display(),
        trainer.display()
    );
    let file = calls.with_extension("sh");
    installation.write_program(&file, &script);
    client.batch_execute(&format!("SET reco.trainer_path = '{}'", file.display())).unwrap();
}
