//! The ground: what every capability needs of PostgreSQL, and every guard against its errors.
//!
//! | files | hold |
//! | --- | --- |
//! | `sql_function`, `call` | functions that SQL calls for every row; a call's arguments, what its call site keeps, results |
//! | `call_site` | the same of a call that comes as Postgres hands it over |
//! | `aggregate` | what every aggregate does with its state |
//! | `values`, `numeric` | SQL values as numbers and text: the same code for training and for scoring |
//! | `tuples`, `row_set` | composite values; the rows that a function returns |
//! | `cursor`, `each_row` | the rows of a query: a batch at a time, or one by one |
//! | `receiver` | where the executor sends the rows that it makes |
//! | `mapping` | files mapped into memory, with a guard for what is cut off from them |
//! | `open_scans` | index scans that stay open while a query runs |
//! | `memory` | PostgreSQL's memory, and values of variable length in it |
//! | `relations` | names, owners and columns of relations |
//! | `layout`, `storage_age` | whether rows are still of the types, and in the place, that a reader was chosen for |
//! | `changes`, `moment` | what may be kept until a relation or a role changes; user and snapshot |
//! | `guard`, `transactions` | errors of C that pass by; what may be kept until a transaction ends or is rolled back |
//! | `session`, `liveness` | procedures that commit between their steps, and what says that one still runs |
//! | `acting_as`, `session_locks` | SQL with another role's rights, and what it may leave behind |
//! | `catalog_lock` | locks that SQL cannot take |
//! | `tell` | what is said to the client while something is under way |

#[macro_use]
pub mod tell;

pub mod acting_as;
pub mod aggregate;
pub mod call;
pub mod call_site;
pub mod catalog_lock;
pub mod changes;
pub mod cursor;
pub mod each_row;
pub mod guard;
pub mod layout;
pub mod liveness;
pub mod mapping;
pub mod memory;
pub mod moment;
pub mod numeric;
pub mod open_scans;
pub mod receiver;
pub mod relations;
pub mod row_set;
pub mod session;
pub mod session_locks;
pub mod sql_function;
pub mod storage_age;
pub mod transactions;
pub mod tuples;
pub mod values;
