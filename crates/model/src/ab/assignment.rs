//! Which arm a key falls to: a salted hash of the key, held against the arms' shares. It depends on nothing else, so every
//! backend, standby and machine finds the same arm, and it never changes: the hash is that of stored models.

use crate::error::ModelError;
use crate::hash;
use std::io::Write;

/// The most arms a test has.
pub const MOST_ARMS: usize = 64;
/// By how much shares may miss 1 in all.
const TOLERANCE: f64 = 1e-6;

/// What is assigned to an arm as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Region,
    Product,
    /// A product in a region.
    Pair,
    /// A key of the caller's own, such as a customer or a session.
    Key,
}

impl Unit {
    pub const ALL: [Self; 4] = [Self::Region, Self::Product, Self::Pair, Self::Key];

    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Product => "product",
            Self::Pair => "pair",
            Self::Key => "key",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }
}

/// A product's identifier. A whole number and a text that says it are one product.
#[derive(Debug, Clone, Copy)]
pub enum Product<'a> {
    Number(i64),
    Text(&'a str),
}

impl Product<'_> {
    fn hash(self) -> u64 {
        match self {
            Self::Text(text) => hash_of_text(text),
            Self::Number(number) => hash_of_number(number),
        }
    }
}

/// The hash of a key that is given as text. A whole number has one hash, however it is written: `5`, `05` and `5.00`, as
/// sources with keys of number types understand them; so has a UUID, in capitals and in braces.
fn hash_of_text(text: &str) -> u64 {
    let (digits, zeros) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
    match digits.parse() {
        Ok(number) if is_whole => hash_of_number(number),
        _ => match uuid(text) {
            Some(uuid) => hash::text(&uuid.to_ascii_lowercase()),
            None => hash::text(text),
        },
    }
}

/// The text without braces, if it has the form of a UUID: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid(text: &str) -> Option<&str> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let fits = |(n, byte): (usize, u8)| match n {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (bare.len() == 36 && bare.bytes().enumerate().all(fits)).then_some(bare)
}

/// The hash of a number is that of its digits.
fn hash_of_number(number: i64) -> u64 {
    let mut digits = [0; 20];
    let mut free = &mut digits[..];
    // Twenty characters hold every 64-bit number with its sign.
    let _ = write!(free, "{number}");
    let length = 20 - free.len();
    hash::text(std::str::from_utf8(&digits[..length]).unwrap_or_default())
}

/// How a test assigns keys to its arms.
#[derive(Debug, Clone)]
pub struct Assignment {
    unit: Unit,
    seed: u64,
    /// Where each arm's part of the unit interval ends; the last arm's part goes on to 1.
    ends: Vec<f64>,
}

impl Assignment {
    /// `shares` has one share for each arm, in the order of the arms; each is positive, and they add up to 1.
    pub fn new(unit: Unit, salt: &str, shares: &[f64]) -> Result<Self, ModelError> {
        check_shares(shares)?;
        let mut sum = 0.0;
        let ends = shares.iter().map(|share| {
            sum += share;
            sum
        });
        Ok(Self { unit, seed: hash::text(salt), ends: ends.collect() })
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The arm of a product in a region, from 0; `None` where callers' keys are assigned.
    #[inline]
    pub fn arm(&self, product: Product, region: &str) -> Option<usize> {
        let hash = match self.unit {
            Unit::Region => hash_of_text(region),
            Unit::Product => product.hash(),
            Unit::Pair => hash::chain(product.hash(), hash_of_text(region)),
            Unit::Key => return None,
        };
        Some(self.arm_at(hash))
    }

    /// The arm of a caller's key, from 0; `None` where the test assigns products or regions instead.
    pub fn arm_of_key(&self, key: &str) -> Option<usize> {
        (self.unit == Unit::Key).then(|| self.arm_at(hash::text(key)))
    }

    fn arm_at(&self, hash: u64) -> usize {
        // The upper 53 bits: every one of these numbers is exact.
        let at = (hash::chain(self.seed, hash) >> 11) as f64 / (1_u64 << 53) as f64;
        self.ends.iter().position(|end| at < *end).unwrap_or(self.ends.len() - 1)
    }
}

fn check_shares(shares: &[f64]) -> Result<(), ModelError> {
    let refuse = |message: String, hint: &str| Err(ModelError::Parameter { message, hint: hint.to_owned() });
    if !(2..=MOST_ARMS).contains(&shares.len()) {
        return refuse(
            format!("a test has 2 to {MOST_ARMS} arms, not {}", shares.len()),
            "Arms have a share each.",
        );
    }
    if let Some(share) = shares.iter().find(|share| !(**share > 0.0 && **share < 1.0)) {
        return refuse(format!("an arm has the share {share}"), "A share lies between 0 and 1.");
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > TOLERANCE {
        return refuse(format!("the shares of the arms are {sum} in all"), "They must add up to 1.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGIONS: [&str; 5] = ["r0", "r1", "r2", "r3", "r4"];

    fn pairs(salt: &str, shares: &[f64]) -> Vec<usize> {
        let assignment = Assignment::new(Unit::Pair, salt, shares).unwrap();
        let regions =
            |product| REGIONS.map(|region| assignment.arm(Product::Number(product), region).unwrap());
        (0..20_000).flat_map(regions).collect()
    }

    /// Chi-square of counts against what is expected of them.
    fn chi_square(counts: &[f64], expected: &[f64]) -> f64 {
        counts.iter().zip(expected).map(|(found, expected)| (found - expected).powi(2) / expected).sum()
    }

    #[test]
    fn arms_never_change() {
        let arms = |unit| {
            let assignment = Assignment::new(unit, "spring", &[0.25; 4]).unwrap();
            let arm = |n: i64| match unit {
                Unit::Key => assignment.arm_of_key(&n.to_string()).unwrap(),
                _ => assignment.arm(Product::Number(n), REGIONS[n as usize % 5]).unwrap(),
            };
            (0..16).map(|n| char::from(b'0' + arm(n) as u8)).collect::<String>()
        };
        assert_eq!(
            Unit::ALL.map(arms),
            ["0000300003000030", "3320112030223313", "1012322021332313", "3320112030223313"]
        );
    }

    #[test]
    fn a_uuid_has_one_arm_however_it_is_written() {
        let assignment = Assignment::new(Unit::Product, "spring", &[1.0 / 64.0; 64]).unwrap();
        let arm = |text: &str| assignment.arm(Product::Text(text), "north");
        let canonical = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let capitals = canonical.to_ascii_uppercase();
        assert_eq!(arm(&capitals), arm(canonical));
        assert_eq!(arm(&format!("{{{capitals}}}")), arm(canonical));
        assert_ne!(arm("ABC"), arm("abc"));
    }

    #[test]
    fn arms_have_their_shares() {
        let shares = [0.7, 0.2, 0.1];
        let arms = pairs("shares", &shares);
        let counts = [0, 1, 2].map(|arm| arms.iter().filter(|found| **found == arm).count() as f64);
        let expected = shares.map(|share| share * arms.len() as f64);
        // The 0.999 quantile with two degrees of freedom.
        assert!(chi_square(&counts, &expected) < 13.8, "{counts:?}");
    }

    #[test]
    fn tests_do_not_depend_on_each_other() {
        let (first, second) = (pairs("one", &[0.5, 0.5]), pairs("two", &[0.5, 0.5]));
        let mut counts = [0.0; 4];
        first.iter().zip(&second).for_each(|(a, b)| counts[2 * a + b] += 1.0);
        assert!(chi_square(&counts, &[first.len() as f64 / 4.0; 4]) < 16.3, "{counts:?}");
    }

    #[test]
    fn a_unit_stays_together() {
        for (unit, region, product) in [(Unit::Region, "r1", 9), (Unit::Product, "r9", 1)] {
            let assignment = Assignment::new(unit, "together", &[0.5, 0.5]).unwrap();
            let same = |n: i64| match unit {
                Unit::Region => assignment.arm(Product::Number(n), region),
                _ => assignment.arm(Product::Number(product), &format!("r{n}")),
            };
            assert!((0..100).all(|n| same(n) == same(0)), "{unit:?}");
        }
    }

    #[test]
    fn a_number_is_its_digits() {
        let assignment = Assignment::new(Unit::Product, "digits", &[1.0 / 3.0; 3]).unwrap();
        for number in (-500..500).chain([i64::MIN, i64::MAX]) {
            let text = number.to_string();
            assert_eq!(assignment.arm(Product::Number(number), ""), assignment.arm(Product::Text(&text), ""));
        }
    }

    #[test]
    fn a_whole_number_has_one_arm_however_it_is_written() {
        let assignment = Assignment::new(Unit::Pair, "digits", &[1.0 / 8.0; 8]).unwrap();
        for n in -200..200_i64 {
            let arm = |product: String, region: String| assignment.arm(Product::Text(&product), &region);
            let sign = if n < 0 { "-" } else { "+" };
            let written = [n.to_string(), format!("{n}.00"), format!("{sign}0{}", n.abs())];
            for one in &written {
                assert_eq!(arm(one.clone(), "7".into()), assignment.arm(Product::Number(n), "7.0"), "{one}");
                assert_eq!(arm("a".into(), one.clone()), arm("a".into(), n.to_string()), "{one}");
            }
        }
        let hashes: std::collections::HashSet<u64> =
            ["5", "5.", "5.5", ".0", "5 ", "", "+", "5.0x"].map(hash_of_text).into_iter().collect();
        assert_eq!(hashes.len(), 8);
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        for shares in
            [&[1.0][..], &[0.5, 0.4], &[1.5, -0.5], &[f64::NAN, 0.5], &[0.0, 1.0], &[1.0 / 65.0; 65]]
        {
            assert!(Assignment::new(Unit::Pair, "", shares).is_err(), "{shares:?}");
        }
    }
}
