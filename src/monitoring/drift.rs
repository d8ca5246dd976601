//! What the drift of the newest week means for the status: beside what the model has borne in weeks in which it was good, and
//! beside the importance of the columns.

use crate::catalog::read;
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use model::drift::verdict::{is_good, level_of, Drifted, Judged};
use model::drift::Thresholds;
use pgrx::spi::SpiClient;
use std::collections::HashMap;

/// The drift of the newest week that has one, of the columns without a note, and the importance of the version's most important
/// column. What cannot be read is told as the problem of its week. `weeks` are judged ones, the newest first.
pub fn weighed(
    model: &str,
    weeks: &[Judged],
    thresholds: &Thresholds,
) -> Result<(Vec<Drifted>, Option<f64>), Error> {
    let (mut drifted, version) = as_owner(|client| newest(client, model))?;
    let (Some(first), Some(version)) = (drifted.first(), version) else { return Ok((drifted, None)) };
    let is_earlier = |judged: &&Judged| judged.week < first.week && is_good(thresholds, judged);
    let good: Vec<&Judged> = weeks.iter().filter(is_earlier).collect();
    // A version that no week was judged on yet has its predecessors' weeks.
    let own = good.iter().any(|judged| judged.version == version);
    let good = good.into_iter().filter(|judged| !own || judged.version == version);
    let good: Vec<String> = good.map(|judged| judged.week.clone()).collect();
    let borne = as_owner(|client| most_in(client, model, good))?;
    for one in &mut drifted {
        one.usual = borne.get(&one.column).copied();
    }
    let importance = read::importance(model, version).unwrap_or_default();
    Ok((drifted, importance.into_iter().map(|(_, importance)| importance).reduce(f64::max)))
}

fn newest(client: &mut SpiClient, model: &str) -> Result<(Vec<Drifted>, Option<i32>), Error> {
    let sql = "SELECT pg_catalog.to_char(c.week, 'YYYY-MM-DD'), c.column_name, c.psi, c.psi_chance, c.importance, c.version \
               FROM reco.monitored_column AS c WHERE c.model OPERATOR(pg_catalog.=) $1 AND c.note IS NULL \
                 AND c.week OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(n.week) FROM reco.monitored_column AS n \
                                                    WHERE n.model OPERATOR(pg_catalog.=) $1) \
               ORDER BY c.psi OPERATOR(pg_catalog.*) GREATEST(c.importance, 0) DESC NULLS LAST, c.psi DESC NULLS LAST";
    let (mut drifted, mut version) = (Vec::new(), None);
    for row in client.update(sql, None, &[model.into()])? {
        version = row.get(6)?;
        drifted.push(Drifted {
            week: row.get(1)?.unwrap_or_default(),
            column: row.get(2)?,
            psi: row.get(3)?,
            chance: row.get(4)?,
            usual: None,
            importance: row.get(5)?,
        });
    }
    Ok((drifted, version))
}

/// The largest index of each column in some weeks.
fn most_in(
    client: &mut SpiClient,
    model: &str,
    weeks: Vec<String>,
) -> Result<HashMap<Option<String>, f64>, Error> {
    let sql = "SELECT c.column_name, pg_catalog.max(c.psi) FROM reco.monitored_column AS c \
               WHERE c.model OPERATOR(pg_catalog.=) $1 AND c.psi IS NOT NULL \
                 AND c.week OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.date[]) GROUP BY 1";
    let mut most = HashMap::new();
    for row in client.update(sql, None, &[model.into(), weeks.into()])? {
        if let Some(psi) = row.get(2)? {
            most.insert(row.get(1)?, psi);
        }
    }
    Ok(most)
}

/// Stores beside the newest week's drift what it was compared with, and what came of it.
pub fn store(
    client: &mut SpiClient,
    model: &str,
    drifted: &[Drifted],
    most_important: Option<f64>,
    thresholds: &Thresholds,
) -> Result<(), Error> {
    let sql = "UPDATE reco.monitored_column SET psi_usual = $4, level = $5 \
               WHERE model OPERATOR(pg_catalog.=) $1 AND week OPERATOR(pg_catalog.=) $2::pg_catalog.date \
                 AND column_name IS NOT DISTINCT FROM $3 AND (psi_usual, level) IS DISTINCT FROM ($4, $5)";
    for one in drifted {
        let level = level_of(thresholds, one, most_important).map(|level| level.name());
        let row = [
            model.into(),
            one.week.as_str().into(),
            one.column.as_deref().into(),
            one.usual.into(),
            level.into(),
        ];
        client.update(sql, None, &row)?;
    }
    Ok(())
}
