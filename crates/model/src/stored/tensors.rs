//! Named arrays of numbers as the data part of a safetensors file, and back with every bound checked.

use super::bytes::{Bytes, PIECE};
use crate::error::ModelError;
use crate::score::forest::Tensor;
use ndarray::{Array1, Array2};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::Dtype;
use serde::Serialize;
use std::collections::BTreeMap;

/// A number that a tensor may hold.
pub trait Element: Copy {
    const DTYPE: Dtype;
    const SIZE: usize;
    fn push(self, bytes: &mut Vec<u8>);
    /// Reads a number from exactly [`Element::SIZE`] bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($type:ty, $dtype:ident) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            const SIZE: usize = size_of::<$type>();
            fn push(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                <$type>::from_le_bytes(own)
            }
        }
    };
}

element!(u8, U8);
element!(u32, U32);
element!(i32, I32);
element!(u64, U64);
element!(f32, F32);
element!(f64, F64);

/// Collects tensors. The same tensors always give the same bytes.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub struct TensorWriter {
    tensors: BTreeMap<String, TensorInfo>,
    #[serde(skip)]
    pub data: Vec<u8>,
}

impl TensorWriter {
    /// # Panics
    /// If there is a tensor of this name.
    pub fn add<T: Element>(&mut self, name: String, shape: &[usize], values: impl IntoIterator<Item = T>) {
        let start = self.data.len();
        values.into_iter().for_each(|value| value.push(&mut self.data));
        let data_offsets = (start, self.data.len());
        let info = TensorInfo { dtype: T::DTYPE, shape: shape.to_vec(), data_offsets };
        assert!(self.tensors.insert(name, info).is_none(), "tensors have names of their own");
    }

    /// Adds a tensor that comes as bytes.
    pub fn raw(&mut self, tensor: Tensor) {
        let start = self.data.len();
        self.data.extend(tensor.bytes);
        let data_offsets = (start, self.data.len());
        let info = TensorInfo { dtype: tensor.dtype, shape: tensor.shape, data_offsets };
        self.tensors.insert(tensor.name.to_owned(), info);
    }

    pub fn matrix(&mut self, name: String, matrix: &Array2<f32>) {
        self.add(name, matrix.shape(), matrix.iter().copied());
    }

    pub fn vector(&mut self, name: String, vector: &Array1<f32>) {
        self.add(name, vector.shape(), vector.iter().copied());
    }

    pub fn list<T: Element>(&mut self, name: &str, values: impl ExactSizeIterator<Item = T>) {
        self.add(name.to_owned(), &[values.len()], values);
    }
}

fn unreadable(name: &str, error: std::io::Error) -> ModelError {
    ModelError::artifact(format!("tensor \"{name}\" cannot be read: {error}"))
}

/// Hands out the tensors of a file by name.
pub struct TensorReader<'a> {
    header: &'a Metadata,
    bytes: &'a dyn Bytes,
    /// Where the tensors' data begin.
    first: usize,
    read: usize,
    room: Vec<u8>,
}

/// Type, shape and bytes of a tensor.
pub type RawTensor<'a> = (Dtype, &'a [usize], Vec<u8>);

impl<'a> TensorReader<'a> {
    pub fn new(header: &'a Metadata, bytes: &'a dyn Bytes, first: usize) -> Self {
        Self { header, bytes, first, read: 0, room: Vec::new() }
    }

    /// Shape and values of a tensor with this many dimensions.
    fn values<T: Element>(
        &mut self,
        name: &str,
        dimensions: usize,
    ) -> Result<(&'a [usize], Vec<T>), ModelError> {
        let missing = || ModelError::artifact(format!("there is no tensor \"{name}\""));
        let info = self.header.info(name).ok_or_else(missing)?;
        let TensorInfo { dtype, shape, data_offsets: (start, end) } = info;
        if *dtype != T::DTYPE || shape.len() != dimensions {
            return Err(ModelError::artifact(format!("tensor \"{name}\" is {dtype:?} of shape {shape:?}")));
        }
        self.read += 1;
        let mut values = Vec::with_capacity(end.saturating_sub(*start) / T::SIZE);
        for at in (*start..*end).step_by(PIECE) {
            let length = PIECE.min(end - at);
            let piece = self.bytes.piece(self.first + at, length, &mut self.room);
            values.extend(piece.map_err(|e| unreadable(name, e))?.chunks_exact(T::SIZE).map(T::read));
        }
        Ok((shape, values))
    }

    /// Those of these tensors that there are.
    pub fn raw(
        &mut self,
        names: &[&'static str],
    ) -> Result<BTreeMap<&'static str, RawTensor<'a>>, ModelError> {
        let mut found = BTreeMap::new();
        for name in names {
            let Some(TensorInfo { dtype, shape, data_offsets: (start, end) }) = self.header.info(name) else {
                continue;
            };
            let piece = self.bytes.piece(self.first + start, end.saturating_sub(*start), &mut self.room);
            let bytes = piece.map_err(|e| unreadable(name, e))?.to_vec();
            found.insert(*name, (*dtype, shape.as_slice(), bytes));
        }
        Ok(found)
    }

    /// Notes that so many tensors were read by [`TensorReader::raw`].
    pub fn count(&mut self, tensors: usize) {
        self.read += tensors;
    }

    pub fn matrix(&mut self, name: &str) -> Result<Array2<f32>, ModelError> {
        let (shape, values) = self.values(name, 2)?;
        Array2::from_shape_vec((shape[0], shape[1]), values)
            .map_err(|e| ModelError::artifact(format!("tensor \"{name}\": {e}")))
    }

    pub fn vector(&mut self, name: &str) -> Result<Array1<f32>, ModelError> {
        Ok(Array1::from_vec(self.list(name)?))
    }

    pub fn list<T: Element>(&mut self, name: &str) -> Result<Vec<T>, ModelError> {
        Ok(self.values(name, 1)?.1)
    }

    /// An error if the file has tensors that were not read.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.header.tensors().len() {
            count if count == self.read => Ok(()),
            count => Err(ModelError::artifact(format!("it has {count} tensors, not {}", self.read))),
        }
    }
}
