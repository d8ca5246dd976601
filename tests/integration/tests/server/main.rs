//! The extension in a real server, through a real driver.
//!
//! | file | what is held |
//! | --- | --- |
//! | `training` | a version's metrics and lineage, the champion, the same weights from the same data |
//! | `sources` | tables, views and the rest; keys, time and inputs, found or given |
//! | `progress` | epochs that others see while it trains |
//! | `cancel` | cancel, time-out, terminate, a client that is gone |
//! | `crash` | kill -9 of the backend, shutdown and restart in the middle |
//! | `trainer_process` | how the trainer is confined, and how its failures read |
//! | `transactions` | in a transaction block, a function, a DO block; two at once |
//! | `temporary_files` | none left, and their limit |
//! | `promotion` | one version a statement, and a promotion seen at once |
//! | `scoring` | rows, arrays and keys; new products, NULLs, changed tables |
//! | `newest_row` | which row of a key is recommended from, whatever the indexes |
//! | `parallel` | parallel workers |
//! | `encoders` | fits by parallel workers, beside Postgres' own aggregates |
//! | `standby` | a streaming standby and read-only transactions |
//! | `dump` | pg_dump and restore |
//! | `sales_summary` | summaries in workers, in little memory, and from damaged bytes |
//! | `demo` | the demo's sales and features: seeds, point in time, a recount |
//! | `docs` | the SQL of the documents |
//! | `training_refusals`, `scoring_refusals` | every kind of bad input |
//! | `rights` | privileges, row security, hostile search paths |

mod cancel;
mod crash;
mod demo;
mod docs;
mod dump;
mod encoders;
mod newest_row;
mod parallel;
mod progress;
mod promotion;
mod rights;
mod sales_summary;
mod scoring;
mod scoring_refusals;
mod sources;
mod standby;
mod support;
mod temporary_files;
mod trainer_process;
mod training;
mod training_refusals;
mod transactions;
