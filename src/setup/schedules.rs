//! Whether anybody calls what begins what is scheduled.

use super::finding::Finding;
use crate::error::{or_raise, Error};
use crate::pg::acting_as::as_owner;

const ITEM: &str = "schedules";
/// How long nobody may have called, in minutes.
const PATIENCE: i64 = 5;

/// Whether `reco.run_due()` is called, if there is something for it to do.
pub fn finding() -> Finding {
    let (schedules, minutes) = or_raise(counted());
    match (schedules, minutes) {
        (0, _) => Finding::good(ITEM, "nothing is scheduled"),
        (_, Some(minutes)) if minutes <= PATIENCE => {
            Finding::good(ITEM, format!("{}, and reco.run_due() is called", number(schedules)))
        }
        (_, minutes) => {
            let since = match minutes {
                Some(minutes) => format!("for {minutes} minutes"),
                None => "yet".to_owned(),
            };
            Finding::bad(
                ITEM,
                format!("{}, but nothing has called reco.run_due() {since}", number(schedules)),
                "Have pg_cron or a timer of the system call it once a minute: the page \"Schedules\" of the documentation has \
                 examples.",
            )
        }
    }
}

fn number(schedules: i64) -> String {
    match schedules {
        1 => "one schedule is there".into(),
        more => format!("{more} schedules are there"),
    }
}

/// How many schedules are not paused, and for how many minutes nobody has called. A standby counts what its primary does.
fn counted() -> Result<(i64, Option<i64>), Error> {
    as_owner(|client| {
        let sql = "SELECT (SELECT count(*) FROM reco.schedule WHERE paused_at IS NULL), \
                          (SELECT pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) called_at) \
                                                   OPERATOR(pg_catalog./) 60)::pg_catalog.int8 FROM reco.schedule_call)";
        let row = client.select(sql, Some(1), &[])?.first();
        Ok((row.get::<i64>(1)?.unwrap_or(0), row.get::<i64>(2)?))
    })
}
