//! Reading and writing of stored forms: bounded, and never a panic on damaged bytes.

use crate::FeatureError;

/// The most bytes of a varint of 64 bits.
pub const MAX_VARINT: usize = 10;

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub struct ByteReader<'a>(pub &'a [u8]);

impl<'a> ByteReader<'a> {
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], FeatureError> {
        match self.0.split_at_checked(n) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(truncated()),
        }
    }

    #[inline]
    pub fn byte(&mut self) -> Result<u8, FeatureError> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    pub fn int64(&mut self) -> Result<i64, FeatureError> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or_else(truncated)?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*bytes))
    }

    /// An unsigned number in groups of seven bits, the lowest first (LEB128).
    #[inline]
    pub fn varint(&mut self) -> Result<u64, FeatureError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_varint(first)
    }

    fn long_varint(&mut self, first: u8) -> Result<u64, FeatureError> {
        let mut value = u64::from(first & 0x7f);
        for place in 1..MAX_VARINT {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            let shift = 7 * place as u32;
            if group << shift >> shift != group {
                break;
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(FeatureError::Binary("a count does not fit into 64 bits".into()))
    }

    /// A number of which the `length` leading bytes were stored: see [`significant_bytes`].
    #[inline]
    pub fn leading_bytes(&mut self, length: usize) -> Result<f64, FeatureError> {
        if length > 8 {
            return Err(FeatureError::Binary("a number has more than 8 bytes".into()));
        }
        // Where eight bytes are left, they are read at once, and those behind the number are masked out.
        let Some(eight) = self.0.first_chunk::<8>() else { return self.last_leading_bytes(length) };
        let mask = u64::MAX.checked_shl(64 - 8 * length as u32).unwrap_or(0);
        self.0 = &self.0[length..];
        Ok(f64::from_bits(u64::from_be_bytes(*eight) & mask))
    }

    fn last_leading_bytes(&mut self, length: usize) -> Result<f64, FeatureError> {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(self.take(length)?);
        Ok(f64::from_be_bytes(bytes))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cold]
fn truncated() -> FeatureError {
    FeatureError::Binary("the bytes end too early".into())
}

/// The number of leading bytes of a number that have to be stored; the bytes behind them are zero.
#[inline]
pub fn significant_bytes(number: f64) -> usize {
    8 - (number.to_bits().trailing_zeros() / 8) as usize
}

/// A buffer of `N` bytes that is filled from the front. Whoever fills it sees to it that `N` is enough.
pub struct ByteWriter<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> ByteWriter<N> {
    #[inline]
    pub fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    #[inline]
    pub fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    #[inline]
    pub fn put_leading_bytes(&mut self, number: f64) {
        self.put(&number.to_be_bytes()[..significant_bytes(number)]);
    }

    #[inline]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const N: usize> Default for ByteWriter<N> {
    fn default() -> Self {
        Self::new()
    }
}
