//! Schedules: procedures that are called at their times, each in a background worker that connects as the role that
//! scheduled it. What is arithmetic of it is in `crates/schedule`.
//!
//! | file | holds |
//! | --- | --- |
//! | `kind`    | what can be scheduled, its subject, and the statement that is run |
//! | `create`  | `reco.schedule_refresh`, `reco.schedule_retraining`, `reco.schedule_monitoring` |
//! | `manage`  | `reco.unschedule`, `reco.pause_schedule`, `reco.resume_schedule` |
//! | `obstacle` | what keeps a schedule from running until a person has acted |
//! | `pg_cron` | who calls `reco.run_due`, if it is pg_cron |
//! | `plan`    | what is due, what it waits for, and what starts now |
//! | `launch`  | from what is due to a worker for each attempt |
//! | `run_due` | `CALL reco.run_due()`: it starts workers |
//! | `worker`  | an attempt, from its beginning to its end |
//! | `outcome` | what follows from the end of an attempt |
//! | `time`    | moments and lengths of time of PostgreSQL |

mod create;
mod kind;
mod launch;
mod manage;
mod obstacle;
mod outcome;
mod pg_cron;
mod plan;
mod run_due;
mod time;
mod worker;

pgrx::extension_sql_file!("../../sql/schedule.sql", name = "schedule", requires = ["catalog_views"]);
