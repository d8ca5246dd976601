//! Decimal numbers as PostgreSQL keeps them, in groups of four digits, as double precision.

/// Integers up to this one, and powers of ten below it, are exact in double precision. Hence the quotient or product of
/// two of them is the double nearest to the decimal (Clinger, "How to read floating point numbers accurately", 1990).
const EXACT_INTEGER: u64 = 1 << 53;
const POWERS: [f64; 6] = [1.0, 1e4, 1e8, 1e12, 1e16, 1e20];
/// The most groups whose number always fits into 64 bits.
const MOST_GROUPS: usize = 4;

/// The double precision number nearest to the groups, of which the first counts 10000^`weight`; `None` where that takes
/// more than one division.
#[inline]
pub fn nearest(groups: impl ExactSizeIterator<Item = u16>, weight: i32, negative: bool) -> Option<f64> {
    let count = groups.len();
    if count > MOST_GROUPS {
        return None;
    }
    let integer = groups.fold(0, |number, group| number * 10_000 + u64::from(group));
    if integer > EXACT_INTEGER {
        return None;
    }
    let exponent = weight - count as i32 + 1;
    let power = POWERS.get(exponent.unsigned_abs() as usize)?;
    let magnitude = if exponent < 0 { integer as f64 / power } else { integer as f64 * power };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_are_read() {
        assert_eq!(nearest([12, 3400].into_iter(), 0, false), Some(12.34));
        assert_eq!(nearest([1].into_iter(), 2, true), Some(-1e8));
        assert_eq!(nearest([].into_iter(), 0, false), Some(0.0));
    }

    #[test]
    fn what_is_not_exact_is_left_to_others() {
        assert_eq!(nearest([9999; 4].into_iter(), 3, false), None);
        assert_eq!(nearest([1; 5].into_iter(), 4, false), None);
        assert_eq!(nearest([1].into_iter(), 6, false), None);
        assert_eq!(nearest([1].into_iter(), -6, false), None);
    }

    proptest! {
        #[test]
        fn the_nearest_number_is_found(
            groups in proptest::collection::vec(0..10_000u16, 0..5),
            weight in -4..8i32,
            negative: bool,
        ) {
            if let Some(found) = nearest(groups.iter().copied(), weight, negative) {
                let digits: String = groups.iter().map(|group| format!("{group:04}")).collect();
                let exponent = 4 * (weight - groups.len() as i32 + 1);
                let sign = if negative { "-" } else { "" };
                let expected: f64 = format!("{sign}0{digits}e{exponent}").parse().unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
