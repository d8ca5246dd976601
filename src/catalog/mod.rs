//! Models, versions, aliases, runs, and who may do what with them. The tables and views are in `sql/`.
//!
//! | file | holds |
//! | --- | --- |
//! | `read`    | what scoring reads, straight from the primary keys |
//! | `table`   | a row of a catalog table, by its primary key |
//! | `weights` | the bytes of a version, in chunks |
//! | `write`   | a new version, after training or import |
//! | `rights`  | privileges on models: the check, and `reco.has_model_privilege` |
//! | `grants`  | `reco.grant_model`, `reco.revoke_model`, `reco.set_model_owner` |
//! | `change`  | how a model is changed: by those who may, one after the other |
//! | `audit`   | who did what |
//! | `aliases` | `reco.set_alias`, `reco.drop_alias`, `reco.promote`, `reco.rollback` |
//! | `history` | every move of the champion, and where a rollback goes |
//! | `card`    | `reco.model_card`, `reco.model_card_text`, `reco.describe_model` |
//! | `exchange` | `reco.export_model`, `reco.import_model` |
//! | `version_source` | the relation that a version reads, and where it is by now |
//! | `retire`  | `reco.archive_version`, `reco.drop_model` |

mod aliases;
pub mod audit;
mod card;
pub mod change;
mod exchange;
mod grants;
pub mod history;
pub mod read;
mod retire;
pub mod rights;
mod table;
pub mod version_source;
pub mod weights;
pub mod write;

/// The alias whose version scores.
pub const CHAMPION: &str = "champion";

use pgrx::extension_sql_file;

extension_sql_file!(
    "../../sql/catalog_views.sql",
    name = "catalog_views",
    requires = ["catalog", "feature_view", rights::has_model_privilege]
);
extension_sql_file!("../../sql/audit.sql", name = "audit", requires = ["catalog_views"]);
extension_sql_file!(
    "../../sql/rights.sql",
    name = "rights",
    requires = ["catalog_views", grants::grant_model, grants::revoke_model, grants::set_model_owner]
);
extension_sql_file!(
    "../../sql/promotion.sql",
    name = "promotion",
    requires =
        ["catalog_views", aliases::set_alias, aliases::drop_alias, aliases::promote, aliases::rollback]
);
extension_sql_file!(
    "../../sql/retire.sql",
    name = "retire",
    requires = ["catalog_views", retire::archive_version, retire::drop_model]
);
extension_sql_file!(
    "../../sql/card.sql",
    name = "card",
    requires = ["catalog_views", card::model_card, card::model_card_text, card::describe_model]
);
extension_sql_file!(
    "../../sql/exchange.sql",
    name = "exchange",
    requires = ["catalog_views", exchange::export_model, exchange::import_model]
);
