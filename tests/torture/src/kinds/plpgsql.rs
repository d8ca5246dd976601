//! DO blocks: loops, caught errors and changes between two calls of one expression.
//!
//! Each statement of a block may have a snapshot of its own, so what is right is only asked for where nothing can change
//! in between: of the session's own model, or of a source that is known, in a transaction that keeps its snapshot.

use super::target::{Moment, Target};
use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::{Expect, Step};

/// A model whose right answer stays the same from one statement of the block to the next.
fn target(dice: &mut Dice, place: &Place, frame: Frame) -> Target {
    if !frame.kept {
        return Target::own(place);
    }
    match dice.below(4) {
        0 => Target::churned(dice),
        1 => Target::shaken(dice, frame),
        _ => Target::own(place),
    }
}

/// Statements that ask for the key `k` and raise if the answer is wrong.
fn check(dice: &mut Dice, target: &Target) -> String {
    let moment = Moment::any(dice);
    let (got, right) = (target.got(moment), target.right(moment));
    let ask = match dice.below(4) {
        0 => format!("got := {got};"),
        // One expression for all blocks of the transaction.
        1 if !target.text && moment.as_of() == Moment::NEWEST.as_of() => {
            format!("got := torture.ask('{}', k.product_id, k.region);", target.model)
        }
        1 | 2 => format!("SELECT {got} INTO got;"),
        _ => format!(
            "EXECUTE $q$SELECT {got} FROM torture.keys AS k WHERE k.product_id = $1 AND k.region = $2$q$ \
             INTO got USING k.product_id, k.region;"
        ),
    };
    format!("{ask} PERFORM torture.compare(got, {right}, '{} ' || k);", target.model)
}

/// A change of what is asked about, that the block's subtransaction may roll back.
fn change(dice: &mut Dice, place: &Place, target: &Target) -> String {
    let own = &place.own;
    match dice.below(6) {
        0..3 => format!("PERFORM reco.promote('{own}', {});", dice.between(1, 3)),
        3 if !target.own && target.source.starts_with("h_table") => dice
            .word(&[
                "ALTER TABLE torture.h_table ALTER COLUMN category TYPE varchar(20);",
                "ALTER TABLE torture.h_table ALTER COLUMN price TYPE double precision;",
                "ALTER TABLE torture.h_table ADD COLUMN IF NOT EXISTS more integer DEFAULT 7;",
            ])
            .into(),
        4 => "PERFORM 1;".into(),
        _ => format!("PERFORM reco.rollback('{own}');"),
    }
}

fn block(declared: &str, body: &str) -> Step {
    let sql =
        format!("DO $torture$ DECLARE k record; got double precision; {declared}BEGIN {body} END $torture$");
    Step::new("ask in DO", sql).expect(Expect::Itself)
}

pub fn plain_loop(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = target(dice, place, frame);
    let check = check(dice, &target);
    block(
        "",
        &format!("FOR k IN SELECT * FROM torture.keys LIMIT {} LOOP {check} END LOOP;", dice.between(1, 30)),
    )
}

/// Each round changes something in a subtransaction that fails, and asks within and after it.
pub fn caught(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = target(dice, place, frame);
    let (mut change, within, after) =
        (change(dice, place, &target), check(dice, &target), check(dice, &target));
    // The same expression after a change and, a round later, without one.
    if dice.percent(50) {
        change = format!("IF k.region {} 'r1' THEN {change} END IF;", dice.word(&["=", "<>"]));
    }
    let fails = match dice.below(4) {
        0 => "RAISE division_by_zero;".into(),
        1 => format!("PERFORM 1 / (k.product_id - {});", dice.between(1, 4)),
        2 => {
            format!("PERFORM {} / (s.p - 2) FROM generate_series(1, 3) AS s (p);", target.got(Moment::NEWEST))
        }
        _ => "PERFORM ('x' || k.region)::integer;".into(),
    };
    let also = if dice.percent(50) { check(dice, &target) } else { "NULL;".into() };
    let order = if dice.percent(50) { format!("{change} {within}") } else { format!("{within} {change}") };
    block(
        "",
        &format!(
            "FOR k IN SELECT * FROM torture.keys ORDER BY 1, 2 LIMIT {} LOOP
               BEGIN {order} {fails}
               EXCEPTION WHEN division_by_zero OR invalid_text_representation OR object_not_in_prerequisite_state THEN {also} END;
               {after}
             END LOOP;",
            dice.between(2, 12)
        ),
    )
}

/// A cursor of PL/pgSQL that stays open while its block fails.
pub fn cursor(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let target = target(dice, place, frame);
    let check = check(dice, &target);
    let got = target.got(Moment::any(dice));
    block(
        "answers refcursor; one record; ",
        &format!(
            "BEGIN
               OPEN answers FOR SELECT {got} FROM torture.keys AS k;
               FETCH {} FROM answers INTO one;
               PERFORM 1 / {};
             EXCEPTION WHEN division_by_zero THEN NULL; END;
             FOR k IN SELECT * FROM torture.keys LIMIT 3 LOOP {check} END LOOP;",
            dice.word(&["NEXT", "FORWARD", "RELATIVE 3"]),
            dice.below(2)
        ),
    )
}

/// Commits and rolls back between its rounds, which only a block outside a transaction may.
pub fn committing(dice: &mut Dice, place: &Place, _: Frame) -> Step {
    let target = Target::own(place);
    let (before, after) = (check(dice, &target), check(dice, &target));
    let end = dice.word(&["COMMIT;", "ROLLBACK;"]);
    let version = dice.between(1, 3);
    block(
        "",
        &format!(
            "FOR k IN SELECT * FROM torture.keys LIMIT {} LOOP
               {before} PERFORM reco.promote('{}', {version}); {after} {end} {before}
             END LOOP;",
            dice.between(1, 5),
            place.own
        ),
    )
}
