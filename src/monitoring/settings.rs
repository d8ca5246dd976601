//! The function `reco.set_monitoring`, and the thresholds that are stored for a model.

use crate::catalog::change::change;
use crate::catalog::rights::Privilege;
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use crate::pg::call::Call;
use crate::pg::sql_function::{sql_function, Returned};
use crate::pg::values::given;
use model::drift::Thresholds;
use pgrx::{IntoDatum, JsonB};
use serde_json::{Map, Value};

// Declared in sql/monitoring.sql.
sql_function!(set_monitoring, set_monitoring);

fn set_monitoring(call: &Call) -> Returned {
    let model = given(call.text(0), "model")?;
    let settings = call.json(1, "settings").map_err(|refusal| refused(refusal.message()))?;
    let all = change(c"reco.set_monitoring()", &model, Privilege::Manage, |client, caller| {
        let mut stored = Map::new();
        if let Some(settings) = settings {
            let Value::Object(changes) = settings else {
                return Err(refused("settings is a JSON object".into()));
            };
            stored = changed(&model)?;
            stored.extend(changes);
        }
        let all = Thresholds::default().with(&stored).map_err(refused)?;
        let text = Value::Object(stored).to_string();
        client.update(
            "INSERT INTO reco.monitored_model (model, settings) VALUES ($1, $2::pg_catalog.jsonb) \
             ON CONFLICT (model) DO UPDATE SET settings = excluded.settings",
            None,
            &[model.as_str().into(), text.as_str().into()],
        )?;
        let detail = serde_json::json!({ "settings": serde_json::from_str::<Value>(&text)? });
        caller.did(client, "set_monitoring", &model, None, detail)?;
        Ok(serde_json::to_value(all)?)
    })?;
    Ok(JsonB(all).into_datum())
}

fn refused(words: String) -> Error {
    Error::InvalidArgument(
        words,
        Some(
            "docs/monitoring.md says what each setting means: {\"psi_warning\": 0.1, \"psi_alarm\": 0.25}."
                .into(),
        ),
    )
}

/// The thresholds of a model.
pub fn thresholds(model: &str) -> Result<Thresholds, Error> {
    Thresholds::default().with(&changed(model)?).map_err(|how| damaged(model, &how))
}

/// The settings of a model that were changed.
fn changed(model: &str) -> Result<Map<String, Value>, Error> {
    let sql = "SELECT pg_catalog.max(m.settings::pg_catalog.text) FROM reco.monitored_model AS m \
               WHERE m.model OPERATOR(pg_catalog.=) $1";
    let text =
        as_owner(|client| Ok(client.update(sql, Some(1), &[model.into()])?.first().get_one::<String>()?))?;
    match text {
        None => Ok(Map::new()),
        Some(text) => serde_json::from_str(&text).map_err(|_| damaged(model, "they are no JSON object")),
    }
}

fn damaged(model: &str, how: &str) -> Error {
    Error::Damaged(format!("the monitoring settings of model \"{model}\" are damaged: {how}"))
}
