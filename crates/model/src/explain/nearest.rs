//! The k nearest of many items, found in memory for k items.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the k nearest of the items that it is offered, at most one of each group.
#[derive(Debug)]
pub struct Nearest<T> {
    k: usize,
    /// A heap with the farthest on top.
    kept: BinaryHeap<Near<T>>,
    /// The nearest of the group that is being offered.
    current: Option<Near<T>>,
}

/// Something at a distance.
#[derive(Debug)]
pub struct Near<T> {
    pub distance: f64,
    pub group: String,
    pub item: T,
}

impl<T> Nearest<T> {
    pub fn new(k: usize) -> Self {
        Self { k, kept: BinaryHeap::new(), current: None }
    }

    /// Takes an item of a group. The items of one group must come one after the other; of two that are equally near,
    /// the later one counts.
    pub fn offer(&mut self, near: Near<T>) {
        match &mut self.current {
            Some(current) if current.group == near.group => {
                if near.distance <= current.distance {
                    *current = near;
                }
            }
            _ => {
                if let Some(previous) = self.current.replace(near) {
                    self.keep(previous);
                }
            }
        }
    }

    /// The kept items, nearest first; equally near ones in the order of their groups' names.
    pub fn finish(mut self) -> Vec<Near<T>> {
        if let Some(last) = self.current.take() {
            self.keep(last);
        }
        self.kept.into_sorted_vec()
    }

    fn keep(&mut self, near: Near<T>) {
        self.kept.push(near);
        if self.kept.len() > self.k {
            self.kept.pop();
        }
    }
}

impl<T> Ord for Near<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then_with(|| self.group.cmp(&other.group))
    }
}

impl<T> PartialOrd for Near<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Near<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Near<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(k: usize, offered: &[(&str, f64, u32)]) -> Vec<(String, u32)> {
        let mut nearest = Nearest::new(k);
        for (group, distance, item) in offered {
            nearest.offer(Near { distance: *distance, group: group.to_string(), item: *item });
        }
        nearest.finish().into_iter().map(|near| (near.group, near.item)).collect()
    }

    #[test]
    fn the_k_nearest_groups_come_with_their_nearest_item() {
        let offered =
            [("a", 3.0, 1), ("a", 1.0, 2), ("a", 2.0, 3), ("b", 0.5, 4), ("c", 9.0, 5), ("d", 1.5, 6)];
        let names = |k| nearest(k, &offered).into_iter().map(|(group, _)| group).collect::<String>();
        assert_eq!(nearest(2, &offered), [("b".to_owned(), 4), ("a".to_owned(), 2)]);
        assert_eq!((names(1), names(3), names(10)), ("b".into(), "bad".into(), "badc".into()));
        assert_eq!(nearest(3, &[]), []);
    }

    #[test]
    fn of_two_as_near_the_later_item_and_the_first_name_count() {
        let offered = [("b", 1.0, 1), ("b", 1.0, 2), ("a", 1.0, 3)];
        assert_eq!(nearest(1, &offered), [("a".to_owned(), 3)]);
        assert_eq!(nearest(2, &offered), [("a".to_owned(), 3), ("b".to_owned(), 2)]);
    }
}
