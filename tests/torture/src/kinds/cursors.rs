//! What lives longer than a statement: cursors and prepared statements, kept over DDL and left open.

use super::asking::pairs;
use super::target::Target;
use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::{Expect, Step};

fn name(dice: &mut Dice, what: &str) -> String {
    format!("{what}_{}", dice.between(1, 3))
}

/// Only the pairs: a cursor that is scrolled or held gives them as it gave them before. Their snapshot may be an old one.
fn answers(dice: &mut Dice, place: &Place, frame: Frame) -> String {
    let target = Target::any(dice, place, Frame { kept: true, ..frame });
    let query = pairs(dice, &target);
    format!("SELECT s.got, s.expected FROM ({query}) AS s")
}

pub fn declare(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let name = name(dice, "c");
    let scroll = dice.word(&["", "SCROLL ", "NO SCROLL "]);
    let hold = !frame.block || dice.percent(40);
    let query = answers(dice, place, frame);
    // PostgreSQL reads the rest of a holdable cursor while it commits, where its assertions allow no function that catches errors.
    let hold = if hold && !query.contains("ask_caught") { "WITH HOLD " } else { "" };
    Step::new("cursor declare", format!("DECLARE {name} {scroll}CURSOR {hold}FOR {query}"))
}

pub fn fetch(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let name = name(dice, "c");
    let how = dice.word(&["NEXT", "3", "7", "20", "ALL", "NEXT", "5"]);
    Step::new("cursor fetch", format!("FETCH {how} FROM {name}")).expect(Expect::Pairs)
}

/// Backwards, which only some cursors can.
pub fn scroll(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let name = name(dice, "c");
    let how = dice.word(&["PRIOR", "FIRST", "LAST", "BACKWARD 4", "ABSOLUTE 2"]);
    Step::new("cursor scroll", format!("FETCH {how} FROM {name}")).expect(Expect::Pairs)
}

pub fn close(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let name = if dice.percent(20) { "ALL".into() } else { name(dice, "c") };
    Step::new("cursor close", format!("CLOSE {name}"))
}

pub fn prepare(dice: &mut Dice, place: &Place, frame: Frame) -> Step {
    let name = name(dice, "p");
    let answers = answers(dice, place, frame);
    Step::new("prepare", format!("PREPARE {name} (integer) AS {answers} WHERE $1 > 0"))
}

pub fn execute(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let name = name(dice, "p");
    Step::new("execute", format!("EXECUTE {name} ({})", dice.between(0, 3))).expect(Expect::Pairs)
}

pub fn deallocate(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let name = name(dice, "p");
    Step::new("deallocate", format!("DEALLOCATE {name}"))
}
