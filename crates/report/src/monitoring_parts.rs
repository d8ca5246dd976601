//! What monitoring has found: the status with its reasons, the judged weeks beside the test rows, and drift.

use crate::bars::{bars, Bar};
use crate::figure::{figure, missing, more, part, table, Caption};
use crate::plot::{plot, Axis, Mark};
use crate::words::{
    counted, figure as number, figure_or_nothing, grouped, minute, percent_or_nothing, shortened, version,
    LONGEST, NOTHING,
};
use crate::{Drift, DriftedColumn, First, Health, JudgedWeek, Monitored, Part};
use maud::{html, Markup};

pub fn monitoring(monitored: &Part<Monitored>) -> Markup {
    part(monitored, |monitored| {
        let Some(health) = &monitored.health else {
            return missing("The model was not monitored yet: CALL reco.monitor(model).");
        };
        html! {
            (status(health))
            div.charts {
                (part(&monitored.weeks, weeks))
                (part(&monitored.drift, |drift| match drift {
                    Some(drift) => drifted(drift),
                    None => missing("No drift was measured yet."),
                }))
            }
        }
    })
}

fn status(health: &Health) -> Markup {
    let weeks = |weeks: i64| format!("{} {}", grouped(weeks), if weeks == 1 { "week" } else { "weeks" });
    let ago = |age: i64| if age == 0 { "this week".to_owned() } else { format!("{} ago", weeks(age)) };
    let ages = [
        ("Weeks judged", Some(grouped(health.weeks_judged))),
        ("Weeks that wait for their outcome", Some(grouped(health.weeks_waiting))),
        ("Features are behind by", health.features_weeks_behind.map(weeks)),
        ("Champion was trained", health.champion_age_weeks.map(ago)),
    ];
    let by = health.monitored_by.as_deref().map_or(NOTHING.into(), |by| shortened(by, LONGEST));
    html! {
        dl.headline {
            div { dt { "Status" } dd data-status=(shortened(&health.status, LONGEST)) {
                (shortened(&health.status, LONGEST))
                @if let Some(since) = &health.since { small { "since " (minute(since)) } }
            } }
            @for (name, value) in ages.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                div { dt { (name) } dd { (value) } }
            }
        }
        @if let Some(at) = &health.monitored_at { p.soft { "Monitored at " (minute(at)) " UTC by role " (by) "." } }
        @match &health.reasons {
            Some(reasons) => {
                @for reason in &reasons.rows {
                    p.reason.(if reason.level == "alarm" { "warning" } else { "caution" }) {
                        strong { (shortened(&reason.level, LONGEST)) ": " } (shortened(&reason.words, LONGEST))
                    }
                }
                (more(reasons))
            }
            None => (missing("The reasons of the status are shown to those who may train the model.")),
        }
    }
}

/// What weeks are judged by: its name, its value in a week, and on the test rows.
struct Figure {
    name: &'static str,
    of_week: fn(&JudgedWeek) -> Option<f64>,
    of_test: fn(&JudgedWeek) -> Option<f64>,
}

const AUROC: Figure = Figure { name: "AUROC", of_week: |week| week.auroc, of_test: |week| week.test_auroc };
const RMSE: Figure = Figure { name: "RMSE", of_week: |week| week.rmse, of_test: |week| week.test_rmse };

fn weeks(weeks: &First<JudgedWeek>) -> Markup {
    if weeks.rows.is_empty() {
        return missing("No week was judged yet.");
    }
    let is_quantity = weeks.rows.iter().any(|week| week.rmse.is_some());
    let judged_by = if is_quantity { RMSE } else { AUROC };
    let name = judged_by.name;
    let points = |of: fn(&JudgedWeek) -> Option<f64>| -> Vec<(f64, f64)> {
        let known = weeks.rows.iter().enumerate().filter_map(|(n, week)| Some((n as f64, of(week)?)));
        known.filter(|point| point.1.is_finite()).collect()
    };
    let (judged, tested) = (points(judged_by.of_week), points(judged_by.of_test));
    let title = format!("{name} of judged weeks beside the test rows");
    let caption = Caption {
        id: "judged-weeks",
        title: &title,
        description: format!(
            "{name} in each of the {} newest weeks that were judged, in their order, and what the version that served the \
             week had on its test rows.",
            weeks.rows.len()
        ),
        legend: &[("model", "the week"), ("chance", "test rows of its version")],
    };
    // As many names as have room.
    let every = weeks.rows.len().div_ceil(4).max(1);
    let marks = weeks.rows.iter().enumerate().step_by(every);
    let last = weeks.rows.len().saturating_sub(1) as f64;
    let x = Axis {
        name: "week",
        from: -0.5,
        to: last + 0.5,
        marks: marks.map(|(n, week)| (n as f64, shortened(&week.week, 10))).collect(),
    };
    let values = judged.iter().chain(&tested).map(|point| point.1);
    let y = match is_quantity {
        true => Axis::around(name, values.chain([0.0]).collect::<Vec<_>>().into_iter()),
        false => Axis::areas(name, values),
    };
    let marks = [Mark::Line("chance", &tested), Mark::Line("model", &judged), Mark::Dots("model", &judged)];
    let drawn = plot(&caption, &x, &y, &marks);
    html! { div { (figure(&caption, drawn, week_table(&judged_by, is_quantity, &weeks.rows))) (more(weeks)) } }
}

fn week_table(judged_by: &Figure, is_quantity: bool, weeks: &[JudgedWeek]) -> Markup {
    let outcome = if is_quantity { "mean label" } else { "bought" };
    let on_test = format!("test {}", judged_by.name);
    let mut heads = vec!["week", "version", "rows", outcome, judged_by.name, on_test.as_str()];
    if !is_quantity {
        heads.extend(["calibration error", "on test rows"]);
    }
    // Notes are shown to those who may train the model.
    let has_notes = weeks.iter().any(|week| week.note.is_some());
    if has_notes {
        heads.push("note");
    }
    let row = |week: &JudgedWeek| {
        let outcome = match is_quantity {
            true => figure_or_nothing(week.mean_label),
            false => percent_or_nothing(week.mean_label),
        };
        let mut cells = vec![
            shortened(&week.week, LONGEST),
            version(week.version),
            counted(week.rows),
            outcome,
            figure_or_nothing((judged_by.of_week)(week)),
            figure_or_nothing((judged_by.of_test)(week)),
        ];
        if !is_quantity {
            cells.extend([week.calibration_error, week.test_calibration_error].map(figure_or_nothing));
        }
        if has_notes {
            cells.push(week.note.as_deref().map_or(NOTHING.into(), |note| shortened(note, LONGEST)));
        }
        cells
    };
    let rows: Vec<Vec<String>> = weeks.iter().map(row).collect();
    table("Judged weeks", &heads, 1, &rows)
}

fn drifted(drift: &Drift) -> Markup {
    let columns = &drift.columns;
    let measured = columns.rows.iter().filter_map(|column| Some((column, column.psi?)));
    let rows: Vec<Bar> = measured
        .map(|(column, psi)| Bar {
            name: name_of(column),
            class: class_of(column),
            value: psi,
            text: number(psi),
            interval: None,
        })
        .collect();
    let week = shortened(&drift.week, LONGEST);
    let title = format!("Drift in the week of {week}");
    let caption = Caption {
        id: "drift",
        title: &title,
        description: format!(
            "Population stability index of each column and of the scores in the week of {week} against the training of version \
             {}: first what is a reason for the status, then the scores, then the largest drift times importance. 0 means no change.",
            drift.version
        ),
        legend: &[("model", "no reason"), ("popularity", "a warning"), ("alarm", "an alarm")],
    };
    let axis = Axis::around("population stability index", rows.iter().map(|row| row.value).chain([0.0]));
    let numbers = drift_table(&columns.rows);
    html! {
        div {
            @if rows.is_empty() {
                h3 { (title) }
                p.missing { "No column could be measured." }
                (numbers)
            } @else {
                (figure(&caption, bars(&caption, &axis, 0.0, &rows), numbers))
            }
            (more(columns))
        }
    }
}

fn name_of(column: &DriftedColumn) -> String {
    column.name.clone().unwrap_or_else(|| "the scores".into())
}

fn class_of(column: &DriftedColumn) -> &'static str {
    match column.level.as_deref() {
        Some("alarm") => "alarm",
        Some(_) => "popularity",
        None => "model",
    }
}

fn drift_table(columns: &[DriftedColumn]) -> Markup {
    let heads = [
        "column",
        "importance",
        "PSI",
        "in good weeks up to",
        "by chance up to",
        "Jensen–Shannon",
        "NULL",
        "NULL in training",
        "never seen",
        "outside the range",
        "means",
        "note",
    ];
    let row = |column: &DriftedColumn| {
        let figures = [column.importance, column.psi, column.usual, column.chance, column.jensen_shannon];
        let shares = [column.nulls, column.nulls_trained, column.unseen, column.outside];
        [shortened(&name_of(column), LONGEST)]
            .into_iter()
            .chain(figures.map(figure_or_nothing))
            .chain(shares.map(percent_or_nothing))
            .chain([column.level.clone().unwrap_or_else(|| NOTHING.into())])
            .chain([column.note.as_deref().map_or(NOTHING.into(), |note| shortened(note, LONGEST))])
            .collect()
    };
    let rows: Vec<Vec<String>> = columns.iter().map(row).collect();
    table("Drift by column", &heads, 1, &rows)
}
