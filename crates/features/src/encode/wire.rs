//! Little-endian bytes of a state. They live as long as a query, so they carry no version; reading checks every length.

use crate::FeatureError;

pub fn damaged(what: &str) -> FeatureError {
    FeatureError::Binary(format!("the state of an encoder is damaged: {what}"))
}

#[derive(Default)]
pub struct StateWriter(Vec<u8>);

impl StateWriter {
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn integer(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn float(&mut self, value: f64) {
        self.integer(value.to_bits());
    }

    /// Bytes, preceded by their length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.integer(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub struct StateReader<'a>(&'a [u8]);

impl<'a> StateReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], FeatureError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8, FeatureError> {
        Ok(self.take(1)?[0])
    }

    pub fn integer(&mut self) -> Result<u64, FeatureError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    pub fn float(&mut self) -> Result<f64, FeatureError> {
        self.integer().map(f64::from_bits)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], FeatureError> {
        let count = usize::try_from(self.integer()?).map_err(|_| damaged("a length is too large"))?;
        self.take(count)
    }

    /// A number of members of at least `size` bytes each. It is checked against the bytes that follow, so that damaged
    /// bytes cannot ask for much memory.
    pub fn count(&mut self, size: usize) -> Result<usize, FeatureError> {
        let count = self.integer()?;
        if count > (self.0.len() / size) as u64 {
            return Err(damaged("it promises more than it holds"));
        }
        Ok(count as usize)
    }

    /// Checks that everything has been read.
    pub fn end(self) -> Result<(), FeatureError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(damaged("there is more than was expected"))
    }
}
