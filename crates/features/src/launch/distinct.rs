//! Distinct values over windows that slide.

use std::ops::Range;

/// For each week and each length of a window that ends with it: how many different values there are in it. `found` are
/// values and the weeks they were found in.
///
/// A value counts once in a window: where it was found last. So where it is found in a week, it counts in the windows that
/// end from that week on, until it leaves them or is found again.
pub fn distinct<const N: usize>(
    found: &mut [(u64, i32)],
    lengths: [i32; N],
    weeks: &Range<i32>,
    counts: &mut Vec<[u32; N]>,
) {
    found.sort_unstable();
    // First how many more there are than in the week before, as two's complement; then how many there are.
    counts.clear();
    counts.resize(weeks.len() + 1, [0; N]);
    let place = |week: i32| (week.clamp(weeks.start, weeks.end) - weeks.start) as usize;
    for (n, (value, week)) in found.iter().enumerate() {
        let again = found.get(n + 1).filter(|(next, _)| next == value).map_or(i32::MAX, |(_, week)| *week);
        for (length, lasts) in lengths.iter().enumerate() {
            let until = week.saturating_add(*lasts).min(again);
            if *week < until {
                let (from, until) = (place(*week), place(until));
                counts[from][length] = counts[from][length].wrapping_add(1);
                counts[until][length] = counts[until][length].wrapping_sub(1);
            }
        }
    }
    counts.pop();
    let mut all = [0u32; N];
    for count in counts {
        for (all, count) in all.iter_mut().zip(count) {
            *all = all.wrapping_add(*count);
            *count = *all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn counts_are_those_of_sets(
            found in prop::collection::vec((0..9u64, -20..20i32), 0..60),
            start in -5..5i32,
            weeks in 0..20i32,
        ) {
            let mut counts = Vec::new();
            let (lengths, weeks) = ([1, 4, 13], start..start + weeks);
            distinct(&mut found.clone(), lengths, &weeks, &mut counts);
            prop_assert_eq!(counts.len(), weeks.len());
            for (week, counted) in weeks.zip(counts) {
                let expected = lengths.map(|length| {
                    let inside = found.iter().filter(|(_, at)| (week - length + 1..=week).contains(at));
                    inside.map(|(value, _)| value).collect::<BTreeSet<_>>().len() as u32
                });
                prop_assert_eq!(counted, expected);
            }
        }
    }
}
