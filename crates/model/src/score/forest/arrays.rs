//! A forest as typed arrays for a safetensors file, and back from bytes that may come from anywhere.
//!
//! | array | type | one for each | holds |
//! | --- | --- | --- | --- |
//! | `forest.base` | F64 | output | the base score |
//! | `forest.trees` | I32 | output | how many trees it has |
//! | `forest.nodes` | I32 | tree | how many nodes it has |
//! | `forest.child` | I32 | node | the left child's position in the tree (the right one follows it); 0 in a leaf |
//! | `forest.input` | I32 | node | which number is tested, or which category; 0 in a leaf |
//! | `forest.value` | F64 | node | the threshold of a number, the value of a leaf; 0 where a category is tested |
//! | `forest.missing_left` | U8 | node | 1 where a missing number goes left |
//! | `forest.words` | I32 | node | words in the set of codes that go left; 0 but where a category is tested |
//! | `forest.sets` | U64 | word | bit c % 64 of a set's word c / 64 says whether code c goes left |

use super::{refuse, Forest, Step};
use crate::error::ModelError;
use safetensors::Dtype;

/// One array of a forest, little-endian, as it stands in a safetensors file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: &'static str,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The names of all arrays, in the order of [`Forest::to_tensors`].
pub const NAMES: [&str; 9] = [
    "forest.base",
    "forest.trees",
    "forest.nodes",
    "forest.child",
    "forest.input",
    "forest.value",
    "forest.missing_left",
    "forest.words",
    "forest.sets",
];

/// The arrays while they are written and read, typed.
#[derive(Default)]
struct Arrays {
    base: Vec<f64>,
    trees: Vec<i32>,
    nodes: Vec<i32>,
    child: Vec<i32>,
    input: Vec<i32>,
    value: Vec<f64>,
    missing_left: Vec<u8>,
    words: Vec<i32>,
    sets: Vec<u64>,
}

impl Forest {
    /// The forest as arrays. The same forest always gives the same bytes.
    pub fn to_tensors(&self) -> Vec<Tensor> {
        let mut arrays = Arrays { base: self.bases.clone(), ..Arrays::default() };
        for output in 0..self.outputs() {
            arrays.trees.push(self.roots[output].len() as i32);
            self.trees(output).for_each(|steps| arrays.push_tree(&steps));
        }
        arrays.into_tensors()
    }

    /// Reads arrays that may come from anywhere; `find` gives type, shape and bytes of the array of a name. Every
    /// length, type and number is checked, and whatever does not fit is an error. The tests are checked against a
    /// recipe by [`Forest::check`].
    pub fn from_tensors<'a>(
        find: impl Fn(&str) -> Option<(Dtype, &'a [usize], &'a [u8])>,
    ) -> Result<Self, ModelError> {
        let arrays = Arrays::read(&find)?;
        let mut forest = Self::new(arrays.base.clone())?;
        let mut reader = TreeReader { arrays: &arrays, node: 0, word: 0 };
        let mut lengths = arrays.nodes.iter();
        if arrays.trees.len() != forest.outputs() {
            return refuse("the number of outputs of its trees");
        }
        for (output, trees) in arrays.trees.iter().enumerate() {
            for _ in 0..*trees {
                let Some(length) = lengths.next() else { return refuse("the number of its trees") };
                forest.add_tree(output, &reader.tree(*length)?)?;
            }
        }
        if lengths.next().is_some() || reader.node < arrays.child.len() || reader.word < arrays.sets.len() {
            return refuse("nodes that belong to none of its trees");
        }
        Ok(forest)
    }
}

impl Arrays {
    fn push_tree(&mut self, steps: &[Step]) {
        self.nodes.push(steps.len() as i32);
        for step in steps {
            let (child, input, value, missing_left, set) = match step {
                Step::Leaf { value } => (0, 0, *value, false, &[][..]),
                Step::Number { input, threshold, missing_left, left } => {
                    (*left, *input, *threshold, *missing_left, &[][..])
                }
                Step::Category { category, set, left } => (*left, *category, 0.0, false, &set[..]),
            };
            self.child.push(child as i32);
            self.input.push(input as i32);
            self.value.push(value);
            self.missing_left.push(missing_left.into());
            self.words.push(set.len() as i32);
            self.sets.extend(set);
        }
    }

    fn into_tensors(self) -> Vec<Tensor> {
        let floats = |values: Vec<f64>| (Dtype::F64, bytes(&values, |v| v.to_le_bytes()));
        let integers = |values: Vec<i32>| (Dtype::I32, bytes(&values, |v| v.to_le_bytes()));
        let arrays = [
            floats(self.base),
            integers(self.trees),
            integers(self.nodes),
            integers(self.child),
            integers(self.input),
            floats(self.value),
            (Dtype::U8, self.missing_left),
            integers(self.words),
            (Dtype::U64, bytes(&self.sets, |v| v.to_le_bytes())),
        ];
        let named = NAMES.into_iter().zip(arrays);
        let tensors = named.map(|(name, (dtype, bytes))| {
            let shape = vec![bytes.len() * 8 / dtype.bitsize()];
            Tensor { name, dtype, shape, bytes }
        });
        tensors.collect()
    }

    fn read<'a>(find: &impl Fn(&str) -> Option<(Dtype, &'a [usize], &'a [u8])>) -> Result<Self, ModelError> {
        let floats = |name| values(find, name, Dtype::F64, f64::from_le_bytes);
        let integers = |name| values(find, name, Dtype::I32, i32::from_le_bytes);
        let [base, trees, nodes, child, input, value, missing_left, words, sets] = NAMES;
        let arrays = Self {
            base: floats(base)?,
            trees: integers(trees)?,
            nodes: integers(nodes)?,
            child: integers(child)?,
            input: integers(input)?,
            value: floats(value)?,
            missing_left: values(find, missing_left, Dtype::U8, u8::from_le_bytes)?,
            words: integers(words)?,
            sets: values(find, sets, Dtype::U64, u64::from_le_bytes)?,
        };
        let count = arrays.child.len();
        let lengths = [arrays.input.len(), arrays.value.len(), arrays.missing_left.len(), arrays.words.len()];
        match lengths.iter().all(|length| *length == count) {
            true => Ok(arrays),
            false => refuse("arrays of its trees that differ in length"),
        }
    }
}

/// Reads tree after tree.
struct TreeReader<'a> {
    arrays: &'a Arrays,
    node: usize,
    word: usize,
}

impl TreeReader<'_> {
    fn tree(&mut self, length: i32) -> Result<Vec<Step>, ModelError> {
        let length = count(length)?;
        if length > self.arrays.child.len() - self.node {
            return refuse("the number of nodes of its trees");
        }
        (0..length).map(|_| self.step()).collect()
    }

    fn step(&mut self) -> Result<Step, ModelError> {
        let (arrays, at) = (self.arrays, self.node);
        self.node += 1;
        let (left, input, words) =
            (count(arrays.child[at])?, count(arrays.input[at])?, count(arrays.words[at])?);
        let (value, missing_left) = (arrays.value[at], arrays.missing_left[at]);
        if words > arrays.sets.len() - self.word {
            return refuse("the category sets of its trees");
        }
        let set = &arrays.sets[self.word..self.word + words];
        self.word += words;
        match (left, words, missing_left) {
            (0, 0, 0) if input == 0 => Ok(Step::Leaf { value }),
            (1.., 0, 0 | 1) => {
                Ok(Step::Number { input, threshold: value, missing_left: missing_left == 1, left })
            }
            (1.., 1.., 0) if value == 0.0 => Ok(Step::Category { category: input, set: set.to_vec(), left }),
            _ => refuse("a node of its trees"),
        }
    }
}

fn count(value: i32) -> Result<usize, ModelError> {
    usize::try_from(value).or_else(|_| refuse("a negative count or position in its trees"))
}

fn bytes<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| write(*value)).collect()
}

fn values<'a, T, const N: usize>(
    find: &impl Fn(&str) -> Option<(Dtype, &'a [usize], &'a [u8])>,
    name: &str,
    wanted: Dtype,
    read: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, ModelError> {
    let Some((dtype, shape, bytes)) = find(name) else {
        return refuse(&format!("there is no tensor \"{name}\""));
    };
    let (chunks, rest) = bytes.as_chunks::<N>();
    if dtype != wanted || shape != [chunks.len()] || !rest.is_empty() {
        return refuse(&format!("tensor \"{name}\" is {dtype:?} of shape {shape:?}"));
    }
    Ok(chunks.iter().map(|chunk| read(*chunk)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random_forest, CATEGORIES, NUMBERS};
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;

    fn read(tensors: &[Tensor]) -> Result<Forest, ModelError> {
        Forest::from_tensors(|name| {
            let tensor = tensors.iter().find(|tensor| tensor.name == name)?;
            Some((tensor.dtype, &tensor.shape[..], &tensor.bytes[..]))
        })
    }

    proptest! {
        #[test]
        fn a_forest_survives_its_arrays(seed in any::<u64>()) {
            let (forest, _) = random_forest(seed);
            let tensors = forest.to_tensors();
            let again = read(&tensors).unwrap();
            prop_assert_eq!(again.to_tensors(), tensors);
            prop_assert!(again.check(NUMBERS, &CATEGORIES).is_ok());
            let row = ([0.1, -0.7, f64::NAN, 0.5, 0.9], [1, 77]);
            for output in 0..forest.outputs() {
                prop_assert_eq!(again.margin(output, &row.0, &row.1), forest.margin(output, &row.0, &row.1));
            }
        }

        #[test]
        fn damaged_arrays_are_refused_or_still_give_finite_margins(
            seed in any::<u64>(),
            damage in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..6),
        ) {
            let mut tensors = random_forest(seed).0.to_tensors();
            for (which, at, byte) in damage {
                let bytes = which.get_mut(&mut tensors[..]).bytes.as_mut_slice();
                if !bytes.is_empty() {
                    *at.get_mut(bytes) = byte;
                }
            }
            if let Ok(forest) = read(&tensors) {
                if forest.check(NUMBERS, &CATEGORIES).is_ok() {
                    let finite = |output| forest.margin(output, &[0.0; NUMBERS], &[0, 0]).is_finite();
                    prop_assert!((0..forest.outputs()).all(finite));
                }
            }
        }

        #[test]
        fn random_bytes_are_no_forest_and_no_panic(
            arrays in prop::collection::vec((prop::collection::vec(0..3_u8, 0..64), any::<bool>()), NAMES.len()),
        ) {
            let mut tensors = random_forest(1).0.to_tensors();
            for (tensor, (bytes, pad)) in tensors.iter_mut().zip(arrays) {
                let unit = tensor.dtype.bitsize() / 8;
                let length = if pad { bytes.len().next_multiple_of(unit) } else { bytes.len() };
                tensor.bytes = bytes;
                tensor.bytes.resize(length, 0);
                tensor.shape = vec![length / unit];
            }
            if let Ok(forest) = read(&tensors) {
                let _ = forest.check(NUMBERS, &CATEGORIES);
            }
        }
    }

    #[test]
    fn a_missing_array_a_wrong_type_or_a_wrong_shape_is_refused() {
        let tensors = random_forest(3).0.to_tensors();
        assert!(read(&tensors).is_ok());
        for at in 0..tensors.len() {
            let mut fewer = tensors.clone();
            fewer.remove(at);
            assert!(read(&fewer).is_err());
            let mut retyped = tensors.clone();
            retyped[at].dtype = Dtype::F32;
            assert!(read(&retyped).is_err());
            let mut reshaped = tensors.clone();
            reshaped[at].shape.push(1);
            assert!(read(&reshaped).is_err());
        }
    }

    #[test]
    fn nodes_beyond_the_trees_are_refused() {
        let tensors = Forest::new(vec![0.0]).map(|mut forest| {
            forest.add_tree(0, &[Step::Leaf { value: 1.0 }]).unwrap();
            forest.to_tensors()
        });
        let mut tensors = tensors.unwrap();
        let at = |name: &str| NAMES.iter().position(|n| *n == name).unwrap();
        let trees = at("forest.trees");
        for count in [0_i32, 2, -1, i32::MAX] {
            tensors[trees].bytes = count.to_le_bytes().to_vec();
            assert!(read(&tensors).is_err());
        }
    }
}
