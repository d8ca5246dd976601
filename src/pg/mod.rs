//! What every capability needs of PostgreSQL, and every guard against PostgreSQL's errors.
//!
//! | files | hold |
//! | --- | --- |
//! | `sql_function`, `call` | functions of SQL that read their call themselves; a call's arguments, its results, its call site's state |
//! | `call_site` | the arguments and the state of a call, in C's own terms |
//! | `aggregate` | what every aggregate does with its state |
//! | `values`, `numeric`, `input` | SQL values as numbers and text: the same code for training and for scoring; a text as a value |
//! | `tuples`, `row_set` | composite values; the rows that a function returns |
//! | `cursor`, `each_row` | the rows of a query: a batch at a time, or one by one |
//! | `named_rows` | rows that queries read under a name |
//! | `one_snapshot` | several queries that see the same |
//! | `row_security` | whether row security hides rows of a relation |
//! | `comparison` | values compared as an index compares them |
//! | `receiver` | where the executor sends the rows that it makes |
//! | `own_library` | the folder that this library was loaded from |
//! | `mapping` | files mapped into memory, with a guard for the case that such a file is cut short |
//! | `open_scans` | index scans that stay open while a query runs |
//! | `shared_memory` | a region of the server's shared memory |
//! | `ends` | that a statement or a transaction is over |
//! | `extension`, `two_versions` | the version of the catalog; what is done where it is not the library's |
//! | `memory` | PostgreSQL's memory, and values of variable length in it |
//! | `relations` | names, owners and columns of relations |
//! | `system_rows` | rows of system tables, by an OID |
//! | `layout`, `storage_age` | checks that rows still have the types, and the storage, that a reader was chosen for |
//! | `foreign` | checks that foreign tables are read where the transaction has its connections to them |
//! | `changes`, `moment`, `transactions` | how long a look-up stays true: until a relation or a role changes, the user, the snapshot, or the transaction |
//! | `guard` | errors of C that pass Rust code |
//! | `session`, `liveness` | procedures that commit between their steps, and the lock that says that one still runs |
//! | `acting_as`, `session_locks` | SQL with another role's rights, and the session's locks that it must not release |
//! | `distributed`, `shards` | tables whose rows Citus keeps elsewhere; those of their shards that are here |
//! | `copied` | tables that are kept by logical replication |
//! | `catalog_place` | whether the catalog's rows are on this server |
//! | `catalog_lock` | locks that no SQL command can take |
//! | `child` | child processes that are no part of the server |
//! | `background` | processes of the server that run a procedure on their own, under another role |
//! | `alarm` | notices to whoever listens for what needs a person |
//! | `threads` | threads that run nothing of PostgreSQL's |
//! | `tell` | messages to the client while a call is under way |

#[macro_use]
pub mod tell;

pub mod acting_as;
pub mod aggregate;
pub mod alarm;
pub mod background;
pub mod call;
pub mod call_site;
pub mod catalog_lock;
pub mod catalog_place;
pub mod changes;
pub mod child;
pub mod comparison;
pub mod copied;
pub mod cursor;
pub mod distributed;
pub mod each_row;
pub mod ends;
pub mod extension;
pub mod foreign;
pub mod guard;
pub mod input;
pub mod layout;
pub mod liveness;
pub mod mapping;
pub mod memory;
pub mod moment;
pub mod named_rows;
pub mod numeric;
pub mod one_snapshot;
pub mod open_scans;
pub mod own_library;
pub mod receiver;
pub mod relations;
pub mod row_security;
pub mod row_set;
pub mod session;
pub mod session_locks;
pub mod shards;
pub mod shared_memory;
pub mod sql_function;
pub mod storage_age;
pub mod system_rows;
pub mod threads;
pub mod transactions;
pub mod tuples;
pub mod two_versions;
pub mod values;
