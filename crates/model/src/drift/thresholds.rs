//! From which figures on a model is to be looked at: settings of the model, with defaults.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A setting that is `None` is not looked at. Each figure has a threshold for a warning, and one for an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// The population stability index of an input or of the score.
    pub psi_warning: Option<f64>,
    pub psi_alarm: Option<f64>,
    /// An input whose importance is below this share of the most important one's is no reason, however it drifts.
    pub least_importance: Option<f64>,
    /// How much lower the AUROC of a week is than that of the test rows.
    pub auroc_drop_warning: Option<f64>,
    pub auroc_drop_alarm: Option<f64>,
    /// How many times larger the root mean squared error of a week is than that of the test rows.
    pub rmse_rise_warning: Option<f64>,
    pub rmse_rise_alarm: Option<f64>,
    /// The expected calibration error of a week, less what chance explains.
    pub calibration_warning: Option<f64>,
    pub calibration_alarm: Option<f64>,
    /// How many weeks the newest row of the source is behind.
    pub features_weeks_warning: Option<f64>,
    pub features_weeks_alarm: Option<f64>,
    /// How many weeks of the source are later than all that the champion has seen.
    pub champion_weeks_warning: Option<f64>,
    pub champion_weeks_alarm: Option<f64>,
    /// The share of a week's rows that have a label before the week is judged.
    pub least_labelled: Option<f64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            psi_warning: Some(0.1),
            psi_alarm: Some(0.25),
            least_importance: Some(0.02),
            auroc_drop_warning: Some(0.05),
            auroc_drop_alarm: Some(0.1),
            rmse_rise_warning: Some(1.25),
            rmse_rise_alarm: Some(1.5),
            calibration_warning: Some(0.05),
            calibration_alarm: Some(0.1),
            features_weeks_warning: Some(2.0),
            features_weeks_alarm: Some(4.0),
            champion_weeks_warning: Some(13.0),
            champion_weeks_alarm: Some(26.0),
            least_labelled: Some(0.9),
        }
    }
}

/// The largest threshold.
const MOST: f64 = 1e6;

impl Thresholds {
    /// These settings with others in their place. The error says in words which of them cannot be.
    pub fn with(&self, changes: &Map<String, Value>) -> Result<Self, String> {
        let mut all = match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            _ => Map::new(),
        };
        for (name, value) in changes {
            let Some(place) = all.get_mut(name) else {
                let known: Vec<&str> = all.keys().map(String::as_str).collect();
                return Err(format!(
                    "there is no setting \"{name}\"; the settings are: {}",
                    known.join(", ")
                ));
            };
            let most = if name.starts_with("least_") { 1.0 } else { MOST };
            let fits = value.as_f64().is_some_and(|number| (0.0..=most).contains(&number));
            if !(value.is_null() || fits) {
                return Err(format!("{name} is a number from 0 to {most}, or null, not {value}"));
            }
            *place = value.clone();
        }
        let settings: Self = serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let pairs = [
            ("psi", self.psi_warning, self.psi_alarm),
            ("auroc_drop", self.auroc_drop_warning, self.auroc_drop_alarm),
            ("rmse_rise", self.rmse_rise_warning, self.rmse_rise_alarm),
            ("calibration", self.calibration_warning, self.calibration_alarm),
            ("features_weeks", self.features_weeks_warning, self.features_weeks_alarm),
            ("champion_weeks", self.champion_weeks_warning, self.champion_weeks_alarm),
        ];
        let above = |(_, warning, alarm): &&(&str, Option<f64>, Option<f64>)| {
            warning.zip(*alarm).is_some_and(|(warning, alarm)| warning > alarm)
        };
        match pairs.iter().find(above) {
            Some((name, ..)) => Err(format!("{name}_warning must not be above {name}_alarm")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(changes: Value) -> Result<Thresholds, String> {
        Thresholds::default().with(changes.as_object().unwrap())
    }

    #[test]
    fn a_change_leaves_the_other_settings_as_they_are() {
        let changed = with(json!({"psi_warning": 0.2, "features_weeks_alarm": null})).unwrap();
        let expected =
            Thresholds { psi_warning: Some(0.2), features_weeks_alarm: None, ..Thresholds::default() };
        assert_eq!(changed, expected);
        let again = changed.with(json!({"psi_alarm": 1}).as_object().unwrap()).unwrap();
        assert_eq!(again, Thresholds { psi_alarm: Some(1.0), ..expected });
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (changes, words) in [
            (json!({"luck": 1}), "no setting \"luck\""),
            (json!({"psi_alarm": -1}), "from 0"),
            (json!({"psi_alarm": "much"}), "is a number"),
            (json!({"least_labelled": 2}), "from 0 to 1"),
            (json!({"psi_warning": 0.3}), "psi_warning must not be above psi_alarm"),
        ] {
            let refused = with(changes).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
