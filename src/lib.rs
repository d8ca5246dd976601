//! `pg_recommend`: recommendations inside PostgreSQL. This file is the table of contents.
//!
//! | folder | SQL |
//! | --- | --- |
//! | `training/` | `CALL reco.train(…)`, `CALL reco.tune(…)`: they read the source, run trainer processes and store the version |
//! | `scoring/`  | `reco.predict(…)`, `reco.recommend(…)`, `reco.explain(…)`, `reco.similar_launches(…)`; the forward pass is in `crates/model` |
//! | `ranking/` | `reco.top_products(…)`, `reco.top_regions(…)`: the best of all keys; `reco.forecast(…)`: a region's next week |
//! | `evaluation/` | `reco.evaluate(…)`, `reco.auroc(…)` and other metrics and charts, of any scores or of a version's scores |
//! | `features/` | `reco.sales_summary(…)`, encoders: the functions that features are computed with |
//! | `feature_view/` | `reco.create_feature_view(…)`, `CALL reco.refresh_features(…)`: weekly, point-in-time rows |
//! | `retraining/` | `reco.promote_if_better(…)`, `CALL reco.retrain(…)`, `reco.backtest(…)`: champions kept up to date |
//! | `schedule/` | `reco.schedule_retraining(…)`, `CALL reco.run_due()`: procedures at their times, with retries, in workers of their own |
//! | `monitoring/` | `CALL reco.monitor(…)`, `reco.health`: how good a model is week by week, drift, alarms |
//! | `models/`  | `reco.promote(…)`, `reco.grant_model(…)`, `reco.export_model(…)`: functions that change and move models |
//! | `catalog/` | what is stored of models, and who may do what with them: the tables and views |
//! | `pg/` | what other folders need of PostgreSQL: calls, values, tuples, relations, sessions, and guards against its errors |
//! | `ab_test/` | `reco.start_ab_test(…)`, `reco.ab_report(…)`: versions that share a model's keys |
//! | `metrics/`  | `reco.metrics`: what a monitoring system reads, and the counters of scoring |
//! | `report/` | `reco.report(…)`: a model as one page of HTML, which `crates/report` draws |
//! | `lake/`     | `CALL reco.load_parquet(…)`, `CALL reco.save_parquet(…)`: files of a data lake, through a process of `crates/lake` |
//! | `setup/`    | `reco.check_setup()`: what is installed, what a training would run on, and which faults there are |
//! | `settings.rs` | every `reco.*` setting |
//! | `error.rs` | every error, with its SQLSTATE and hint |
//!
//! The SQL of a folder is in the file of the same name in `sql/`, with a comment on each object. The SQL of `features/encoders/`
//! is in `encoders.sql`, and the views of the catalog are in `catalog_views.sql`.
//!
//! Code that needs no Postgres is in `crates/features`, `crates/model` and `crates/onnx`, code that needs libtorch is in
//! `crates/trainer`, and code that needs object stores is in `crates/lake`.

use pgrx::prelude::*;

#[macro_use]
mod pg;

mod ab_test;
mod catalog;
mod error;
mod evaluation;
mod feature_view;
mod features;
mod lake;
mod metrics;
mod models;
mod monitoring;
mod ranking;
mod report;
mod retraining;
mod schedule;
mod scoring;
mod settings;
mod setup;
mod training;

pg_module_magic!();

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // Errors are for users, so they carry no stack traces, even if the server's environment asks for some.
    std::env::set_var("RUST_LIB_BACKTRACE", "0");
    settings::define();
    pg::transactions::listen();
    pg::open_scans::listen();
    metrics::begin();
}
