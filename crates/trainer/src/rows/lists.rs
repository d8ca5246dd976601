//! The lists that rows make: one for each region and time, of whose rows the best are acted on.

use super::data::Table;
use model::lists::{ListMetrics, Top};
use model::ranking::Ranking;

/// Some rows, list by list.
pub struct Lists {
    /// Positions in the rows, those of one list together.
    positions: Vec<u32>,
    /// Where each list ends among the positions.
    ends: Vec<u32>,
    /// How many rows of a list are acted on.
    k: usize,
}

impl Lists {
    /// The lists of `rows`: one for each region and time that they have. Rows without a region are a region of their own. A
    /// source without regions has one list for each time, and one without either a single list.
    pub fn of(table: &Table, rows: &[u32], k: usize) -> Self {
        let regions = table.regions.as_ref();
        let times = table.times.as_ref().map(|(_, times)| &times[..]);
        let list = |position: &u32| {
            let row = rows[*position as usize];
            (times.map(|times| times[row as usize]), regions.map(|regions| regions.code_of(row)))
        };
        let mut positions: Vec<u32> = (0..rows.len() as u32).collect();
        positions.sort_unstable_by_key(list);
        let mut end = 0;
        let lists = positions.chunk_by(|a, b| list(a) == list(b));
        let ends = lists.map(|list| {
            end += list.len() as u32;
            end
        });
        Self { ends: ends.collect(), positions, k }
    }

    /// How good the first rows of each list are. One score and one label for each row, in the order of the rows.
    pub fn metrics(&self, scores: &[f64], labels: &[bool]) -> Option<ListMetrics> {
        let at = |n: &u32| *n as usize;
        let mut start = 0;
        let top = |end: &u32| {
            let rows = &self.positions[start..at(end)];
            start = at(end);
            let scores: Vec<f64> = rows.iter().map(|n| scores[at(n)]).collect();
            let labels: Vec<bool> = rows.iter().map(|n| labels[at(n)]).collect();
            Top::of(Ranking::of(&scores, &labels).sorted(), self.k)
        };
        ListMetrics::of(self.k, self.ends.iter().filter_map(top))
    }
}

#[cfg(test)]
mod tests {
    use super::super::column::TimeUnit;
    use super::super::groups::Groups;
    use super::*;
    use arrow_array::StringArray;
    use arrow_schema::DataType;

    const SCORES: [f64; 6] = [0.9, 0.8, 0.1, 0.2, 0.5, 0.6];
    const LABELS: [bool; 6] = [false, true, true, false, true, false];

    fn table(regions: Option<[Option<&str>; 6]>, times: Option<[i64; 6]>) -> Table {
        Table {
            regions: regions.map(|names| {
                let mut groups = Groups::new("region", &DataType::Utf8).unwrap();
                assert!(groups.extend(&StringArray::from(names.to_vec())).unwrap());
                groups
            }),
            times: times.map(|times| (TimeUnit::Integer, times.to_vec())),
            ..Table::default()
        }
    }

    fn figures(table: &Table, k: usize) -> (u64, f64) {
        let rows: Vec<u32> = (0..6).collect();
        let found = Lists::of(table, &rows, k).metrics(&SCORES, &LABELS).unwrap();
        (found.lists, found.precision_at_k)
    }

    #[test]
    fn there_is_a_list_for_each_region_and_time() {
        let regions = Some([Some("a"), Some("b"), Some("a"), Some("b"), Some("a"), None]);
        let times = Some([1, 1, 2, 2, 2, 2]);
        // a1: 0.9 no. b1: 0.8 yes. a2: 0.5 yes, before 0.1. b2: 0.2 no. NULL: 0.6 no.
        assert_eq!(figures(&table(regions, times), 1), (5, 2.0 / 5.0));
        // a: 0.9 no. b: 0.8 yes. NULL: 0.6 no.
        assert_eq!(figures(&table(regions, None), 1), (3, 1.0 / 3.0));
        // 1: 0.9 no. 2: 0.6 no.
        assert_eq!(figures(&table(None, times), 1), (2, 0.0));
        assert_eq!(figures(&table(None, None), 2), (1, 0.5));
        assert_eq!(figures(&table(Some([Some("a"); 6]), times), 2), (2, 0.5));
    }

    #[test]
    fn the_order_of_the_rows_changes_nothing() {
        let table = table(Some([Some("a"), Some("b"), Some("a"), Some("b"), Some("a"), None]), None);
        let found = |rows: [u32; 6]| {
            let scores = rows.map(|row| f64::from(row % 2));
            let labels = rows.map(|row| LABELS[row as usize]);
            Lists::of(&table, &rows, 1).metrics(&scores, &labels)
        };
        assert_eq!(found([0, 1, 2, 3, 4, 5]), found([4, 3, 5, 2, 0, 1]));
        assert!(Lists::of(&table, &[], 1).metrics(&[], &[]).is_none());
    }
}
