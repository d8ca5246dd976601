//! Hashes of values and rows: they order the rows, split them and identify the data, whatever order they come in.
//!
//! Not cryptographic: nobody gains by making two rows collide. They must spread well and never change between
//! versions, because a row's side of a split by hash depends on them.

/// Spreads 64 bits over 64 bits, one to one: two rounds of multiply and xor-shift.
pub fn mix(value: u64) -> u64 {
    let mut x = value ^ 0x6a09_e667_f3bc_c909;
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 29)).wrapping_mul(0xa076_1d64_78bd_642f);
    x ^ (x >> 32)
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

/// The hash of a float: equal numbers are equal, and so are all NaNs.
pub fn float(value: f64) -> u64 {
    let canonical = match value {
        v if v.is_nan() => f64::NAN,
        // Minus zero equals zero.
        0.0 => 0.0,
        v => v,
    };
    mix(canonical.to_bits())
}

/// A digest of a bag of rows: equal rows in any order give the same, and every row counts as often as it occurs.
#[derive(Debug, Clone)]
pub struct Digest {
    columns: blake3::Hasher,
    rows: u64,
    sums: [u64; 2],
}

impl Digest {
    pub fn new() -> Self {
        Self { columns: blake3::Hasher::new(), rows: 0, sums: [0; 2] }
    }

    /// Takes the name and type of the next column.
    pub fn column(&mut self, name: &str, sql_type: &str) {
        for part in [name, sql_type] {
            self.columns.update(&(part.len() as u64).to_le_bytes());
            self.columns.update(part.as_bytes());
        }
    }

    /// Takes a row by its hash.
    pub fn row(&mut self, hash: u64) {
        self.rows += 1;
        // Sums keep how often a row occurs, where xor would cancel pairs.
        self.sums[0] = self.sums[0].wrapping_add(mix(hash));
        self.sums[1] = self.sums[1].wrapping_add(mix(!hash));
    }

    /// 128 bits in hex.
    pub fn finish(&self) -> String {
        let mut all = self.columns.clone();
        for word in [self.rows, self.sums[0], self.sums[1]] {
            all.update(&word.to_le_bytes());
        }
        all.finalize().to_hex()[..32].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[u64]) -> String {
        let mut digest = Digest::new();
        digest.column("a", "integer");
        rows.iter().for_each(|row| digest.row(*row));
        digest.finish()
    }

    #[test]
    fn a_digest_ignores_order_but_nothing_else() {
        assert_eq!(digest(&[1, 2, 3]), digest(&[3, 1, 2]));
        for other in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 3], &[1, 1, 2, 2, 3]] {
            assert_ne!(digest(&[1, 2, 3]), digest(other), "{other:?}");
        }
        let mut renamed = Digest::new();
        renamed.column("b", "integer");
        [1, 2, 3].iter().for_each(|row| renamed.row(*row));
        assert_ne!(digest(&[1, 2, 3]), renamed.finish());
    }

    #[test]
    fn mixing_spreads_neighbours_over_all_sixteenths() {
        let mut counts = [0; 16];
        (0..16_000).for_each(|i| counts[(mix(i) >> 60) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
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
            float(1.0),
            NULL,
            chain(text("a"), text("b")),
            chain(text("b"), text("a")),
        ];
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        assert_eq!(float(0.0), float(-0.0));
        assert_eq!(float(f64::NAN), float(-f64::NAN));
    }
}
