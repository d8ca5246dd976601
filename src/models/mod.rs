//! What is done with models: the verbs over the catalog.
//!
//! | file | SQL |
//! | --- | --- |
//! | `aliases` | `reco.set_alias`, `reco.drop_alias`, `reco.promote`, `reco.rollback` |
//! | `grants`  | `reco.grant_model`, `reco.revoke_model`, `reco.set_model_owner` |
//! | `card`    | `reco.model_card`, `reco.model_card_text`, `reco.describe_model` |
//! | `exchange` | `reco.export_model`, `reco.import_model` |
//! | `retire`  | `reco.archive_version`, `reco.drop_model` |

mod aliases;
mod card;
mod exchange;
mod grants;
mod retire;

use pgrx::extension_sql_file;

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
