//! A graph that is built node by node, in the order in which values are computed.

use super::ExportError;
use crate::proto::{self, attribute, element};
use std::collections::HashSet;

/// The name of the dimension that every input and output has one entry of for each row.
pub const ROWS: &str = "rows";

/// A value of the graph, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub String);

/// A number that a tensor may hold.
pub trait Element: Copy {
    const TYPE: i32;
    const SIZE: usize = size_of::<Self>();
    fn push(self, bytes: &mut Vec<u8>);
}

macro_rules! element {
    ($type:ty, $number:ident) => {
        impl Element for $type {
            const TYPE: i32 = element::$number;
            fn push(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

element!(u8, UINT8);
element!(i64, INT64);
element!(f32, FLOAT);
element!(f64, DOUBLE);

/// Nodes, constants, inputs and outputs, each with a name of its own, and a bound on the bytes of the constants.
pub struct Graph<'a> {
    proto: proto::Graph,
    names: HashSet<String>,
    /// Bytes that constants may still have.
    room: usize,
    most: usize,
    pause: &'a mut dyn FnMut(),
}

impl<'a> Graph<'a> {
    /// An empty graph whose constants have at most so many bytes. `pause` is called between pieces of work.
    pub fn new(name: &str, most: usize, pause: &'a mut dyn FnMut()) -> Self {
        let proto = proto::Graph { name: name.to_owned(), ..proto::Graph::default() };
        Self { proto, names: HashSet::new(), room: most, most, pause }
    }

    /// The graph without what nothing reads, such as the codes of a category that trees do not test. Its inputs stay.
    pub fn finish(self) -> proto::Graph {
        let mut graph = self.proto;
        let mut read: HashSet<String> = graph.output.iter().map(|output| output.name().to_owned()).collect();
        let mut kept = Vec::new();
        while let Some(node) = graph.node.pop() {
            if node.output.iter().any(|output| read.contains(output)) {
                read.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        graph.node = kept;
        graph.initializer.retain(|tensor| read.contains(tensor.name()));
        graph
    }

    pub fn pause(&mut self) {
        (self.pause)();
    }

    /// Takes so many bytes for a constant, before there is memory for it; an error if there are not as many left.
    pub fn take_room(&mut self, bytes: usize) -> Result<(), ExportError> {
        self.room = self.room.checked_sub(bytes).ok_or(ExportError::TooLarge { most: self.most })?;
        Ok(())
    }

    /// The name, or one that begins with it, if that is taken.
    fn free_name(&mut self, base: &str) -> String {
        let numbered = (2_usize..).map(|n| format!("{base}_{n}"));
        let name = std::iter::once(base.to_owned()).chain(numbered).find(|name| !self.names.contains(name));
        let name = name.unwrap_or_default();
        self.names.insert(name.clone());
        name
    }

    /// An input of one row each, of so many elements; an error if there is one of this name, or the name is empty.
    pub fn input(
        &mut self,
        name: &str,
        data_type: i32,
        width: usize,
        about: String,
    ) -> Result<Value, ExportError> {
        if name.is_empty() || !self.names.insert(name.to_owned()) {
            return Err(ExportError::unsupported(format!(
                "it has two columns \"{name}\", or one without a name"
            )));
        }
        self.proto.input.push(info(name, data_type, &[width], about));
        Ok(Value(name.to_owned()))
    }

    /// Makes a value an output of doubles, with one entry for each row, of the shape `(rows)` or `(rows, width)`.
    pub fn output(&mut self, name: &str, width: Option<usize>, value: &Value, about: &str) {
        let name = self.free_name(name);
        self.proto.output.push(info(&name, element::DOUBLE, width.as_slice(), about.to_owned()));
        let node = proto::Node {
            input: vec![value.0.clone()],
            output: vec![name.clone()],
            name: Some(format!("{name}/Identity")),
            op_type: Some("Identity".to_owned()),
            ..proto::Node::default()
        };
        self.proto.node.push(node);
    }

    /// What an operator of ONNX's own makes of these values. `name` says what it is.
    pub fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&Value],
        settings: Vec<proto::Attribute>,
    ) -> Value {
        self.node_of("", operator, name, inputs, settings)
    }

    /// As [`Graph::node`], of an operator of a domain.
    pub fn node_of(
        &mut self,
        domain: &str,
        operator: &str,
        name: &str,
        inputs: &[&Value],
        settings: Vec<proto::Attribute>,
    ) -> Value {
        self.pause();
        let name = self.free_name(name);
        self.proto.node.push(proto::Node {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            name: Some(format!("{name}/{operator}")),
            op_type: Some(operator.to_owned()),
            attribute: settings,
            domain: Some(domain.to_owned()),
        });
        Value(name)
    }

    /// An output of the last node that nothing reads, since the operator has it.
    pub fn spare_output(&mut self, name: &str) {
        let name = self.free_name(name);
        if let Some(node) = self.proto.node.last_mut() {
            node.output.push(name);
        }
    }

    /// A constant of this shape, whose values are made once it is known that there is room for them.
    pub fn constant<T: Element>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: impl IntoIterator<Item = T>,
    ) -> Result<Value, ExportError> {
        self.pause();
        let name = self.free_name(name);
        let elements = shape.iter().product::<usize>();
        self.take_room(elements * T::SIZE)?;
        let tensor = tensor(&name, shape, values);
        self.proto.initializer.push(tensor);
        Ok(Value(name))
    }

    /// One number, as a constant that fits any shape.
    pub fn scalar<T: Element>(&mut self, name: &str, value: T) -> Result<Value, ExportError> {
        self.constant(name, &[], [value])
    }

    /// Puts values of shape `(rows, …)` side by side.
    pub fn concat(&mut self, name: &str, values: &[Value]) -> Value {
        let inputs: Vec<&Value> = values.iter().collect();
        self.node("Concat", name, &inputs, vec![int("axis", 1)])
    }

    /// The columns at these places of a value of shape `(rows, width)`; the value itself if they are all of them, in order.
    pub fn columns(
        &mut self,
        name: &str,
        value: &Value,
        width: usize,
        places: &[usize],
    ) -> Result<Value, ExportError> {
        if places.iter().copied().eq(0..width) {
            return Ok(value.clone());
        }
        let list = places.iter().map(|place| *place as i64);
        let list = self.constant(&format!("{name}/places"), &[places.len()], list)?;
        Ok(self.node("Gather", name, &[value, &list], vec![int("axis", 1)]))
    }

    pub fn cast<T: Element>(&mut self, name: &str, value: &Value) -> Value {
        self.node("Cast", name, &[value], vec![int("to", T::TYPE.into())])
    }
}

fn info(name: &str, data_type: i32, widths: &[usize], about: String) -> proto::ValueInfo {
    let rows = proto::Dimension { dim_param: Some(ROWS.to_owned()), dim_value: None };
    let fixed =
        widths.iter().map(|width| proto::Dimension { dim_value: Some(*width as i64), dim_param: None });
    let shape = proto::Shape { dim: std::iter::once(rows).chain(fixed).collect() };
    let tensor_type = proto::TensorType { elem_type: Some(data_type), shape: Some(shape) };
    proto::ValueInfo {
        name: Some(name.to_owned()),
        r#type: Some(proto::Type { tensor: Some(tensor_type), sequence: None }),
        doc_string: about,
    }
}

fn tensor<T: Element>(name: &str, shape: &[usize], values: impl IntoIterator<Item = T>) -> proto::Tensor {
    let mut raw_data = Vec::with_capacity(shape.iter().product::<usize>() * T::SIZE);
    values.into_iter().for_each(|value| value.push(&mut raw_data));
    proto::Tensor {
        dims: shape.iter().map(|length| *length as i64).collect(),
        data_type: Some(T::TYPE),
        name: Some(name.to_owned()),
        raw_data: Some(raw_data),
        ..proto::Tensor::default()
    }
}

fn setting(name: &str, kind: i32) -> proto::Attribute {
    proto::Attribute { name: Some(name.to_owned()), kind, ..proto::Attribute::default() }
}

pub fn float(name: &str, value: f32) -> proto::Attribute {
    proto::Attribute { f: Some(value), ..setting(name, attribute::FLOAT) }
}

pub fn int(name: &str, value: i64) -> proto::Attribute {
    proto::Attribute { i: Some(value), ..setting(name, attribute::INT) }
}

pub fn ints(name: &str, values: Vec<i64>) -> proto::Attribute {
    proto::Attribute { ints: values, ..setting(name, attribute::INTS) }
}

pub fn text(name: &str, value: &str) -> proto::Attribute {
    proto::Attribute { s: Some(value.as_bytes().to_vec()), ..setting(name, attribute::STRING) }
}

pub fn texts(name: &str, values: Vec<Vec<u8>>) -> proto::Attribute {
    proto::Attribute { strings: values, ..setting(name, attribute::STRINGS) }
}

/// A list of numbers as a tensor, which may be of doubles, where an attribute's own numbers are floats.
pub fn list<T: Element>(name: &str, values: &[T]) -> proto::Attribute {
    let tensor = tensor(name, &[values.len()], values.iter().copied());
    proto::Attribute { t: Some(tensor), ..setting(name, attribute::TENSOR) }
}
