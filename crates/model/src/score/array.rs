//! The arrays that a scorer reads: its own, or parts of an image (see [`crate::image`]) that is shared between processes.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;
use std::ops::Deref;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What an array may hold: plain numbers, of which every pattern of bits is a valid one.
pub trait Item: FromBytes + IntoBytes + Immutable + KnownLayout + Send + Sync + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Send + Sync + 'static> Item for T {}

/// Items that never change. A clone shares them.
pub struct Array<T> {
    /// Bytes whose length and alignment are those of whole items; both ways to make an array see to that.
    bytes: Bytes,
    shared: bool,
    items: PhantomData<T>,
}

/// A vector as bytes.
struct Owned<T>(Vec<T>);

impl<T: Item> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<T: Item> Array<T> {
    /// An array in place, as part of an image. `None` if the bytes are not aligned, or no whole number of items.
    pub(crate) fn of_image(bytes: Bytes) -> Option<Self> {
        <[T]>::ref_from_bytes(&bytes).ok()?;
        Some(Self { bytes, shared: true, items: PhantomData })
    }

    /// The items as bytes, in this machine's order.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of this process's own memory: none for part of an image.
    pub fn memory(&self) -> usize {
        if self.shared {
            0
        } else {
            self.bytes.len()
        }
    }
}

impl<T: Item> From<Vec<T>> for Array<T> {
    fn from(items: Vec<T>) -> Self {
        Self { bytes: Bytes::from_owner(Owned(items)), shared: false, items: PhantomData }
    }
}

impl<T: Item> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Item> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        <[T]>::ref_from_bytes(&self.bytes).unwrap_or_default()
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), shared: self.shared, items: PhantomData }
    }
}

impl<T: Item> Default for Array<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Item + Debug> Debug for Array<T> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        self[..].fmt(to)
    }
}

impl<T: Item + PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T: Item + Serialize> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(to)
    }
}

impl<'de, T: Item + Deserialize<'de>> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_what_it_was_made_of_and_a_clone_shares_it() {
        let array = Array::from(vec![[1.5, -2.0], [0.0, f64::MAX]]);
        assert_eq!(array[..], [[1.5, -2.0], [0.0, f64::MAX]]);
        assert_eq!(array.memory(), 32);
        assert!(std::ptr::eq(&array.clone()[0], &array[0]));
        let again = Array::<[f64; 2]>::of_image(array.bytes().clone()).unwrap();
        assert_eq!((&again, again.memory()), (&array, 0));
        assert!(Array::<u64>::default().is_empty());
    }

    #[test]
    fn bytes_that_are_no_items_are_refused() {
        let bytes = Array::from(vec![0_u64; 2]).bytes().clone();
        assert!(Array::<u64>::of_image(bytes.slice(..15)).is_none());
        assert!(Array::<u64>::of_image(bytes.slice(1..9)).is_none());
        assert!(Array::<u64>::of_image(bytes.slice(8..)).is_some());
        assert!(Array::<u64>::of_image(bytes.slice(16..)).is_some_and(|empty| empty.is_empty()));
    }
}
