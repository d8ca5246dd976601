//! An image: arrays as they lie in memory, and a few words that say what they are, in one run of bytes that can be mapped
//! from a file and read in place.
//!
//! | bytes | what |
//! | --- | --- |
//! | 128 | [`Prelude`] |
//! | its `header` | JSON |
//! | the rest | the arrays, each from a multiple of 64 on |
//!
//! An image is read by the build that has written it, on the same machine, and holds nothing that the artifact does not
//! say. The prelude and the JSON have a checksum; the arrays have none, because checking them means reading them all:
//! whoever keeps an image sees to it that nobody else writes there. What is in the arrays is only ever used within bounds.

use super::array::{Array, Item};
use crate::error::ModelError;
use crate::hash;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What an image was made of: a digest of the artifact.
pub type Content = [u8; 32];

/// Arrays begin at multiples of this: a cache line.
const ALIGNMENT: usize = 64;
const MAGIC: u64 = u64::from_ne_bytes(*b"recoimg\n");
/// Identifies the sources and the compiler of this build: 16 hexadecimal digits.
pub const BUILD: &str = env!("PG_RECOMMEND_MODEL_BUILD");

/// How an image begins.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Prelude {
    magic: u64,
    /// The checksum of the other fields and of the JSON.
    checksum: u64,
    build: [u8; 16],
    content: Content,
    /// Bytes of the whole image.
    length: u64,
    /// Bytes of the JSON.
    header: u64,
    rest: [u64; 6],
}

/// The JSON: what the arrays are, and where they lie. `T` is what else their reader has to know.
#[derive(Serialize, Deserialize)]
struct Header<T> {
    what: T,
    /// For each array, the position of its first byte, counted from that of the first array, and the number of its
    /// bytes.
    places: Vec<(usize, usize)>,
}

/// Collects arrays, in the order in which they are read.
#[derive(Default)]
pub(crate) struct ImageWriter {
    arrays: Vec<Bytes>,
}

/// An image that is to be written. It shares the arrays with what it was made of.
pub struct Image {
    beginning: Vec<u8>,
    arrays: Vec<Bytes>,
    length: usize,
}

/// Gives arrays in the order in which they were written.
pub(crate) struct ImageReader {
    image: Bytes,
    first: usize,
    places: std::vec::IntoIter<(usize, usize)>,
}

impl ImageWriter {
    pub fn put<T: Item>(&mut self, array: &Array<T>) {
        self.arrays.push(array.bytes().clone());
    }

    pub fn finish(self, what: impl Serialize, content: &Content) -> Result<Image, ModelError> {
        let mut next = 0;
        let place = |array: &Bytes| {
            let at: usize = next;
            next = (at + array.len()).next_multiple_of(ALIGNMENT);
            (at, array.len())
        };
        let places = self.arrays.iter().map(place).collect();
        let json = serde_json::to_string(&Header { what, places })
            .map_err(|e| ModelError::artifact(format!("it cannot be written: {e}")))?;
        let first = first_array(json.len());
        let mut prelude = Prelude::new_zeroed();
        prelude.magic = MAGIC;
        prelude.build.copy_from_slice(BUILD.as_bytes());
        prelude.content = *content;
        prelude.length = (first + next) as u64;
        prelude.header = json.len() as u64;
        prelude.checksum = prelude.checksum_with(&json);
        let mut beginning = prelude.as_bytes().to_vec();
        beginning.extend_from_slice(json.as_bytes());
        beginning.resize(first, 0);
        Ok(Image { beginning, arrays: self.arrays, length: first + next })
    }
}

impl Image {
    /// Bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Writes the whole of it.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.beginning)?;
        for array in &self.arrays {
            to.write_all(array)?;
            to.write_all(&[0; ALIGNMENT][..array.len().next_multiple_of(ALIGNMENT) - array.len()])?;
        }
        Ok(())
    }
}

impl Prelude {
    fn checksum_with(&self, json: &str) -> u64 {
        let words = [self.magic, self.length, self.header];
        let texts = self.build.chunks_exact(8).chain(self.content.chunks_exact(8));
        let texts = texts.map(|word| word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        words.into_iter().chain(texts).fold(hash::text(json), hash::chain)
    }
}

impl ImageReader {
    /// Opens an image of this content, and says what it is. Anything else than an image that this build has written, whole,
    /// is an error.
    pub fn open<T: DeserializeOwned>(image: Bytes, content: &Content) -> Result<(T, Self), ModelError> {
        let (prelude, rest) = Prelude::read_from_prefix(&image).map_err(|_| refused())?;
        let json = usize::try_from(prelude.header).ok().and_then(|length| rest.get(..length));
        let json = json.and_then(|json| std::str::from_utf8(json).ok()).ok_or_else(refused)?;
        let ours = prelude.magic == MAGIC
            && prelude.build == BUILD.as_bytes()
            && prelude.content == *content
            && prelude.length == image.len() as u64
            && prelude.checksum == prelude.checksum_with(json);
        if !ours {
            return Err(refused());
        }
        let header: Header<T> = serde_json::from_str(json).map_err(|_| refused())?;
        let first = first_array(json.len());
        Ok((header.what, Self { image, first, places: header.places.into_iter() }))
    }

    /// The next array.
    pub fn take<T: Item>(&mut self) -> Result<Array<T>, ModelError> {
        let (at, length) = self.places.next().ok_or_else(refused)?;
        let start = self.first.checked_add(at).ok_or_else(refused)?;
        let end = start.checked_add(length).filter(|end| *end <= self.image.len()).ok_or_else(refused)?;
        Array::of_image(self.image.slice(start..end)).ok_or_else(refused)
    }

    /// The next array, which has so many items.
    pub fn take_just<T: Item>(&mut self, count: usize) -> Result<Array<T>, ModelError> {
        Some(self.take()?).filter(|array| array.len() == count).ok_or_else(refused)
    }
}

/// Where the first array begins.
fn first_array(json: usize) -> usize {
    (size_of::<Prelude>() + json).next_multiple_of(ALIGNMENT)
}

pub(crate) fn refused() -> ModelError {
    ModelError::artifact("it is not an image of this version, made by this release")
}
