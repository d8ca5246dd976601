//! Names of what can be trained and of what it can predict.

use serde::{Deserialize, Serialize};

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// The smoothed rate of each product: the baseline.
    Popularity,
    /// One linear layer.
    Logistic,
    /// Gradient-boosted trees.
    BoostedTrees,
    /// Embeddings and hidden layers.
    Mlp,
    /// Embeddings, explicit feature crosses and hidden layers.
    DeepCross,
    /// Networks and boosted trees together; `auto` tries it last.
    Blend,
}

impl Algorithm {
    /// The algorithms that are trained by themselves, the cheapest first; `auto` tries them in this order.
    pub const TRAINED: [Algorithm; 5] =
        [Self::Popularity, Self::Logistic, Self::BoostedTrees, Self::Mlp, Self::DeepCross];

    pub const ALL: [Algorithm; 6] =
        [Self::Popularity, Self::Logistic, Self::BoostedTrees, Self::Mlp, Self::DeepCross, Self::Blend];

    /// The networks, which libtorch trains.
    pub const NETWORKS: [Algorithm; 3] = [Self::Logistic, Self::Mlp, Self::DeepCross];

    /// The name of the algorithm in SQL and in artifacts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Logistic => "logistic",
            Self::BoostedTrees => "boosted_trees",
            Self::Mlp => "mlp",
            Self::DeepCross => "deep_cross",
            Self::Blend => "blend",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether it can be bound to a direction of a column; popularity reads none.
    pub fn keeps_directions(self) -> bool {
        matches!(self, Self::Popularity | Self::BoostedTrees)
    }

    pub fn is_network(self) -> bool {
        Self::NETWORKS.contains(&self)
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The probability of a label that is true or false.
    Binary,
    /// The mean of a label that is a number, and its 10 %, 50 % and 90 % quantiles.
    Regression,
}

/// The quantiles that a regression predicts besides the mean.
pub const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

impl Task {
    /// Numbers that a network or a forest puts out: a logit, or the mean and the [`QUANTILES`].
    pub fn outputs(self) -> usize {
        match self {
            Self::Binary => 1,
            Self::Regression => 1 + QUANTILES.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_stored_form() {
        for algorithm in Algorithm::ALL {
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("auto"), None);
    }
}
