//! What the version is worth on its test rows: curves beside popularity, calibration, lift, weeks and regions.

use crate::bars::{bars, Bar};
use crate::figure::{figure, missing, more, part, table, Caption};
use crate::plot::{plot, Axis, Mark};
use crate::words::{counted, figure as number, figure_or_nothing, percent, shortened, LONGEST, NOTHING};
use crate::{Baseline, Curves, First, Measured, Part, Slice};
use maud::{html, Markup};
use model::Quality;

/// How many lines the table of a curve has.
const LINES: usize = 11;

pub fn curves(measured: &Part<Measured>) -> Markup {
    part(measured, |measured| {
        html! {
            p { (rows_of(measured)) " Rows are read and scored now, with the reader's rights." }
            @if let (Some(_), Err(why)) = (&measured.curves, &measured.popularity) { (missing(why)) }
            @match &measured.curves {
                Some(curves) => div.charts {
                    (roc(curves, measured))
                    (precision_recall(curves, measured))
                    (calibration(curves))
                    (lift(curves))
                },
                None => (errors(&measured.quality)),
            }
        }
    })
}

fn rows_of(measured: &Measured) -> String {
    let rows = match &measured.quality {
        Quality::Binary(m) => {
            format!("{} test rows, of which {} had a true label", counted(m.rows), counted(m.positives))
        }
        Quality::Regression(m) => format!("{} test rows", counted(m.rows)),
    };
    format!("On {rows}, from {} to {}.", shortened(&measured.from, LONGEST), shortened(&measured.to, LONGEST))
}

/// The legend of curves that are drawn beside the baseline, where there is one.
fn names(measured: &Measured, chance: &'static str) -> Vec<(&'static str, &'static str)> {
    let baseline = measured.popularity.is_ok().then_some(("popularity", "popularity"));
    [("model", "model")].into_iter().chain(baseline).chain([("chance", chance)]).collect()
}

fn roc(curves: &Curves, measured: &Measured) -> Markup {
    let baseline = measured.popularity.as_ref().ok();
    let points = |roc: &[model::charts::RocPoint]| -> Vec<(f64, f64)> {
        roc.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect()
    };
    let (model, popularity) = (points(&curves.roc), baseline.map(|b| points(&b.roc)).unwrap_or_default());
    let auroc = match &measured.quality {
        Quality::Binary(m) => m.auroc,
        Quality::Regression(_) => None,
    };
    let legend = names(measured, "chance");
    let caption = Caption {
        id: "roc",
        title: "ROC curve",
        description: format!(
            "The share of purchases found against the share of other rows taken for purchases. The area under the \
             model's curve is {}{}; chance has 0.5.",
            figure_or_nothing(auroc),
            beside(baseline.map(|b| b.auroc)),
        ),
        legend: &legend,
    };
    let marks = [
        Mark::Line("chance", &[(0.0, 0.0), (1.0, 1.0)]),
        Mark::Line("popularity", &popularity),
        Mark::Line("model", &model),
    ];
    let drawn =
        plot(&caption, &Axis::share("false positive rate"), &Axis::share("true positive rate"), &marks);
    html! {
        (figure(&caption, drawn, html! {
            p.note { "Area under the curve: model " span data-curve="auroc" { (figure_or_nothing(auroc)) }
                @if let Some(baseline) = baseline { ", popularity " span data-curve="popularity-auroc" { (figure_or_nothing(baseline.auroc)) } }
                "." }
            (table("ROC curve", &["false positive rate", "model's true positive rate", "popularity's"], 1, &sampled(&model, &popularity)))
        }))
    }
}

fn beside(popularity: Option<Option<f64>>) -> String {
    popularity.map_or(String::new(), |area| format!(", popularity's {}", figure_or_nothing(area)))
}

fn precision_recall(curves: &Curves, measured: &Measured) -> Markup {
    let baseline: Option<&Baseline> = measured.popularity.as_ref().ok();
    let (precision, share) = match &measured.quality {
        Quality::Binary(m) => (m.average_precision, m.positives as f64 / m.rows.max(1) as f64),
        Quality::Regression(_) => (None, 0.0),
    };
    let legend = names(measured, "share of purchases");
    let caption = Caption {
        id: "precision-recall",
        title: "Precision and recall",
        description: format!(
            "The share of true purchases among the rows taken against the share of purchases found. The model's average \
             precision is {}{}; chance has {}.",
            figure_or_nothing(precision),
            beside(baseline.map(|b| b.average_precision)),
            number(share),
        ),
        legend: &legend,
    };
    let (model, popularity) =
        (&curves.precision_recall, baseline.map(|b| b.precision_recall.clone()).unwrap_or_default());
    let chance = [(0.0, share), (1.0, share)];
    let marks =
        [Mark::Line("chance", &chance), Mark::Line("popularity", &popularity), Mark::Line("model", model)];
    let drawn = plot(&caption, &Axis::share("recall"), &Axis::share("precision"), &marks);
    html! {
        (figure(&caption, drawn, html! {
            p.note { "Average precision: model " span data-curve="average-precision" { (figure_or_nothing(precision)) }
                @if let Some(baseline) = baseline { ", popularity " span data-curve="popularity-average-precision" { (figure_or_nothing(baseline.average_precision)) } }
                "." }
            (table("Precision by recall", &["recall", "model's precision", "popularity's"], 1, &sampled(model, &popularity)))
        }))
    }
}

/// Two curves at the same places from 0 to 1.
fn sampled(model: &[(f64, f64)], popularity: &[(f64, f64)]) -> Vec<Vec<String>> {
    let at = |curve: &[(f64, f64)], x: f64| {
        let after = curve.iter().position(|point| point.0 >= x);
        match after {
            Some(0) => curve.first().map(|point| point.1),
            Some(n) => {
                let ((x0, y0), (x1, y1)) = (curve[n - 1], curve[n]);
                Some(if x1 > x0 { y0 + (y1 - y0) * (x - x0) / (x1 - x0) } else { y1 })
            }
            None => curve.last().map(|point| point.1),
        }
    };
    let line = |n: usize| {
        let x = n as f64 / (LINES - 1) as f64;
        vec![format!("{x:.1}"), figure_or_nothing(at(model, x)), figure_or_nothing(at(popularity, x))]
    };
    (0..LINES).map(line).collect()
}

fn calibration(curves: &Curves) -> Markup {
    let points: Vec<(f64, f64)> =
        curves.calibration.iter().map(|bin| (bin.mean_score, bin.positive_rate)).collect();
    let caption = Caption {
        id: "calibration",
        title: "Calibration",
        description:
            "How often what was scored about alike came true. On the diagonal, scores are the probabilities \
                      that they say they are."
                .into(),
        legend: &[("model", "model"), ("chance", "as often as scored")],
    };
    let marks = [
        Mark::Line("chance", &[(0.0, 0.0), (1.0, 1.0)]),
        Mark::Line("model", &points),
        Mark::Dots("model", &points),
    ];
    let drawn = plot(&caption, &Axis::share("mean score"), &Axis::share("share that came true"), &marks);
    let row = |bin: &model::metrics::CalibrationBin| {
        let scores = format!("{:.1} to {:.1}", bin.lower, bin.upper);
        vec![scores, counted(bin.rows), number(bin.mean_score), number(bin.positive_rate)]
    };
    let rows: Vec<Vec<String>> = curves.calibration.iter().map(row).collect();
    figure(&caption, drawn, table("Calibration", &["scores", "rows", "mean score", "came true"], 1, &rows))
}

fn lift(curves: &Curves) -> Markup {
    let columns: Vec<(f64, f64)> =
        curves.lift.iter().filter_map(|bucket| Some((f64::from(bucket.bucket), bucket.lift?))).collect();
    let best = columns.first().map_or(NOTHING.into(), |(_, lift)| number(*lift));
    let caption = Caption {
        id: "lift",
        title: "Lift by tenth of the ranking",
        description: format!(
            "How many times as often as on average rows of each tenth were bought, the highest scores first: {best} times in \
             the first tenth."
        ),
        legend: &[("model", "model"), ("chance", "average")],
    };
    let x = Axis {
        name: "tenth of the ranking, highest scores first",
        from: 0.5,
        to: curves.lift.len().max(1) as f64 + 0.5,
        marks: curves
            .lift
            .iter()
            .map(|bucket| (f64::from(bucket.bucket), bucket.bucket.to_string()))
            .collect(),
    };
    let y = Axis::around("lift", columns.iter().map(|(_, lift)| *lift).chain([0.0, 1.0]));
    let average = [(x.from, 1.0), (x.to, 1.0)];
    let drawn =
        plot(&caption, &x, &y, &[Mark::Columns("model", 0.76, &columns), Mark::Line("chance", &average)]);
    let row = |bucket: &model::charts::LiftBucket| {
        let shares = [
            bucket.lift.map_or(NOTHING.into(), number),
            bucket.cumulative_gain.map_or(NOTHING.into(), percent),
        ];
        let counts = [bucket.bucket.to_string(), counted(bucket.rows), percent(bucket.rate)];
        counts.into_iter().chain(shares).collect()
    };
    let rows: Vec<Vec<String>> = curves.lift.iter().map(row).collect();
    figure(&caption, drawn, table("Lift", &["tenth", "rows", "bought", "lift", "found so far"], 1, &rows))
}

/// What is measured of quantities.
fn errors(quality: &Quality) -> Markup {
    let Quality::Regression(m) = quality else { return html! {} };
    let shares =
        [("R²", m.r2), ("Pinball loss", m.pinball), ("Labels between the outer quantiles", m.coverage)];
    let rows = [("Root mean squared error", Some(m.rmse)), ("Mean absolute error", Some(m.mae))]
        .into_iter()
        .chain(shares);
    let rows: Vec<Vec<String>> =
        rows.map(|(name, value)| vec![name.into(), figure_or_nothing(value)]).collect();
    html! {
        p { "The model predicts a quantity, so there are errors and no curves." }
        (table("Errors on test rows", &["error", "value"], 1, &rows))
    }
}

/// The metric by which slices are compared: AUROC of probabilities, RMSE of quantities.
fn metric(quality: &Quality) -> Option<f64> {
    match quality {
        Quality::Binary(m) => m.auroc,
        Quality::Regression(m) => Some(m.rmse),
    }
}

pub fn slices(measured: &Part<Measured>) -> Markup {
    let Ok(measured) = measured else {
        return missing("Weeks and regions are measured on the same rows as the curves.");
    };
    let name = match measured.quality {
        Quality::Binary(_) => "AUROC",
        Quality::Regression(_) => "RMSE",
    };
    html! {
        div.charts {
            (part(&measured.weeks, |weeks| by_week(weeks, name)))
            @if let Some((column, regions)) = &measured.regions {
                (part(regions, |regions| by_region(column, regions, name)))
            }
        }
    }
}

/// Areas begin at chance, errors at 0.
fn axis(name: &'static str, slices: &[Slice]) -> Axis<'static> {
    let values = slices.iter().filter_map(|slice| metric(&slice.quality));
    match slices.first().map(|slice| &slice.quality) {
        Some(Quality::Regression(_)) => Axis::around(name, values.chain([0.0])),
        _ => Axis::areas(name, values),
    }
}

fn slice_table(about: &str, of: &str, metric_name: &str, slices: &[Slice]) -> Markup {
    let row = |slice: &Slice| {
        let (rows, rate) = match &slice.quality {
            Quality::Binary(m) => (m.rows, percent(m.positives as f64 / m.rows.max(1) as f64)),
            Quality::Regression(m) => (m.rows, number(m.mean_label)),
        };
        vec![name_of(slice), counted(rows), rate, figure_or_nothing(metric(&slice.quality))]
    };
    let rows: Vec<Vec<String>> = slices.iter().map(row).collect();
    let outcome = match slices.first().map(|slice| &slice.quality) {
        Some(Quality::Regression(_)) => "mean label",
        _ => "bought",
    };
    table(about, &[of, "rows", outcome, metric_name], 1, &rows)
}

fn name_of(slice: &Slice) -> String {
    slice.name.as_deref().map_or("NULL".into(), |name| shortened(name, LONGEST))
}

fn by_week(weeks: &First<Slice>, name: &'static str) -> Markup {
    let points: Vec<(f64, f64)> = weeks
        .rows
        .iter()
        .enumerate()
        .filter_map(|(n, week)| Some((n as f64, metric(&week.quality)?)))
        .collect();
    let title = format!("{name} by week");
    let caption = Caption {
        id: "by-week",
        title: &title,
        description: format!(
            "{name} of the model in each of the {} newest test weeks, in their order.",
            weeks.rows.len()
        ),
        legend: &[],
    };
    // As many names as have room.
    let every = weeks.rows.len().div_ceil(4).max(1);
    let marks = weeks
        .rows
        .iter()
        .enumerate()
        .step_by(every)
        .map(|(n, week)| (n as f64, shortened(&name_of(week), 10)));
    let last = weeks.rows.len().saturating_sub(1) as f64;
    let x = Axis { name: "week", from: -0.5, to: last + 0.5, marks: marks.collect() };
    let y = axis(name, &weeks.rows);
    let drawn = plot(&caption, &x, &y, &[Mark::Line("model", &points), Mark::Dots("model", &points)]);
    html! { div { (figure(&caption, drawn, slice_table(&title, "week", name, &weeks.rows))) (more(weeks)) } }
}

fn by_region(column: &str, regions: &First<Slice>, name: &'static str) -> Markup {
    let rows: Vec<Bar> = regions
        .rows
        .iter()
        .filter_map(|region| {
            let value = metric(&region.quality)?;
            Some(Bar { name: name_of(region), class: "model", value, text: number(value), interval: None })
        })
        .collect();
    let column = shortened(column, LONGEST);
    let title = format!("{name} by {column}");
    let caption = Caption {
        id: "by-region",
        title: &title,
        description: format!(
            "{name} of the model on the test rows of each value of {column}, those with most rows first."
        ),
        legend: &[],
    };
    let axis = axis(name, &regions.rows);
    let drawn = bars(&caption, &axis, axis.from, &rows);
    html! { div { (figure(&caption, drawn, slice_table(&title, "value", name, &regions.rows))) (more(regions)) } }
}
