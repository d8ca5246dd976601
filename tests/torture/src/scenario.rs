//! What a session does as a whole: statements alone, in transactions, under other roles.
//!
//! A scenario depends on the dice alone, not on how its statements end: one that fails leaves the rest of its
//! transaction refused, until the end that each transaction has.

use crate::dice::Dice;
use crate::kinds::{
    asking, cursors, data, ddl, models, plpgsql, session, tables, training, Frame, Make, Place,
};
use crate::step::{Disturb, Step};

/// What may stand anywhere.
const ANYWHERE: &[(usize, Make)] = &[
    (20, asking::recommend),
    (6, asking::portal),
    (12, asking::failing),
    (5, asking::predict),
    (1, asking::predict_array),
    (1, asking::quantiles),
    (3, asking::explain),
    (3, asking::triggers),
    (4, tables::top),
    (6, tables::table),
    (2, tables::aggregates),
    (2, tables::evaluated),
    (5, plpgsql::plain_loop),
    (6, plpgsql::caught),
    (3, plpgsql::cursor),
    (3, cursors::declare),
    (5, cursors::fetch),
    (1, cursors::scroll),
    (1, cursors::close),
    (2, cursors::prepare),
    (4, cursors::execute),
    (9, ddl::any),
    (1, ddl::feature_view),
    (3, data::change),
    (6, models::promote),
    (2, models::ab_test),
    (1, models::log),
    (1, models::rights),
    (1, session::membership),
    (1, session::watch),
    (1, training::ask),
];

/// What only stands outside a transaction block.
const ALONE: &[(usize, Make)] = &[
    (4, ddl::any),
    (2, plpgsql::committing),
    (2, training::train),
    (2, training::retire),
    (1, models::replace),
    (3, session::setting),
    (1, session::discard),
    (1, session::terminate),
    (1, cursors::deallocate),
    (1, data::tidy),
];

/// What changes nothing.
const ASKING: &[(usize, Make)] = &[
    (6, asking::recommend),
    (2, asking::predict),
    (2, tables::top),
    (8, tables::table),
    (1, tables::evaluated),
];

pub fn next(dice: &mut Dice, place: &mut Place) -> Vec<Step> {
    place.scenario += 1;
    let role = dice.percent(12).then(|| session::role(dice));
    let mut steps: Vec<_> = role.into_iter().collect();
    let under_role = !steps.is_empty();
    match dice.below(20) {
        0..8 => alone(dice, place, &mut steps),
        8..15 => transaction(dice, place, &mut steps),
        15..18 => asking(dice, place, &mut steps),
        _ => holding(dice, place, &mut steps),
    }
    if under_role {
        steps.push(session::back());
    }
    steps
}

fn make(dice: &mut Dice, place: &Place, from: &[(usize, Make)], frame: Frame) -> Step {
    let step = dice.weighted(from)(dice, place, frame);
    if step.disturb.is_some() {
        return step;
    }
    match dice.below(60) {
        0 => {
            let after = 1 << dice.between(1, 16);
            step.disturb(Disturb::Cancel(after))
        }
        1..5 => meanwhile(dice, step),
        _ => step,
    }
}

/// At about the time of another connection's change of what the statement reads.
fn meanwhile(dice: &mut Dice, step: Step) -> Step {
    let Some(sql) = ddl::of_what_it_reads(dice, &step.sql) else { return step };
    let mut moment = |first| 1 << dice.between(first, 15);
    let (after, statement_after) = (moment(8), moment(8));
    step.disturb(Disturb::Meanwhile { sql, after, statement_after })
}

fn alone(dice: &mut Dice, place: &Place, steps: &mut Vec<Step>) {
    for _ in 0..dice.between(1, 4) {
        let from = if dice.percent(25) { ALONE } else { ANYWHERE };
        steps.push(make(dice, place, from, Frame::ALONE));
    }
}

/// A block with savepoints, kept or not.
fn transaction(dice: &mut Dice, place: &Place, steps: &mut Vec<Step>) {
    let level = dice.word(&["READ COMMITTED", "REPEATABLE READ", "REPEATABLE READ", "SERIALIZABLE"]);
    let frame = Frame { block: true, kept: level != "READ COMMITTED", unchanged: false };
    steps.push(begin(dice, level, 10));
    if dice.percent(10) {
        steps
            .push(Step::new("transaction", format!("SET LOCAL statement_timeout = {}", dice.between(1, 30))));
    }
    let mut savepoints = 0;
    for _ in 0..dice.between(2, 9) {
        match dice.below(10) {
            0 | 1 => {
                savepoints += 1;
                steps.push(Step::new("transaction", format!("SAVEPOINT s{savepoints}")));
            }
            2 | 3 if savepoints > 0 => {
                let to = dice.between(1, savepoints);
                let release = dice.percent(30);
                let how = if release { "RELEASE" } else { "ROLLBACK TO" };
                steps.push(Step::new("transaction", format!("{how} s{to}")));
                savepoints = if release { to - 1 } else { to };
            }
            4 => {
                let make: Make = if dice.percent(50) { plpgsql::caught } else { plpgsql::plain_loop };
                steps.push(make(dice, place, frame));
            }
            _ => steps.push(make(dice, place, ANYWHERE, frame)),
        }
    }
    // Asks once more after all that, or after its last part was undone.
    if savepoints > 0 && dice.percent(60) {
        steps.push(Step::new("transaction", "ROLLBACK TO s1"));
        steps.push(asking::recommend(dice, place, frame));
    }
    let end = dice.word(&["COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN; ROLLBACK"]);
    steps.push(Step::new("transaction", end));
}

/// A transaction that keeps its snapshot and changes nothing: a fresh session must be told the same.
fn asking(dice: &mut Dice, place: &Place, steps: &mut Vec<Step>) {
    let level = dice.word(&["REPEATABLE READ", "SERIALIZABLE"]);
    steps.push(begin(dice, level, 40));
    for _ in 0..dice.between(1, 4) {
        steps.push(dice.weighted(ASKING)(dice, place, Frame { block: true, kept: true, unchanged: true }));
    }
    steps.push(Step::new("transaction", dice.word(&["COMMIT", "ROLLBACK"])));
}

/// A change that others wait for.
fn holding(dice: &mut Dice, place: &Place, steps: &mut Vec<Step>) {
    let frame = Frame { block: true, ..Frame::ALONE };
    steps.push(begin(dice, "READ COMMITTED", 0));
    for _ in 0..dice.between(1, 3) {
        let make: Make = if dice.percent(80) { ddl::any } else { models::promote };
        steps.push(make(dice, place, frame));
    }
    steps.push(Step::new("transaction", format!("SELECT pg_sleep({})", dice.between(1, 30) as f64 / 1000.0)));
    if dice.percent(30) {
        steps.push(asking::recommend(dice, place, frame));
    }
    steps.push(Step::new("transaction", dice.word(&["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"])));
}

fn begin(dice: &mut Dice, level: &str, read_only: usize) -> Step {
    let access = if dice.percent(read_only) { " READ ONLY" } else { "" };
    Step::new("transaction", format!("BEGIN ISOLATION LEVEL {level}{access}"))
}
