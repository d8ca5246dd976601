//! `pg_recommend`: recommendations inside PostgreSQL. This file is the table of contents.
//!
//! | folder | SQL |
//! | --- | --- |
//! | `training/` | `CALL reco.train(…)`, `CALL reco.tune(…)`: read the source, run trainer processes, store the version |
//! | `scoring/`  | `reco.predict(…)`, `reco.recommend(…)`: the forward pass, in the backend; `reco.explain(…)`, `reco.similar_launches(…)` |
//! | `ranking/` | `reco.top_products(…)`, `reco.top_regions(…)`: the best of many keys; `reco.forecast(…)`: a region's coming week |
//! | `evaluation/` | `reco.evaluate(…)`, `reco.auroc(…)` and other metrics and charts, of any scores or of a version |
//! | `features/` | `reco.sales_summary(…)`, encoders: what a feature is computed with |
//! | `feature_view/` | `reco.create_feature_view(…)`, `CALL reco.refresh_features(…)`: weekly rows, point in time |
//! | `retraining/` | `reco.promote_if_better(…)`, `CALL reco.retrain(…)`, `reco.backtest(…)`: champions that are kept up to date |
//! | `models/`  | `reco.promote(…)`, `reco.grant_model(…)`, `reco.export_model(…)`: what is done with models |
//! | `catalog/` | what is stored of models, and who may do what with them: the tables and views |
//! | `pg/` | the ground that everything stands on: calls, values, tuples, relations, cursors, sessions, and every guard against PostgreSQL's errors |
//! | `ab_test/` | `reco.start_ab_test(…)`, `reco.ab_report(…)`: versions that share a model's keys |
//! | `setup/`    | `reco.check_setup()`: what is installed, what a training would run on, and what is wrong |
//! | `settings.rs` | every `reco.*` setting |
//! | `error.rs` | every error, with its SQLSTATE and hint |
//!
//! The SQL of a folder, with what each object is for, is in the file of its name in `sql/`; that of `features/encoders/` in
//! `encoders.sql`, and the views of the catalog in `catalog_views.sql`.
//!
//! What needs no Postgres is in `crates/features` and `crates/model`; what needs libtorch is in `crates/trainer`.

use pgrx::prelude::*;

#[macro_use]
mod pg;

mod ab_test;
mod catalog;
mod error;
mod evaluation;
mod feature_view;
mod features;
mod models;
mod ranking;
mod retraining;
mod scoring;
mod settings;
mod setup;
mod training;

pg_module_magic!();

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // Errors are for users: no stack traces in them, even where the server's environment asks for some.
    std::env::set_var("RUST_LIB_BACKTRACE", "0");
    settings::define();
    pg::transactions::listen();
    pg::open_scans::listen();
}
