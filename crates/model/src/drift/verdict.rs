//! The status of a model: from the figures of its newest weeks, with its reasons in words.

use super::thresholds::Thresholds;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    Warning,
    Alarm,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        }
    }
}

/// Why a model is not ok.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub level: Status,
    /// What it is about: `auroc`, `rmse`, `calibration`, `drift`, `features`, `champion`, `source`.
    pub about: String,
    pub words: String,
}

impl Reason {
    pub fn new(level: Status, about: &str, words: impl Into<String>) -> Self {
        Self { level, about: about.into(), words: words.into() }
    }
}

/// The figures of the newest week that was judged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    pub week: String,
    pub version: i32,
    pub auroc: Option<f64>,
    /// The standard error of the AUROC.
    pub auroc_error: Option<f64>,
    pub test_auroc: Option<f64>,
    pub rmse: Option<f64>,
    pub test_rmse: Option<f64>,
    pub calibration_error: Option<f64>,
    /// What chance makes of the calibration error.
    pub calibration_chance: Option<f64>,
}

/// The drift of an input, or of the score.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drifted {
    pub week: String,
    /// `None` of the score.
    pub column: Option<String>,
    pub psi: Option<f64>,
    pub chance: Option<f64>,
    /// The most that the index was in earlier weeks in which the model was good: so much drift does no harm.
    pub usual: Option<f64>,
    /// `None` where it is not known; the score matters in any case.
    pub importance: Option<f64>,
}

/// How old things are, in weeks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ages {
    /// From the newest row of the source to the newest that there could be.
    pub features: Option<i64>,
    /// From the newest row that the champion has seen to the newest of the source.
    pub champion: Option<i64>,
}

/// An AUROC is lower than another only if it lies this many standard errors below.
const ERRORS: f64 = 3.0;

/// The reasons, the worst first. `most_important` is the importance of the version's most important column, which need not be
/// among those whose drift could be measured; `None` where none is known.
pub fn reasons(
    thresholds: &Thresholds,
    judged: Option<&Judged>,
    drifted: &[Drifted],
    most_important: Option<f64>,
    ages: Ages,
) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = judged.iter().flat_map(|judged| of_week(thresholds, judged)).collect();
    reasons.extend(drifted.iter().filter_map(|drifted| of_column(thresholds, drifted, most_important)));
    let (warning, alarm) = (thresholds.features_weeks_warning, thresholds.features_weeks_alarm);
    reasons.extend(ages.features.and_then(|weeks| {
        let words = format!("the newest row of the source is {} behind", in_weeks(weeks));
        Some(Reason::new(level(weeks as f64, warning, alarm)?, "features", words))
    }));
    let (warning, alarm) = (thresholds.champion_weeks_warning, thresholds.champion_weeks_alarm);
    reasons.extend(ages.champion.and_then(|weeks| {
        let words = format!("the champion has not seen the newest {}: train it again", in_weeks(weeks));
        Some(Reason::new(level(weeks as f64, warning, alarm)?, "champion", words))
    }));
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
    reasons
}

fn in_weeks(weeks: i64) -> String {
    format!("{weeks} {}", if weeks == 1 { "week" } else { "weeks" })
}

/// The worst of the levels.
pub fn status(reasons: &[Reason]) -> Status {
    reasons.iter().map(|reason| reason.level).max().unwrap_or(Status::Ok)
}

fn level(value: f64, warning: Option<f64>, alarm: Option<f64>) -> Option<Status> {
    let reaches = |threshold: Option<f64>| threshold.is_some_and(|threshold| value >= threshold);
    match (reaches(alarm), reaches(warning)) {
        (true, _) => Some(Status::Alarm),
        (false, true) => Some(Status::Warning),
        (false, false) => None,
    }
}

fn of_week(thresholds: &Thresholds, judged: &Judged) -> Vec<Reason> {
    let Judged { week, version, .. } = judged;
    let auroc = judged.auroc.zip(judged.test_auroc).and_then(|(auroc, test)| {
        let drop = test - auroc;
        let certain = drop > ERRORS * judged.auroc_error.unwrap_or(0.0);
        let found = level(drop, thresholds.auroc_drop_warning, thresholds.auroc_drop_alarm)?;
        let words = format!(
            "AUROC of version {version} in the week of {week} is {auroc:.3}, and was {test:.3} on its test rows"
        );
        certain.then(|| Reason::new(found, "auroc", words))
    });
    let rmse = judged.rmse.zip(judged.test_rmse).and_then(|(rmse, test)| {
        let rise = if test > 0.0 { rmse / test } else { return None };
        let words = format!(
            "RMSE of version {version} in the week of {week} is {rmse:.4}, and was {test:.4} on its test rows"
        );
        Some(Reason::new(
            level(rise, thresholds.rmse_rise_warning, thresholds.rmse_rise_alarm)?,
            "rmse",
            words,
        ))
    });
    let calibration = judged.calibration_error.and_then(|error| {
        let beyond = error - judged.calibration_chance.unwrap_or(0.0);
        let words = format!(
            "probabilities of version {version} in the week of {week} are off by {error:.3} on average"
        );
        Some(Reason::new(
            level(beyond, thresholds.calibration_warning, thresholds.calibration_alarm)?,
            "calibration",
            words,
        ))
    });
    [auroc, rmse, calibration].into_iter().flatten().collect()
}

/// Whether nothing is wrong with a week that has a figure to judge it by.
pub fn is_good(thresholds: &Thresholds, judged: &Judged) -> bool {
    let compared = judged.auroc.zip(judged.test_auroc).or(judged.rmse.zip(judged.test_rmse));
    compared.is_some() && of_week(thresholds, judged).is_empty()
}

/// What the drift of a column, or of the scores, means for the status; `None` if nothing.
pub fn level_of(thresholds: &Thresholds, drifted: &Drifted, most_important: Option<f64>) -> Option<Status> {
    let psi = drifted.psi?;
    let beyond = psi - drifted.usual.unwrap_or(0.0);
    let level = level(beyond, thresholds.psi_warning, thresholds.psi_alarm)?;
    // Where no column is of importance, that tells nothing.
    let most = most_important.filter(|most| *most > 0.0);
    let least = thresholds.least_importance.zip(most).map(|(share, most)| share * most);
    let matters =
        drifted.column.is_none() || least.zip(drifted.importance).is_none_or(|(least, i)| i >= least);
    (psi > drifted.chance.unwrap_or(0.0) && matters).then_some(level)
}

fn of_column(thresholds: &Thresholds, drifted: &Drifted, most_important: Option<f64>) -> Option<Reason> {
    let (psi, level) = (drifted.psi?, level_of(thresholds, drifted, most_important)?);
    let what = match &drifted.column {
        Some(column) => format!("column \"{column}\""),
        None => "the scores".into(),
    };
    let usual = match drifted.usual {
        Some(usual) => format!(", at most {usual:.3} in weeks in which the model was good"),
        None => String::new(),
    };
    let importance = match drifted.importance {
        Some(importance) if drifted.column.is_some() => format!(" (importance {importance:.4})"),
        _ => String::new(),
    };
    let words = format!(
        "{what} in the week of {} drifted from training: PSI {psi:.3}{usual}{importance}",
        drifted.week
    );
    Some(Reason::new(level, "drift", words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Judged {
        Judged {
            week: "2024-06-03".into(),
            version: 2,
            auroc: Some(0.80),
            auroc_error: Some(0.01),
            test_auroc: Some(0.81),
            calibration_error: Some(0.03),
            calibration_chance: Some(0.02),
            ..Judged::default()
        }
    }

    fn drifted(psi: f64, importance: Option<f64>) -> Drifted {
        Drifted {
            week: "2024-06-10".into(),
            column: Some("price".into()),
            psi: Some(psi),
            chance: Some(0.05),
            usual: None,
            importance,
        }
    }

    fn found(judged: Option<&Judged>, drifted: &[Drifted], ages: Ages) -> (Status, Vec<String>) {
        found_of(judged, drifted, drifted.iter().filter_map(|one| one.importance).reduce(f64::max), ages)
    }

    fn found_of(
        judged: Option<&Judged>,
        drifted: &[Drifted],
        most_important: Option<f64>,
        ages: Ages,
    ) -> (Status, Vec<String>) {
        let reasons = reasons(&Thresholds::default(), judged, drifted, most_important, ages);
        (status(&reasons), reasons.into_iter().map(|reason| reason.words).collect())
    }

    #[test]
    fn figures_within_bounds_are_ok() {
        let ages = Ages { features: Some(1), champion: Some(12) };
        assert_eq!(found(Some(&good()), &[drifted(0.09, Some(0.1))], ages), (Status::Ok, Vec::new()));
        assert_eq!(found(None, &[], Ages::default()), (Status::Ok, Vec::new()));
    }

    #[test]
    fn a_lower_auroc_is_a_reason_if_chance_does_not_explain_it() {
        let lower = Judged { auroc: Some(0.70), ..good() };
        let (status, words) = found(Some(&lower), &[], Ages::default());
        assert_eq!(status, Status::Alarm);
        assert_eq!(
            words,
            ["AUROC of version 2 in the week of 2024-06-03 is 0.700, and was 0.810 on its test rows"]
        );
        let vague = Judged { auroc_error: Some(0.04), ..lower };
        assert_eq!(found(Some(&vague), &[], Ages::default()).0, Status::Ok);
        assert_eq!(found(Some(&Judged { auroc: None, ..good() }), &[], Ages::default()).0, Status::Ok);
    }

    #[test]
    fn quantities_are_judged_by_how_much_their_error_grew() {
        let of = |rmse| Judged { rmse: Some(rmse), test_rmse: Some(2.0), ..Judged::default() };
        let status = |rmse| found(Some(&of(rmse)), &[], Ages::default()).0;
        assert_eq!([2.4, 2.6, 3.0].map(status), [Status::Ok, Status::Warning, Status::Alarm]);
    }

    #[test]
    fn probabilities_that_are_off_are_a_reason_beyond_chance() {
        let of = |error| Judged { calibration_error: Some(error), ..good() };
        let status = |error| found(Some(&of(error)), &[], Ages::default()).0;
        assert_eq!([0.06, 0.08, 0.13].map(status), [Status::Ok, Status::Warning, Status::Alarm]);
    }

    #[test]
    fn drift_of_a_column_that_does_not_matter_is_no_reason() {
        let level = |importance| {
            let most = Drifted { column: Some("sales".into()), ..drifted(0.01, Some(0.1)) };
            found(None, &[most, drifted(0.5, importance)], Ages::default()).0
        };
        assert_eq!(level(Some(0.002)), Status::Alarm);
        assert_eq!(level(None), Status::Alarm);
        assert_eq!(level(Some(0.0019)), Status::Ok);
        assert_eq!(level(Some(-0.001)), Status::Ok);
        // Where no column matters, every one may.
        assert_eq!(found(None, &[drifted(0.5, Some(-0.1))], Ages::default()).0, Status::Alarm);
        let (status, words) = found(None, &[drifted(0.12, Some(0.02))], Ages::default());
        assert_eq!(status, Status::Warning);
        assert_eq!(
            words,
            ["column \"price\" in the week of 2024-06-10 drifted from training: PSI 0.120 (importance 0.0200)"]
        );
        let by_chance = Drifted { chance: Some(0.6), ..drifted(0.5, None) };
        assert_eq!(found(None, &[by_chance], Ages::default()).0, Status::Ok);
        let scores = Drifted { column: None, ..drifted(0.5, Some(0.0)) };
        let (status, words) = found(None, &[scores], Ages::default());
        assert_eq!(status, Status::Alarm);
        assert!(words[0].starts_with("the scores in the week"), "{words:?}");
    }

    #[test]
    fn as_much_drift_as_the_model_has_borne_is_no_reason_and_more_is() {
        let level =
            |psi, usual| found(None, &[Drifted { usual, ..drifted(psi, Some(0.1)) }], Ages::default()).0;
        let borne = [0.4, 0.49, 0.51, 0.66].map(|psi| level(psi, Some(0.4)));
        assert_eq!(borne, [Status::Ok, Status::Ok, Status::Warning, Status::Alarm]);
        assert_eq!(level(0.4, None), Status::Alarm);
        let more = Drifted { usual: Some(0.04), ..drifted(0.4, Some(0.1)) };
        assert!(found(None, &[more], Ages::default()).1[0]
            .contains("PSI 0.400, at most 0.040 in weeks in which the model was good (importance 0.1000)"));
    }

    #[test]
    fn a_week_is_good_if_it_is_compared_and_has_no_reason() {
        let is_good = |judged: Judged| is_good(&Thresholds::default(), &judged);
        assert!(is_good(good()));
        assert!(!is_good(Judged { auroc: Some(0.6), ..good() }));
        assert!(!is_good(Judged { calibration_error: Some(0.3), ..good() }));
        assert!(!is_good(Judged { auroc: None, ..good() }));
        assert!(!is_good(Judged { test_auroc: None, ..good() }));
        assert!(is_good(Judged { rmse: Some(1.0), test_rmse: Some(1.0), ..Judged::default() }));
    }

    #[test]
    fn a_column_matters_beside_the_most_important_one_also_where_that_cannot_be_measured() {
        let level = |most| found_of(None, &[drifted(0.5, Some(0.001))], most, Ages::default()).0;
        assert_eq!(
            [Some(0.1), Some(0.05), None, Some(0.0)].map(level),
            [Status::Ok, Status::Alarm, Status::Alarm, Status::Alarm]
        );
    }

    #[test]
    fn what_is_old_is_a_reason_and_the_worst_stands_first() {
        let ages = Ages { features: Some(2), champion: Some(30) };
        let (status, words) = found(None, &[], ages);
        assert_eq!(status, Status::Alarm);
        assert_eq!(
            words,
            [
                "the champion has not seen the newest 30 weeks: train it again",
                "the newest row of the source is 2 weeks behind"
            ]
        );
    }
}
