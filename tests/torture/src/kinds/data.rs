//! Rows that come, change and go.

use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::Step;

pub fn change(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let table = dice.word(&["c_table", "c_part", "c_view_base", "c_mat_base"]);
    let (product, region) = (dice.between(1, 12), dice.below(3));
    let key = format!("product_id = {product} AND region = 'r{region}'");
    let sql = match dice.below(6) {
        0 => format!("UPDATE torture.{table} SET price = price + 0.25 WHERE {key}"),
        1 => format!("UPDATE torture.{table} SET sales = sales - 1, category = 'none' WHERE region = 'r{region}'"),
        2 => format!("DELETE FROM torture.{table} WHERE {key} AND week > '2024-02-01'"),
        3 => format!(
            "INSERT INTO torture.{table} SELECT * FROM torture.s_table WHERE {key} ON CONFLICT DO NOTHING"
        ),
        4 => format!("UPDATE torture.{table} SET week = week + 7 WHERE {key} AND week = '2024-02-19'"),
        _ => format!(
            "WITH gone AS (DELETE FROM torture.{table} WHERE {key} RETURNING *) INSERT INTO torture.{table} SELECT * FROM gone"
        ),
    };
    Step::new("data change", sql)
}

/// Keeps what grows small.
pub fn tidy(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let sql = dice.word(&["TRUNCATE torture.asked", "SELECT torture.drop_invalid_indexes()"]);
    Step::new("data tidy", sql)
}
