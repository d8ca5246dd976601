//! Runs the checks of a feature view, a query that its creator gave: what it finds wrong with the data is told, or ends the
//! refresh before anything is computed.

use super::create::as_subquery;
use super::registry::FeatureView;
use super::target::date;
use crate::error::Error;
use features::weeks::Week;

struct Finding {
    severity: String,
    message: String,
    hint: Option<String>,
}

/// Looks at the data of the weeks from `first` to `last`. The first error that is found is returned; warnings and notices are
/// told otherwise.
pub fn check(view: &FeatureView, first: Week, last: Week) -> Result<(), Error> {
    let Some(query) = &view.checks else { return Ok(()) };
    let mut findings = findings(view, query, first, last)?;
    if let Some(n) = findings.iter().position(|finding| finding.severity == "error") {
        let Finding { message, hint, .. } = findings.swap_remove(n);
        return Err(Error::Data { message, hint: hint.unwrap_or_default() });
    }
    for Finding { severity, message, hint } in findings {
        let text = hint.map_or(message.clone(), |hint| format!("{message}. {hint}"));
        match severity.as_str() {
            "warning" => warn!("{}: {text}", view.name),
            "notice" => say!("{}: {text}", view.name),
            _ => {
                return Err(Error::InvalidArgument(
                    format!("the checks of {} returned the severity \"{severity}\": {message}", view.name),
                    Some("It is error, warning or notice.".into()),
                ))
            }
        }
    }
    Ok(())
}

fn findings(view: &FeatureView, query: &str, first: Week, last: Week) -> Result<Vec<Finding>, Error> {
    let sql =
        format!("SELECT severity, message, hint FROM {} AS c (severity, message, hint)", as_subquery(query));
    view.as_author(|client| {
        let weeks = [date(first.monday()).into(), date(last.monday()).into()];
        let rows = client.update(&sql, None, &weeks)?;
        rows.map(|row| {
            Ok(Finding {
                severity: row.get(1)?.unwrap_or_default(),
                message: row.get(2)?.unwrap_or_default(),
                hint: row.get(3)?,
            })
        })
        .collect()
    })
}
