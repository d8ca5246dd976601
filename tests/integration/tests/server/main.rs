//! The extension in a real server, through a real driver.
//!
//! | file | what is held |
//! | --- | --- |
//! | `training` | a version's metrics and lineage, the champion, the same weights from the same data |
//! | `sources` | tables, views and the rest; keys, time and inputs, found or given |
//! | `progress` | epochs that others see while it trains |
//! | `calibrate` | probabilities fitted anew to rows that were not learned from |
//! | `cancel` | cancel, time-out, terminate, a client that is gone |
//! | `crash` | kill -9 of the backend, shutdown and restart in the middle |
//! | `check_setup` | what is installed, what a training would run on, and what is wrong |
//! | `trainer_process` | how the trainer is confined, and how its failures read |
//! | `tune` | the best of several trials, brackets and rungs, time, failures of one |
//! | `tune_cancel` | a search that was cut off, gone on with |
//! | `tune_refusals` | bad arguments of a search |
//! | `transactions` | in a transaction block, a function, a DO block; two at once |
//! | `temporary_files` | none left, and their limit |
//! | `promotion` | one version a statement, and a promotion seen at once |
//! | `ab_tests` | which version scores a key while an A/B test runs |
//! | `champion_history` | aliases, promotions, rollbacks, and both at once |
//! | `retire` | archived versions and dropped models |
//! | `model_card` | what a card tells, and to whom |
//! | `model_files` | export and import, and files of another writer |
//! | `shared_models` | large models in one file for all backends, damaged and gone |
//! | `model_rights`, `model_grants` | privileges on models: what they allow in every function; when a change is heard |
//! | `scoring` | rows, arrays and keys; new products, NULLs, changed tables |
//! | `explain` | what each column contributes to a score |
//! | `similar_launches` | earlier launches that a product is like |
//! | `memory_safety`, `changed_tables` | scans, readers, plans and versions that are kept, when statements fail; when tables change |
//! | `newest_row` | which row of a key is recommended from, whatever the indexes |
//! | `evaluation` | metrics and charts of scores and of versions |
//! | `parallel` | parallel workers |
//! | `encoders` | fits by parallel workers, beside Postgres' own aggregates |
//! | `forecast` | what is expected of a region, by product and added up |
//! | `what_if` | scores if something else is planned: values, refusals, rights, what was never seen |
//! | `ranking` | the best of many keys: order, ties, rights, memory |
//! | `report` | a model as a page: its numbers, and who sees which part |
//! | `retraining` | which of two versions is better, and retraining |
//! | `metrics` | the counters of scoring, and what a monitoring system reads |
//! | `standby` | a streaming standby and read-only transactions |
//! | `wait_for` | who waits until a server sees a version, and what a standby tells of its lag |
//! | `shards` | regions on several servers, by postgres_fdw |
//! | `dump` | pg_dump and restore |
//! | `pg_upgrade` | a database of an older PostgreSQL, upgraded |
//! | `lake`, `lake_rights` | Parquet files in and out: values, modes, failures; who may, and where |
//! | `since_17`, `since_18` | what a user meets of what came with these versions of PostgreSQL |
//! | `own_folder` | a library in a folder of its own, with its trainer |
//! | `damaged_catalog` | rows and bytes of the catalog that are missing |
//! | `damaged_rows`, `damaged_views` | rows of the catalog whose values cannot be so: of models, of feature views |
//! | `monitoring`, `health` | weeks that are judged; drift, status and alarms |
//! | `relation_names` | which relation is meant, whatever settings and names say |
//! | `feature_views` | which weeks a refresh computes, partitions, waiting, dump and drop |
//! | `feature_view_builds` | what fills a new partition: batches, wide values, cancel, parallel workers |
//! | `feature_view_failures` | refreshes that fail, are cancelled or killed; rows that are refused |
//! | `feature_view_models` | training from a view, and recommending from its partitions |
//! | `as_of` | the newest feature row known at a moment |
//! | `feature_view_rights` | whose rights and settings a definition has |
//! | `feature_view_refusals` | definitions, columns and names that cannot be |
//! | `launch_features` | the retail template: windows, labels, types, names and time zones |
//! | `sales_summary` | summaries in workers, in little memory, and from damaged bytes |
//! | `deployed` | what Kubernetes runs: a new cluster's SQL, the job that trains elsewhere |
//! | `demo` | the demo's sales and features: seeds, point in time, a recount |
//! | `docs` | the SQL of the documents runs, and their links lead somewhere |
//! | `reference` | the pages of the reference say what the server says, and none is missing |
//! | `tutorial` | the statements of the tutorial, from an empty database on, and what it shows of them |
//! | `elsewhere` | training sets for other machines, and what the files of their models tell |
//! | `troubleshooting` | each message of the page is one that the sources say, with its SQLSTATE |
//! | `oldest_rust` | one place says it, and the dependencies ask for no newer one |
//! | `training_refusals`, `scoring_refusals` | every kind of bad input |
//! | `keys` | which columns are product, region and time, and what is told of it |
//! | `one_value`, `domains` | a value of one type is the same in another; domains are their base types |
//! | `names`, `dates` | types and collations off the path; dates without an end |
//! | `rights` | privileges, row security, hostile search paths |
//! | `hostile_path` | every function and view under a path whose operators, functions and types are another's |
//! | `what_is_shown` | who sees texts of errors and definitions, and whose relation is read |
//! | `defaults` | what others make and grant changes nothing for who names no model |
//! | `limits` | settings that are limits, and who may change them |
//! | `schedules` | when what is scheduled runs, as whom, in which order, and how often it is tried again |
//! | `schedule_rights` | who may schedule, see and change what, what is refused, and what pauses |
//! | `schedule_servers` | schedules where servers are killed, restarted and promoted, and called by pg_cron |
//! | `locks` | what says that a backend is at work |
//! | `upgrades` | from each release to this version; a catalog of another version than the library's |

mod ab_tests;
mod algorithms;
mod as_of;
mod calibrate;
mod cancel;
mod champion_history;
mod changed_tables;
mod check_setup;
mod copied_catalog;
mod crash;
mod cut_offs;
mod damaged_catalog;
mod damaged_rows;
mod damaged_views;
mod dates;
mod defaults;
mod demo;
mod deployed;
mod docs;
mod domains;
mod dump;
mod elsewhere;
mod encoders;
mod evaluation;
mod explain;
mod feature_view_builds;
mod feature_view_failures;
mod feature_view_models;
mod feature_view_refusals;
mod feature_view_rights;
mod feature_views;
mod forecast;
mod health;
mod hostile_path;
mod key_types;
mod keys;
mod lake;
mod lake_rights;
mod launch_features;
mod launch_plans;
mod launch_rows;
mod launch_tables;
mod limits;
mod lists;
mod locks;
mod memory_safety;
mod metrics;
mod metrics_of_weeks;
mod model_card;
mod model_files;
mod model_grants;
mod model_rights;
mod monitoring;
mod names;
mod newest_row;
mod oldest_rust;
mod one_value;
mod onnx_models;
mod own_folder;
mod parallel;
mod pg_upgrade;
mod progress;
mod promotion;
mod ranking;
mod reference;
mod refit;
mod relation_names;
mod report;
mod retire;
mod retraining;
mod rights;
mod sales_summary;
mod schedule_rights;
mod schedule_servers;
mod schedules;
mod scoring;
mod scoring_refusals;
mod shards;
mod shared_models;
mod similar_launches;
mod since_17;
mod since_18;
mod sources;
mod standby;
mod support;
mod temporary_files;
mod trainer_process;
mod training;
mod training_refusals;
mod transactions;
mod troubleshooting;
mod tune;
mod tune_cancel;
mod tune_refusals;
mod tutorial;
mod upgrades;
mod views;
mod wait_for;
mod what_if;
mod what_is_shown;
