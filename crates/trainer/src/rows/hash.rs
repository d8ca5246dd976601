//! A digest of all rows, whatever order they come in. The hashes of values are [`model::hash`]'s.

pub use model::hash::{chain, float, integer, mix, text, NULL};

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

    /// The digest: 128 bits in hexadecimal digits.
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
}
