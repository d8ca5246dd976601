//! The functions that change models and describe them.
//!
//! | file | SQL |
//! | --- | --- |
//! | `aliases` | `reco.set_alias`, `reco.drop_alias`, `reco.promote`, `reco.rollback` |
//! | `grants`  | `reco.grant_model`, `reco.revoke_model`, `reco.set_model_owner` |
//! | `calibrate` | `reco.calibrate` |
//! | `card`    | `reco.model_card`, `reco.model_card_text`, `reco.describe_model` |
//! | `conversion` | models in ONNX, which the trainer converts |
//! | `exchange` | `reco.export_model`, `reco.import_model` |
//! | `retire`  | `reco.archive_version`, `reco.drop_model` |
//! | `told` | what a file tells of a training elsewhere |
//! | `wait_for` | `reco.wait_for` |

mod aliases;
mod calibrate;
pub mod card;
mod conversion;
mod exchange;
mod grants;
mod retire;
mod told;
mod wait_for;

use pgrx::extension_sql_file;

extension_sql_file!("../../sql/models.sql", name = "models", requires = ["catalog_views"]);
