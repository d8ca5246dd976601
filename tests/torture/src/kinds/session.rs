//! The session itself: settings, roles, what is discarded, who is terminated.

use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::{Disturb, Step};

const SETTINGS: &[&str] = &[
    "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = off",
    "SET force_parallel_mode = on",
    "SET force_parallel_mode = regress",
    "RESET force_parallel_mode; RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size",
    "SET search_path = pg_temp, elsewhere",
    "SET search_path = ''",
    "RESET search_path",
    "SET plan_cache_mode = force_generic_plan",
    "SET plan_cache_mode = force_custom_plan",
    "RESET plan_cache_mode",
    "SET enable_seqscan = off",
    "SET enable_indexscan = off; SET enable_bitmapscan = off",
    "RESET enable_seqscan; RESET enable_indexscan; RESET enable_bitmapscan",
    "SET quote_all_identifiers = on",
    "RESET quote_all_identifiers",
    "SET datestyle = 'German'",
    "RESET datestyle",
    "SET work_mem = '64kB'",
    "RESET work_mem",
    "SET reco.model_cache_size = '1MB'",
    "SET jit = on; SET jit_above_cost = 0",
    "RESET jit; RESET jit_above_cost",
    "SET row_security = off",
    "RESET row_security",
    "DISCARD PLANS",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
    "SET timezone = 'Asia/Kathmandu'",
    "RESET timezone",
];

pub fn setting(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    Step::new("session setting", dice.word(SETTINGS))
}

pub fn discard(_: &mut Dice, _: &Place, _: Frame) -> Step {
    Step::new("session discard", "DISCARD ALL")
}

pub fn role(dice: &mut Dice) -> Step {
    let sql = dice.word(&[
        "SET ROLE reader",
        "SET ROLE keeper",
        "SET ROLE stranger",
        "SET SESSION AUTHORIZATION reader",
        "SET SESSION AUTHORIZATION keeper",
    ]);
    Step::new("role", sql)
}

pub fn back() -> Step {
    Step::new("role", "RESET SESSION AUTHORIZATION; RESET ROLE")
}

/// Roles and memberships that change under those who ask.
pub fn membership(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let sql = dice.word(&[
        "GRANT reader TO stranger",
        "REVOKE reader FROM stranger",
        "ALTER ROLE stranger INHERIT",
        "ALTER ROLE stranger NOINHERIT",
        "ALTER ROLE idle BYPASSRLS",
        "DROP ROLE idle",
        "CREATE ROLE idle",
    ]);
    Step::new("role membership", sql)
}

pub fn terminate(dice: &mut Dice, place: &Place, _: Frame) -> Step {
    let victim = dice.below(place.sessions);
    Step::new("session terminate", "SELECT pg_terminate_backend($victim)").disturb(Disturb::Terminate(victim))
}

/// What every server is asked all day.
pub fn watch(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let sql = dice.word(&[
        "SELECT count(*), sum(calls) FROM pg_stat_statements",
        "SELECT pg_stat_statements_reset()",
        "SELECT model, champion FROM reco.models",
        "SELECT count(*) FROM reco.audit",
        "SELECT status, count(*) FROM reco.runs GROUP BY 1",
        "SELECT view, weeks, rows FROM reco.feature_views",
        "SELECT count(*) FROM pg_stat_activity AS a, pg_locks AS l WHERE l.pid = a.pid",
        "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT reco.recommend(k.product_id, k.region, 's_table') FROM torture.keys AS k",
        "CHECKPOINT",
    ]);
    Step::new("session watch", sql)
}
