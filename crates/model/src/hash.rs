//! Hashes of values: they order and split the rows of a training, and are the keys of a model that knows its products.
//!
//! They are not cryptographic, since nobody gains by making two rows collide. They must spread well and never change
//! between versions, because a row's side of a split by hash and the keys of a stored model depend on them.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Spreads 64 bits over 64 bits, one to one: two rounds of multiply and xor-shift.
pub fn mix(value: u64) -> u64 {
    let mut x = value ^ 0x6a09_e667_f3bc_c909;
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 29)).wrapping_mul(0xa076_1d64_78bd_642f);
    x ^ (x >> 32)
}

/// The value that [`mix`] makes this hash of.
pub fn unmix(hash: u64) -> u64 {
    let mut x = (hash ^ (hash >> 32)).wrapping_mul(inverse(0xa076_1d64_78bd_642f));
    x = (x ^ (x >> 29) ^ (x >> 58)).wrapping_mul(inverse(0xd6e8_feb8_6659_fd93));
    x ^ (x >> 32) ^ 0x6a09_e667_f3bc_c909
}

/// The number by which an odd one must be multiplied for 1 to come out, modulo 2^64. Each of Newton's steps doubles the
/// bits that are right, of which there are three to begin with.
const fn inverse(odd: u64) -> u64 {
    let (mut found, mut step) = (odd, 0);
    while step < 5 {
        found = found.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(found)));
        step += 1;
    }
    found
}

/// A hash of a sequence from the hash of its beginning and its next member; order matters.
pub fn chain(before: u64, next: u64) -> u64 {
    mix(before.rotate_left(23) ^ next.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The hash of a text.
pub fn text(value: &str) -> u64 {
    // The salt keeps the empty text apart from the number 0.
    let mut hash = mix(!(value.len() as u64));
    for part in value.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = chain(hash, u64::from_le_bytes(word));
    }
    hash
}

/// The hash of NULL in any column.
pub const NULL: u64 = 0x4e55_4c4c_4e55_4c4c;

/// The hash of a whole number.
pub fn integer(value: i64) -> u64 {
    mix(value as u64)
}

/// The first whole number that is too large for 64 bits with a sign.
const BEYOND_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// The hash of a float: all NaNs are equal, and a whole number is equal to the same [`integer`], so that a number has one
/// hash whatever its type.
pub fn float(value: f64) -> u64 {
    let whole = value as i64;
    match value {
        v if v.is_nan() => mix(f64::NAN.to_bits()),
        v if v == whole as f64 && v < BEYOND_INTEGERS => integer(whole),
        v => mix(v.to_bits()),
    }
}

/// Makes hashers for hash tables that do not outlive a query. A key is mixed once, with a seed of the table's own, so
/// that nobody can choose keys that collide.
#[derive(Clone)]
pub struct MixState(u64);

impl Default for MixState {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for MixState {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The hasher that [`MixState`] makes.
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ value);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }

    /// The kind of key (the number of an enum's variant). A table holds keys of one kind only, so that it need not be
    /// mixed.
    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.0 ^= value as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_hash_table_spread() {
        let state = MixState::default();
        let of = |number: i64, text: &str| state.hash_one((number, text));
        let hashes: std::collections::HashSet<u64> =
            (0..1000).flat_map(|n| [of(n, ""), of(n, "a"), of(0, &"b".repeat(n as usize))]).collect();
        assert!(hashes.len() >= 2999, "{}", hashes.len());
        let mut slots = [0; 16];
        (0..16_000_i64).for_each(|n| slots[(state.hash_one(n) & 15) as usize] += 1);
        assert!(slots.iter().all(|count| (850..1150).contains(count)), "{slots:?}");
    }

    #[test]
    fn mixing_spreads_neighbours_over_all_sixteenths() {
        let mut counts = [0; 16];
        (0..16_000).for_each(|i| counts[(mix(i) >> 60) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn mixing_can_be_undone() {
        for value in
            [0, 1, 7, u64::MAX, 1 << 63, 0x3ff0_0000_0000_0000].into_iter().chain((0..62).map(|n| 3 << n))
        {
            assert_eq!(unmix(mix(value)), value);
        }
    }

    #[test]
    fn values_that_differ_have_hashes_that_differ() {
        let hashes = [
            text(""),
            text("a"),
            text("a\0"),
            text("abcdefgh"),
            text("abcdefghi"),
            integer(0),
            integer(1),
            float(0.5),
            float(BEYOND_INTEGERS),
            NULL,
            chain(text("a"), text("b")),
            chain(text("b"), text("a")),
        ];
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    #[test]
    fn numbers_that_are_equal_have_one_hash_whatever_their_type() {
        assert_eq!(float(0.0), float(-0.0));
        assert_eq!(float(f64::NAN), float(-f64::NAN));
        for number in [0, 1, -1, 60, 1 << 53, -(1 << 60), i64::MIN] {
            assert_eq!(float(number as f64), integer(number), "{number}");
        }
        assert_ne!(float(BEYOND_INTEGERS), integer(i64::MAX));
    }
}
