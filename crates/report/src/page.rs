//! The frame of the page, and the order of its parts.

use crate::words::{minute, shortened, LONGEST};
use crate::{measured_parts, model_parts, monitoring_parts, test_parts, Report};
use base64::prelude::{Engine, BASE64_STANDARD};
use maud::{html, Markup, PreEscaped, DOCTYPE};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// The page as HTML. Its size is bounded as long as the lists that it is given are.
pub fn page(report: &Report) -> String {
    let card = &report.card;
    let title = format!("{}, version {}", shortened(&card.model, LONGEST), card.version);
    let parts: [(&str, &str, Markup); 9] = [
        ("card", "Model card", model_parts::card(card)),
        ("leaderboard", "Leaderboard", model_parts::leaderboard(&report.leaderboard, card.version)),
        ("curves", "Curves", measured_parts::curves(&report.measured)),
        ("slices", "By week and region", measured_parts::slices(&report.measured)),
        ("importance", "Importance of columns", model_parts::importance(card)),
        ("monitoring", "Monitoring", monitoring_parts::monitoring(&report.monitored)),
        ("tests", "A/B tests", test_parts::tests(&report.tests)),
        ("promotions", "History of promotions", model_parts::promotions(&report.promotions)),
        ("lineage", "Lineage", model_parts::lineage(card)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content="pg_recommend";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    (model_parts::purpose(card))
                    p.soft { "As role " (shortened(&report.reader, LONGEST)) " sees it, made " (minute(&report.at)) " UTC." }
                    (model_parts::headline(card))
                    nav aria-label="Parts of the report" {
                        ul { @for (id, name, _) in &parts { li { a href={ "#" (id) } { (name) } } } }
                    }
                }
                main {
                    @for (id, name, body) in &parts {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (name) }
                            (body)
                        }
                    }
                }
                footer { "Made by pg_recommend: SELECT reco.report(…). The page fetches nothing and runs no script." }
            }
        }
    };
    page.into_string()
}

/// Nothing is fetched and nothing runs; the one style sheet is known by its digest.
fn policy() -> String {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}
