//! The catalog: what is stored of models, versions, aliases and runs, and who may do what with them. The tables and
//! views are in `sql/catalog.sql` and `sql/catalog_views.sql`, the functions that change them in `models/`.
//!
//! | file | holds |
//! | --- | --- |
//! | `read`    | what scoring reads, straight from the primary keys |
//! | `table`, `row`, `columns` | a row of a catalog table, by its primary key; its values; where they stand |
//! | `stored`  | what a version's row holds as JSON, or what is damaged |
//! | `metric`  | the names of metrics, and which way is better |
//! | `weights` | the bytes of a version, in chunks |
//! | `write`   | a new version, after training, import or calibration |
//! | `parent`  | what is stored of the version that another one is made of |
//! | `rights`  | privileges on models: the check, and `reco.has_model_privilege` |
//! | `change`  | changes to a model: only those who may, and one after the other |
//! | `version_source` | the relation that a version reads, and where it is now |
//! | `in_use`  | what is refused while an A/B test runs |
//! | `audit`   | the record of who did what |
//! | `history` | every move of the champion, and where a rollback goes |

pub mod audit;
pub mod change;
mod columns;
pub mod history;
pub mod in_use;
pub mod metric;
pub mod parent;
pub mod read;
pub mod rights;
mod row;
pub mod stored;
mod table;
pub mod version_source;
pub mod weights;
pub mod write;

/// The alias whose version is used for scoring.
pub const CHAMPION: &str = "champion";

use pgrx::extension_sql_file;

extension_sql_file!("../../sql/catalog.sql", name = "catalog", bootstrap);
extension_sql_file!(
    "../../sql/catalog_views.sql",
    name = "catalog_views",
    requires = ["catalog", "feature_view"]
);
