//! The whole page: well-formed, fetching nothing, running nothing, bounded, whatever its texts say.

use model::card::{Card, CardColumn, Move};
use model::metrics::Metrics;
use model::ranking::Ranking;
use model::Quality;
use report::{
    page, Arm, Baseline, Contender, Curves, Drift, DriftedColumn, First, Health, JudgedWeek, Measured,
    Monitored, Promotion, Reason, Report, Slice, Test,
};
use scraper::{ElementRef, Html, Selector};

/// What somebody might call a model who wants to run something in another's browser.
const HOSTILE: &str = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>]]><style>*{display:none}</style>&amp;";

fn first<T>(rows: Vec<T>) -> First<T> {
    First { all: rows.len() as u64, rows }
}

fn ranking() -> Ranking {
    let scores: Vec<f64> = (0..400).map(|n| f64::from(n * 37 % 400) / 400.0).collect();
    let labels: Vec<bool> =
        scores.iter().enumerate().map(|(n, score)| score + f64::from(n as u32 % 7) / 9.0 > 0.9).collect();
    Ranking::of(&scores, &labels)
}

fn slices(names: impl Iterator<Item = String>) -> First<Slice> {
    let quality = Quality::Binary(Metrics::of_ranking(&mut ranking()).unwrap());
    first(names.map(|name| Slice { name: Some(name), quality: quality.clone() }).collect())
}

/// Monitoring of 52 weeks and 31 columns, whose every text is this one.
fn monitored(text: &str) -> Monitored {
    let some = || Some(text.to_owned());
    let week = |n: u32| JudgedWeek {
        week: format!("{text}{n}"),
        version: Some(3),
        rows: 1234,
        mean_label: Some(0.25),
        auroc: (n != 7).then(|| 0.8 + f64::from(n % 5) / 100.0),
        test_auroc: Some(0.81),
        calibration_error: Some(0.02),
        note: some(),
        ..JudgedWeek::default()
    };
    let column = |n: u32| DriftedColumn {
        name: (n != 2).then(|| format!("{text}{n}")),
        importance: (n != 2).then_some(0.0123),
        psi: (n != 3).then_some(0.5 / f64::from(n)),
        level: [(1, "alarm"), (2, "warning")]
            .iter()
            .find(|(of, _)| *of == n)
            .map(|(_, level)| (*level).into()),
        note: some(),
        ..DriftedColumn::default()
    };
    let reasons = ["alarm", "warning"].map(|level| Reason { level: level.into(), words: text.into() });
    let health = Health {
        status: "alarm".into(),
        since: some(),
        reasons: Some(First { all: 33, rows: reasons.into() }),
        weeks_judged: 60,
        features_weeks_behind: Some(1),
        champion_age_weeks: Some(12),
        monitored_by: some(),
        monitored_at: some(),
        ..Health::default()
    };
    let columns = First { all: 31, rows: (1..=30).map(column).collect() };
    Monitored {
        health: Some(health),
        weeks: Ok(First { all: 60, rows: (0..52).map(week).collect() }),
        drift: Ok(Some(Drift { week: text.into(), version: 3, columns })),
    }
}

/// A report whose every text is this one.
fn report(text: &str) -> Report {
    let some = || Some(text.to_owned());
    let card = Card {
        model: text.into(),
        version: 3,
        status: "trained".into(),
        algorithm: text.into(),
        owner: text.into(),
        purpose: some(),
        aliases: vec![text.into()],
        label: some(),
        source: some(),
        keys: vec![text.into()],
        time_column: some(),
        metrics: serde_json::from_value(serde_json::json!({
            "test": {"model": {"auroc": 0.8564, "average_precision": 0.41, "rows": 400}, "popularity": {"auroc": 0.71}}
        }))
        .unwrap(),
        data: serde_json::from_value(serde_json::json!({"definition": text, text: text, "rows": 1234567})).unwrap(),
        parameters: Some(serde_json::json!({text: text, "hidden": [16]})),
        columns: Some(vec![CardColumn {
            name: text.into(),
            sql_type: text.into(),
            categories: None,
            had_missing: false,
            importance: Some(0.0123),
        }]),
        limits: vec![text.into()],
        run_id: some(),
        trained_by: text.into(),
        trained_at: "2024-06-01T12:30:00+00:00".into(),
        seconds: 75.0,
        libraries: serde_json::json!({text: text}),
        history: vec![Move { action: text.into(), from: None, to: None, why: some(), by: text.into(), at: text.into() }],
        ..Card::default()
    };
    let mut ranking = ranking();
    let arm = |lift: Option<f64>| Arm {
        arm: text.into(),
        version: 1,
        lift,
        low: lift.map(|lift| lift - 0.1),
        high: lift.map(|_| f64::INFINITY),
        warning: some(),
        ..Arm::default()
    };
    let test = Test {
        name: text.into(),
        status: text.into(),
        unit: text.into(),
        started_at: text.into(),
        stopped_at: some(),
        winner: some(),
        why: some(),
        arms: Ok(vec![arm(None), arm(Some(0.2))]),
    };
    Report {
        at: "2024-06-01 12:30".into(),
        reader: text.into(),
        card,
        leaderboard: Ok(first(vec![
            Contender {
                algorithm: text.into(),
                error: some(),
                auroc: Some(0.9),
                ..Contender::default()
            };
            3
        ])),
        measured: Ok(Measured {
            from: text.into(),
            to: text.into(),
            quality: Quality::Binary(Metrics::of_ranking(&mut ranking).unwrap()),
            curves: Some(Curves::of(ranking.sorted())),
            popularity: Ok(Baseline::of(ranking.sorted())),
            weeks: Ok(slices((0..52).map(|n| format!("{text}{n}")))),
            regions: Some((text.into(), Ok(slices((0..20).map(|n| format!("{text}{n}")))))),
        }),
        monitored: Ok(monitored(text)),
        tests: Ok(first(vec![test; 10])),
        promotions: Ok(first(vec![
            Promotion {
                action: text.into(),
                by: text.into(),
                why: some(),
                ..Promotion::default()
            };
            30
        ])),
    }
}

fn parse(page: &str) -> Html {
    let parsed = Html::parse_document(page);
    assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
    parsed
}

fn all<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &ElementRef) -> String {
    element.text().collect()
}

#[test]
fn a_page_is_well_formed_and_has_every_part_with_a_heading() {
    let html = parse(&page(&report("launch")));
    let headings: Vec<String> = all(&html, "main h2").iter().map(text).collect();
    let expected = [
        "Model card",
        "Leaderboard",
        "Curves",
        "By week and region",
        "Importance of columns",
        "Monitoring",
        "A/B tests",
        "History of promotions",
        "Lineage",
    ];
    assert_eq!(headings, expected);
    for link in all(&html, "nav a") {
        let target = link.attr("href").unwrap();
        assert_eq!(all(&html, &format!("section{target}")).len(), 1, "{target}");
    }
    assert_eq!(text(&all(&html, "h1")[0]), "launch, version 3");
    assert_eq!(text(&all(&html, "[data-metric=auroc]")[0]), "0.856popularity: 0.710");
}

#[test]
fn every_chart_has_a_title_a_description_and_a_table() {
    let html = parse(&page(&report("launch")));
    let charts = all(&html, "figure");
    assert_eq!(charts.len(), 9 + 10);
    let mut ids = std::collections::BTreeSet::new();
    for element in all(&html, "[id]") {
        assert!(ids.insert(element.attr("id").unwrap().to_owned()), "{:?} twice", element.attr("id"));
    }
    for chart in charts {
        let within = |selector: &str| chart.select(&Selector::parse(selector).unwrap()).next();
        let svg = within("svg[role=img]").expect("a drawing");
        for id in svg.attr("aria-labelledby").unwrap().split(' ') {
            assert!(ids.contains(id), "{id}");
        }
        assert!(text(&within("svg > title").unwrap()).len() > 3);
        assert!(text(&within("svg > desc").unwrap()).len() > 20);
        assert!(within("details table tbody tr").is_some());
    }
}

#[test]
fn a_drawing_is_well_formed_by_itself() {
    let page = page(&report("a & b < c"));
    for drawing in page.split("<svg").skip(1) {
        let drawing = drawing.split("</svg>").next().unwrap();
        assert!(!drawing.contains("NaN") && !drawing.contains("inf"), "{drawing}");
        assert!(drawing.contains("viewBox=\"0 0 380"), "{drawing}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let page = page(&report(HOSTILE));
    let html = parse(&page);
    for selector in
        ["script", "img", "iframe", "object", "embed", "link", "base", "form", "body style", "foreignObject"]
    {
        assert_eq!(all(&html, selector).len(), 0, "{selector}");
    }
    assert_eq!(all(&html, "style").len(), 1);
    for element in all(&html, "*") {
        for (name, value) in element.value().attrs() {
            assert!(!name.starts_with("on") && name != "style" && name != "src", "{name}={value}");
            assert!(!["href", "xlink:href"].contains(&name) || value.starts_with('#'), "{name}={value}");
        }
    }
    assert_eq!(text(&all(&html, "h1")[0]), format!("{HOSTILE}, version 3"));
    assert_eq!(text(&all(&html, "title")[0]), format!("{HOSTILE}, version 3"));
}

#[test]
fn a_page_fetches_nothing_and_forbids_scripts() {
    // The name of a vocabulary, which nothing fetches.
    let page = page(&report("launch")).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for word in ["http://", "https://", "url(", "@import", "//cdn"] {
        assert!(!page.contains(word), "{word}");
    }
    let html = parse(&page);
    let policy = all(&html, "meta[http-equiv=Content-Security-Policy]")[0].attr("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
}

#[test]
fn texts_and_lists_are_cut() {
    let mut long = report(&"x".repeat(100_000));
    long.promotions = Ok(First { all: 12345, rows: long.promotions.unwrap().rows });
    let page = page(&long);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(page.contains("and 12,315 more"));
}

#[test]
fn what_is_missing_says_why_and_the_rest_is_there() {
    let mut some = report("launch");
    let why = || "permission denied for table <b>".to_owned();
    (some.measured, some.tests, some.leaderboard) = (Err(why()), Err(why()), Err(why()));
    some.monitored = Err(why());
    (some.card.data, some.card.columns, some.card.parameters) = (None, None, None);
    let html = parse(&page(&some));
    let missing: Vec<String> = all(&html, ".missing").iter().map(text).collect();
    assert_eq!(missing.iter().filter(|said| **said == why()).count(), 4, "{missing:?}");
    assert_eq!(missing.len(), 8, "{missing:?}");
    assert_eq!(all(&html, "#promotions tbody tr").len(), 30);
}

#[test]
fn monitoring_shows_the_status_with_its_reasons_and_weeks_and_columns_beside_training() {
    let html = parse(&page(&report("launch")));
    let within = |selector: &str| all(&html, &format!("#monitoring {selector}")).iter().map(text).collect();
    let reasons: Vec<String> = within(".reason");
    assert_eq!(reasons, ["alarm: launch", "warning: launch"]);
    assert_eq!(text(&all(&html, "[data-status=alarm]")[0]), "alarmsince launch");
    let mores: Vec<String> = within(".note");
    assert_eq!(mores, ["and 31 more", "and 8 more", "and 1 more"]);
    let heads: Vec<String> = within("[aria-label='Judged weeks'] th[scope=col]");
    assert_eq!(heads[..6], ["week", "version", "rows", "bought", "AUROC", "test AUROC"]);
    let week: Vec<String> = within("[aria-label='Judged weeks'] tbody tr:first-child td");
    assert_eq!(week, ["3", "1,234", "25.0 %", "0.800", "0.810", "0.0200", "–", "launch"]);
    // A week without a figure has no dot, and a column without one no bar.
    assert_eq!(all(&html, "#judged-weeks .dot").len(), 51);
    assert_eq!(all(&html, "#judged-weeks .line").len(), 2);
    assert_eq!(all(&html, "#drift .bar").len(), 29);
    assert_eq!(
        ["alarm", "popularity", "model"].map(|class| all(&html, &format!("#drift .bar.{class}")).len()),
        [1, 1, 27]
    );
    let scores: Vec<String> = within("[aria-label='Drift by column'] tbody tr:nth-child(2) th");
    assert_eq!(scores, ["the scores"]);
}

#[test]
fn a_reader_is_told_why_there_is_nothing_of_monitoring() {
    let said = |change: fn(&mut Monitored)| -> Vec<String> {
        let mut report = report("launch");
        report.monitored.as_mut().map(change).unwrap();
        all(&parse(&page(&report)), "#monitoring .missing").iter().map(text).collect()
    };
    assert_eq!(
        said(|none| none.health = None),
        ["The model was not monitored yet: CALL reco.monitor(model)."]
    );
    let few = said(|few| {
        few.health.as_mut().unwrap().reasons = None;
        few.weeks = Ok(First::default());
        few.drift = Ok(None);
    });
    assert_eq!(
        few,
        [
            "The reasons of the status are shown to those who may train the model.",
            "No week was judged yet.",
            "No drift was measured yet."
        ]
    );
    let refused = said(|refused| refused.drift = Err("Drift is shown to some.".into()));
    assert_eq!(refused, ["Drift is shown to some."]);
}

#[test]
fn quantities_are_monitored_by_their_error() {
    let mut report = report("launch");
    let week = |n: u32| JudgedWeek {
        week: format!("2024-06-0{n}"),
        rmse: Some(f64::from(n)),
        test_rmse: Some(2.0),
        mean_label: Some(3.5),
        ..JudgedWeek::default()
    };
    report.monitored.as_mut().unwrap().weeks = Ok(first((1..4).map(week).collect()));
    let html = parse(&page(&report));
    let heads: Vec<String> =
        all(&html, "[aria-label='Judged weeks'] th[scope=col]").iter().map(text).collect();
    assert_eq!(heads, ["week", "version", "rows", "mean label", "RMSE", "test RMSE"]);
    assert_eq!(text(&all(&html, "#judged-weeks h3")[0]), "RMSE of judged weeks beside the test rows");
}

#[test]
fn an_empty_catalog_and_odd_numbers_make_a_page() {
    let mut empty = report("launch");
    empty.leaderboard = Ok(first(Vec::new()));
    empty.tests = Ok(first(Vec::new()));
    empty.promotions = Ok(first(Vec::new()));
    let mut one_class = Ranking::of(&[0.5], &[true]);
    if let Ok(measured) = &mut empty.measured {
        measured.quality = Quality::Binary(Metrics::of_ranking(&mut one_class).unwrap());
        measured.curves = Some(Curves::of(one_class.sorted()));
        measured.popularity = Ok(Baseline::of(one_class.sorted()));
        measured.weeks = Ok(first(Vec::new()));
        measured.regions = None;
    }
    empty.card.columns.as_mut().unwrap()[0].importance = Some(f64::NAN);
    let page = page(&empty);
    parse(&page);
    assert!(!page.contains("NaN"));
}

#[test]
fn importance_shows_the_first_columns_as_bars_and_names_three() {
    let mut long = report("launch");
    let columns = long.card.columns.as_mut().unwrap();
    let first = columns.remove(0);
    columns.extend((0..60).map(|n| CardColumn {
        name: format!("column {n}"),
        importance: Some(1.0 / f64::from(n + 1)),
        ..first.clone()
    }));
    let page = page(&long);
    let html = parse(&page);
    let chart = all(&html, "svg").into_iter().find(|svg| text(svg).contains("when a column is shuffled"));
    let words = text(&chart.expect("a chart of importance"));
    assert!(words.contains("column 0, column 1, column 2."), "{words}");
    let bars = (0..60)
        .filter(|n| words.contains(&format!("column {n} ")) || words.contains(&format!("column {n}\n")))
        .count();
    assert!((10..60).contains(&bars), "{bars}: {words}");
}
