//! How far two rows are apart to a model: their distance in standardized numbers and in categories, weighted by the
//! importance of the columns.

use super::input_columns::InputColumns;
use super::values::Values;
use crate::error::ModelError;
use crate::stored::recipe::{Input, Recipe, Scaling};

/// The largest distance of two numbers, in standard deviations. A larger distance counts as this one, so that one
/// outlier does not decide.
const FARTHEST: f64 = 3.0;
/// The squared distance of two categories that differ, and of a missing value from one that is there. Two standardized
/// numbers have this squared distance on average.
const DIFFERENT: f64 = 2.0;

/// Distances between the rows of one version.
#[derive(Debug)]
pub struct Similarity {
    columns: InputColumns,
    /// The weight of each column; the weights add up to 1.
    weights: Vec<f64>,
}

impl Similarity {
    /// `importance` lists columns with their importance to the model. The weight of a column is its share of the sum; a
    /// column that is not in the list, or whose importance is 0 or less, has no weight. If no column has one, all weigh
    /// the same. A recipe that reads a key is an error.
    pub fn new(recipe: Recipe, importance: &[(String, f64)]) -> Result<Self, ModelError> {
        if recipe.columns.iter().any(|column| column.input == Input::Key) {
            let message = "a model that reads nothing but a key cannot compare rows";
            return Err(ModelError::data(message, "Use a model with another algorithm than popularity."));
        }
        let of = |name: &str| {
            let found = importance.iter().find(|(column, _)| column == name);
            found.map_or(0.0, |(_, loss)| if loss.is_finite() { loss.max(0.0) } else { 0.0 })
        };
        let mut weights: Vec<f64> = recipe.columns.iter().map(|column| of(&column.name)).collect();
        if weights.iter().sum::<f64>() <= 0.0 {
            weights.fill(1.0);
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Ok(Self { columns: InputColumns::new(recipe), weights })
    }

    /// The square root of the weighted mean of the columns' squared distances; 0 for rows that are the same to the model,
    /// at most 3. Numbers are standardized; an array's are averaged.
    ///
    /// # Panics
    /// If the values are another version's.
    pub fn distance(&self, a: &Values, b: &Values) -> f64 {
        let InputColumns { recipe, numbers, categories, .. } = &self.columns;
        let mut sum = 0.0;
        for (n, scaling) in recipe.scalings().into_iter().enumerate() {
            let column = numbers[n];
            let elements = recipe.columns[column].numbers() as f64;
            sum += self.weights[column] / elements * of_numbers(scaling, a.numbers[n], b.numbers[n]);
        }
        for (n, column) in categories.iter().enumerate() {
            sum += if a.codes[n] == b.codes[n] { 0.0 } else { self.weights[*column] * DIFFERENT };
        }
        sum.sqrt()
    }
}

/// The squared distance of two numbers.
fn of_numbers(scaling: &Scaling, a: f64, b: f64) -> f64 {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => {
            let apart = f64::from(scaling.standardize(a)) - f64::from(scaling.standardize(b));
            apart.abs().min(FARTHEST).powi(2)
        }
        (false, false) => 0.0,
        _ => DIFFERENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::recipe::{Category, Column, Family};

    fn column(name: &str, family: Family, input: Input) -> Column {
        Column { name: name.into(), sql_type: String::new(), family, input }
    }

    fn scaling(mean: f64, scale: f64) -> Scaling {
        Scaling { mean, scale, ..Scaling::default() }
    }

    /// A number, an array of two, a category.
    fn recipe() -> Recipe {
        let category = Category { vocabulary: ["a", "b"].into_iter().collect(), dimension: 2 };
        Recipe {
            columns: vec![
                column("price", Family::Number, Input::Numbers(vec![scaling(10.0, 2.0)])),
                column("sales", Family::NumberArray, Input::Numbers(vec![scaling(0.0, 1.0); 2])),
                column("size", Family::Text, Input::Category(category)),
            ],
        }
    }

    fn values(numbers: [f64; 3], code: u32) -> Values {
        Values { numbers: numbers.to_vec(), codes: vec![code], key: None }
    }

    fn distance(importance: &[(&str, f64)], a: &Values, b: &Values) -> f64 {
        let importance: Vec<_> = importance.iter().map(|(name, loss)| (name.to_string(), *loss)).collect();
        Similarity::new(recipe(), &importance).unwrap().distance(a, b)
    }

    #[test]
    fn columns_count_with_their_importance() {
        let a = values([10.0, 0.0, 0.0], 2);
        let dearer = values([12.0, 0.0, 0.0], 2);
        let larger = values([10.0, 0.0, 0.0], 3);
        let importance = [("price", 0.3), ("size", 0.1), ("sales", -0.2)];
        assert!((distance(&importance, &a, &dearer).powi(2) - 0.75).abs() < 1e-12);
        assert!((distance(&importance, &a, &larger).powi(2) - 0.25 * DIFFERENT).abs() < 1e-12);
        assert_eq!(distance(&importance, &a, &values([10.0, 5.0, -9.0], 2)), 0.0);
        assert_eq!(distance(&importance, &a, &a), 0.0);
    }

    #[test]
    fn all_columns_count_alike_where_nothing_is_known() {
        let a = values([10.0, 0.0, 0.0], 2);
        let half = values([10.0, 1.0, 0.0], 2);
        for importance in [&[][..], &[("price", 0.0), ("size", f64::NAN)]] {
            assert!((distance(importance, &a, &half).powi(2) - 0.5 / 3.0).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_missing_is_as_far_as_another_category_and_no_outlier_decides() {
        let (a, gone) = (values([10.0, 0.0, 0.0], 2), values([f64::NAN, 0.0, 0.0], 2));
        let price = [("price", 1.0)];
        assert!((distance(&price, &a, &gone).powi(2) - DIFFERENT).abs() < 1e-12);
        assert_eq!(distance(&price, &gone, &values([f64::INFINITY, 0.0, 0.0], 2)), 0.0);
        assert!((distance(&price, &a, &values([1e30, 0.0, 0.0], 2)) - FARTHEST).abs() < 1e-12);
    }

    #[test]
    fn a_key_alone_cannot_be_compared() {
        let recipe = Recipe { columns: vec![column("product_id", Family::Number, Input::Key)] };
        assert!(Similarity::new(recipe, &[]).is_err());
    }
}
