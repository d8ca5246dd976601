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
//! | `catalog/`  | `reco.promote(…)`, `reco.grant_model(…)`, `reco.export_model(…)`: models, versions, aliases, rights; the tables are in `sql/` |
//! | `ab_test/` | `reco.start_ab_test(…)`, `reco.ab_report(…)`: versions that share a model's keys |
//! | `setup/`    | `reco.check_setup()`: what is installed, what a training would run on, and what is wrong |
//! | `values.rs`, `numeric.rs` | SQL values as numbers and text: the same code for training and for scoring |
//! | `call_site.rs`, `moment.rs`, `tuples.rs` | a call's arguments and state; user and snapshot; composite values |
//! | `cursor.rs`, `each_row.rs` | the rows of a query: a batch at a time, or one by one as the executor makes them |
//! | `row_set.rs` | the rows that a function returns |
//! | `relations.rs`, `relation_changes.rs`, `role_changes.rs` | names, owners and columns; what may be kept until a relation or a role changes |
//! | `layout.rs`, `storage_age.rs` | whether rows are still of the types, and in the place, that a reader was chosen for |
//! | `guard.rs`, `transactions.rs` | errors of C that pass by; what may be kept until a transaction ends or is rolled back |
//! | `session.rs` | procedures that commit between their steps |
//! | `acting_as.rs`, `session_locks.rs` | SQL with another role's rights, and what it may leave behind |
//! | `catalog_lock.rs`, `liveness.rs` | locks that SQL cannot take; what says that a procedure still runs |
//! | `tell.rs` | what is said to the client while something is under way |
//! | `settings.rs` | every `reco.*` setting |
//! | `error.rs`  | every error, with its SQLSTATE and hint |
//!
//! What needs no Postgres is in `crates/features` and `crates/model`; what needs libtorch is in `crates/trainer`.

use pgrx::prelude::*;

#[macro_use]
mod tell;

mod ab_test;
mod acting_as;
mod call_site;
mod catalog;
mod catalog_lock;
mod cursor;
mod each_row;
mod error;
mod evaluation;
mod feature_view;
mod features;
mod guard;
mod layout;
mod liveness;
mod moment;
mod numeric;
mod ranking;
mod relation_changes;
mod relations;
mod retraining;
mod role_changes;
mod row_set;
mod scoring;
mod session;
mod session_locks;
mod settings;
mod setup;
mod storage_age;
mod training;
mod transactions;
mod tuples;
mod values;

pg_module_magic!();

extension_sql_file!("../sql/catalog.sql", name = "catalog", bootstrap);
extension_sql_file!("../sql/comments.sql", name = "comments", finalize);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // Errors are for users: no stack traces in them, even where the server's environment asks for some.
    std::env::set_var("RUST_LIB_BACKTRACE", "0");
    settings::define();
    transactions::listen();
    scoring::open_scans::listen();
}
