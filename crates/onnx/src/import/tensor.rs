//! Arrays of numbers or texts, as ONNX has them.

use super::error::{refuse, ImportError, Result};
use crate::proto;

/// Most elements of a tensor.
pub const MAX_ELEMENTS: usize = 1 << 26;
/// Most dimensions.
const MAX_RANK: usize = 8;

/// The type of numbers. Integers of any width are one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Float,
    Double,
    Integer,
    Boolean,
}

impl Kind {
    /// The kind of an ONNX element type (`TensorProto.DataType`); `None` for texts and for what is not supported.
    pub fn of(element: i32) -> Option<Self> {
        match element {
            1 => Some(Self::Float),
            11 => Some(Self::Double),
            2..=7 | 12 | 13 => Some(Self::Integer),
            9 => Some(Self::Boolean),
            _ => None,
        }
    }

    /// The number nearest to a value that this kind has. Sums, products, quotients and square roots of 32-bit floats that
    /// are computed in 64 bits and rounded then are those of 32-bit arithmetic (Figueroa 1995).
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::Float => f64::from(value as f32),
            Self::Double => value,
            Self::Integer => value.trunc(),
            Self::Boolean => f64::from(u8::from(value != 0.0)),
        }
    }
}

/// The element type of texts.
pub const TEXT: i32 = 8;

#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Numbers of any kind, each exact as a 64-bit float (integers up to 2⁵³).
    Numbers(Kind, Vec<f64>),
    Texts(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The number of elements of a shape; an error beyond [`MAX_ELEMENTS`].
pub fn elements(shape: &[usize]) -> Result<usize> {
    let product = shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    match product.filter(|product| *product <= MAX_ELEMENTS && shape.len() <= MAX_RANK) {
        Some(product) => Ok(product),
        None => refuse(format!(
            "a tensor of shape {shape:?} has more than {MAX_ELEMENTS} elements or {MAX_RANK} dimensions"
        )),
    }
}

impl Tensor {
    /// An error unless the shape has as many elements.
    pub fn numbers(shape: Vec<usize>, kind: Kind, values: Vec<f64>) -> Result<Self> {
        Self { shape, data: Data::Numbers(kind, values) }.checked()
    }

    pub fn texts(shape: Vec<usize>, values: Vec<String>) -> Result<Self> {
        Self { shape, data: Data::Texts(values) }.checked()
    }

    pub fn list(kind: Kind, values: Vec<f64>) -> Self {
        Self { shape: vec![values.len()], data: Data::Numbers(kind, values) }
    }

    fn checked(self) -> Result<Self> {
        match elements(&self.shape)? == self.len() {
            true => Ok(self),
            false => refuse(format!("a tensor of shape {:?} has {} elements", self.shape, self.len())),
        }
    }

    pub fn len(&self) -> usize {
        match &self.data {
            Data::Numbers(_, values) => values.len(),
            Data::Texts(values) => values.len(),
        }
    }

    pub fn kind(&self) -> Result<Kind> {
        match self.data {
            Data::Numbers(kind, _) => Ok(kind),
            Data::Texts(_) => refuse("a tensor holds texts where numbers are needed"),
        }
    }

    pub fn values(&self) -> Result<&[f64]> {
        match &self.data {
            Data::Numbers(_, values) => Ok(values),
            Data::Texts(_) => refuse("a tensor holds texts where numbers are needed"),
        }
    }

    /// Its numbers as integers.
    pub fn integers(&self) -> Result<Vec<i64>> {
        Ok(self.values()?.iter().map(|value| *value as i64).collect())
    }

    /// The one number that it holds.
    pub fn scalar(&self) -> Result<f64> {
        match self.values()? {
            [value] => Ok(*value),
            values => refuse(format!("a tensor has {} elements, not one", values.len())),
        }
    }

    pub fn reshaped(&self, shape: Vec<usize>) -> Result<Self> {
        Self { shape, data: self.data.clone() }.checked()
    }

    /// The elements at these positions, in a new shape.
    pub fn pick(&self, shape: Vec<usize>, at: impl Iterator<Item = usize>) -> Result<Self> {
        elements(&shape)?;
        let data = match &self.data {
            Data::Numbers(kind, values) => Data::Numbers(*kind, at.map(|at| values[at]).collect()),
            Data::Texts(values) => Data::Texts(at.map(|at| values[at].clone()).collect()),
        };
        Self { shape, data }.checked()
    }

    /// Reads an initializer or an attribute. External data are refused: no path is opened.
    pub fn read(proto: &proto::Tensor) -> Result<Self> {
        let name = proto.name.as_deref().unwrap_or("");
        if proto.data_location == Some(1) || !proto.external_data.is_empty() {
            return Err(ImportError::hinted(
                format!("tensor \"{name}\" lies in another file"),
                "Save the model as one file: onnx.save_model(…, save_as_external_data=False).",
            ));
        }
        let shape = proto.dims.iter().map(|length| usize::try_from(*length));
        let Ok(shape) = shape.collect::<std::result::Result<Vec<_>, _>>() else {
            return refuse(format!("tensor \"{name}\" has a negative length"));
        };
        let count = elements(&shape)?;
        let element = proto.data_type.unwrap_or_default();
        let data = match Kind::of(element) {
            _ if element == TEXT => Data::Texts(texts(&proto.string_data)?),
            Some(kind) => Data::Numbers(kind, numbers(proto, element)),
            None => {
                return Err(ImportError::hinted(
                    format!("tensor \"{name}\" has element type {element}"),
                    "Numbers are float, double, integers or booleans.",
                ))
            }
        };
        match (Self { shape, data }) {
            tensor if tensor.len() == count => Ok(tensor),
            tensor => refuse(format!(
                "tensor \"{name}\" of shape {:?} holds {} elements",
                tensor.shape,
                tensor.len()
            )),
        }
    }
}

pub fn texts(bytes: &[Vec<u8>]) -> Result<Vec<String>> {
    let text = |bytes: &Vec<u8>| {
        String::from_utf8(bytes.clone()).map_err(|_| ImportError::new("a text of the model is not UTF-8"))
    };
    bytes.iter().map(text).collect()
}

fn numbers(proto: &proto::Tensor, element: i32) -> Vec<f64> {
    if let Some(raw) = proto.raw_data.as_deref().filter(|raw| !raw.is_empty()) {
        return of_raw(raw, element);
    }
    match element {
        1 => proto.float_data.iter().map(|value| f64::from(*value)).collect(),
        11 => proto.double_data.clone(),
        7 => proto.int64_data.iter().map(|value| *value as f64).collect(),
        12 | 13 => proto.uint64_data.iter().map(|value| *value as f64).collect(),
        _ => proto.int32_data.iter().map(|value| f64::from(*value)).collect(),
    }
}

/// Little-endian numbers; a rest that is no whole number is left out, so that the count does not fit.
fn of_raw(raw: &[u8], element: i32) -> Vec<f64> {
    macro_rules! read {
        ($type:ty) => {{
            let (numbers, _) = raw.as_chunks::<{ size_of::<$type>() }>();
            numbers.iter().map(|bytes| <$type>::from_le_bytes(*bytes) as f64).collect()
        }};
    }
    match element {
        1 => read!(f32),
        11 => read!(f64),
        2 | 9 => read!(u8),
        3 => read!(i8),
        4 => read!(u16),
        5 => read!(i16),
        6 => read!(i32),
        7 => read!(i64),
        12 => read!(u32),
        _ => read!(u64),
    }
}
