//! A scorer as an image, and back: see [`crate::image`].

use super::networks::{Networks, Shape};
use super::{Engine, Scorer};
use crate::error::ModelError;
use crate::score::forest::Trees;
use crate::score::image::{refused, Content, Image, ImageReader, ImageWriter};
use crate::score::rates::Rates;
use crate::score::simd::Kernel;
use crate::stored::output::Output;
use crate::stored::recipe::{Category, Input, Recipe, Scaling};
use crate::stored::transform::Transform;
use crate::stored::vocabulary::Vocabulary;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Everything of a scorer but its arrays.
#[derive(Serialize, Deserialize)]
struct ScorerDescription {
    /// The recipe without its vocabularies, the points of its transforms and the edges of its bins, which are arrays.
    recipe: Recipe,
    /// Whether some numbers have bins.
    has_bins: bool,
    /// The seed of each vocabulary's hash table.
    seeds: Vec<u64>,
    output: Output,
    networks: Option<Vec<Shape>>,
    /// The forest's base scores, whether it is laid out in blocks, and its factor.
    forest: Option<((Vec<f64>, bool), f64)>,
    /// The number of other keys, and the factor.
    rates: Option<(f64, f64)>,
    offset: f64,
}

impl Scorer {
    /// The image of this scorer; `content` identifies the artifact that the scorer was made of.
    pub fn image(&self, content: &Content) -> Result<Image, ModelError> {
        let mut arrays = ImageWriter::default();
        let mut recipe = self.recipe.clone();
        let mut seeds = Vec::new();
        for category in categories(&mut recipe) {
            let Category { vocabulary, .. } = category;
            let (texts, ends, places, seed) = vocabulary.parts();
            arrays.put(texts);
            arrays.put(ends);
            arrays.put(places);
            seeds.push(seed);
            *vocabulary = Vocabulary::default();
        }
        transforms(&mut recipe, &mut |transform| {
            if let Transform::Quantile { points } = transform {
                arrays.put(&std::mem::take(points));
            }
            Ok(())
        })?;
        let has_bins = recipe.bins().iter().any(Option::is_some);
        for scaling in scalings(&mut recipe).filter(|_| has_bins) {
            arrays.put(&std::mem::take(&mut scaling.bins.edges));
        }
        let Engine { networks, forest, rates, offset } = &self.engine;
        if let Some(networks) = networks {
            networks.put(&mut arrays);
        }
        if let Some((forest, _)) = forest {
            forest.put(&mut arrays);
        }
        if let Some((rates, _)) = rates {
            arrays.put(&rates.keys);
            arrays.put(&rates.rates);
        }
        let description = ScorerDescription {
            recipe,
            has_bins,
            seeds,
            output: self.output.clone(),
            networks: networks.as_ref().map(Networks::shapes),
            forest: forest.as_ref().map(|(forest, gain)| (forest.description(), *gain)),
            rates: rates.as_ref().map(|(rates, gain)| (rates.of_others, *gain)),
            offset: *offset,
        };
        arrays.finish(description, content)
    }

    /// Opens the scorer of an image, which it reads in place. Anything else than a whole image of this content that
    /// this build has written is an error. Arrays that were changed since give other scores, but neither a panic nor a
    /// walk without end.
    pub fn of_image(image: Bytes, content: &Content) -> Result<Self, ModelError> {
        let (description, mut arrays) = ImageReader::open::<ScorerDescription>(image, content)?;
        let ScorerDescription { mut recipe, has_bins, seeds, output, networks, forest, rates, offset } =
            description;
        let mut seeds = seeds.into_iter();
        for category in categories(&mut recipe) {
            let (texts, ends, places) = (arrays.take()?, arrays.take()?, arrays.take()?);
            let seed = seeds.next().ok_or_else(refused)?;
            category.vocabulary = Vocabulary::of_parts(texts, ends, places, seed).ok_or_else(refused)?;
        }
        transforms(&mut recipe, &mut |transform| {
            if let Transform::Quantile { points } = transform {
                *points = arrays.take()?;
            }
            Ok(())
        })?;
        for scaling in scalings(&mut recipe).filter(|_| has_bins) {
            scaling.bins.edges = arrays.take()?;
        }
        let outputs = output.outputs();
        let networks = match networks {
            Some(shapes) => Some(Networks::take(&recipe, &shapes, outputs, &mut arrays)?),
            None => None,
        };
        let forest = match forest {
            Some((forest, gain)) if forest.0.len() == outputs => {
                Some((Trees::take(forest, &mut arrays)?, gain))
            }
            Some(_) => return Err(refused()),
            None => None,
        };
        let rates = match rates {
            Some((of_others, gain)) => {
                Some((Rates { keys: arrays.take()?, rates: arrays.take()?, of_others }, gain))
            }
            None => None,
        };
        let engine = Engine { networks, forest, rates, offset };
        Ok(Self::of_parts(recipe, engine, output, Kernel::best()))
    }
}

fn categories(recipe: &mut Recipe) -> impl Iterator<Item = &mut Category> {
    recipe.columns.iter_mut().filter_map(|column| match &mut column.input {
        Input::Category(category) => Some(category),
        Input::Numbers(_) | Input::Key => None,
    })
}

/// Shows every transform, those of second readings after the first.
fn transforms(
    recipe: &mut Recipe,
    show: &mut impl FnMut(&mut Transform) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    for scaling in scalings(recipe) {
        show(&mut scaling.transform)?;
        if let Some(second) = &mut scaling.second {
            show(&mut second.transform)?;
        }
    }
    Ok(())
}

fn scalings(recipe: &mut Recipe) -> impl Iterator<Item = &mut Scaling> {
    let numbers = recipe.columns.iter_mut().filter_map(|column| match &mut column.input {
        Input::Numbers(scalings) => Some(scalings),
        Input::Category(_) | Input::Key => None,
    });
    numbers.flatten()
}
