//! Made-up sales with a column of every type and NULLs everywhere, as Arrow arrays and as raw values to be scored.

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use model::protocol::{Role, SourceColumn};
use model::recipe::{Family, Slot};
use model::{Artifact, Scorer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// 2000-01-01 as Arrow counts days.
pub const EPOCH_DAYS: i32 = 10_957;

/// One row of the source.
#[derive(Debug, Clone)]
pub struct Sale {
    pub product: i64,
    pub region: Option<&'static str>,
    pub week: i32,
    pub small: Option<i16>,
    pub medium: Option<i32>,
    pub large: Option<i64>,
    pub single: Option<f32>,
    pub double: Option<f64>,
    pub flag: Option<bool>,
    /// Days since 2000-01-01.
    pub launched: Option<i32>,
    /// Microseconds since 2000-01-01.
    pub seen_at: Option<i64>,
    pub lags: Option<[Option<f32>; 3]>,
    pub counts: Option<[i32; 2]>,
    pub brand: Option<String>,
    pub label: Option<bool>,
}

/// Sales whose label follows from `double`, `flag`, `lags` and `brand`, with little noise.
pub fn sales(count: usize) -> Vec<Sale> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let random = &mut random;
    (0..count).map(|row| sale(row, random)).collect()
}

fn sale(row: usize, random: &mut ChaCha8Rng) -> Sale {
    fn known<T>(random: &mut ChaCha8Rng, value: T) -> Option<T> {
        random.random_bool(0.9).then_some(value)
    }
    let double = random.random_range(-1.0..1.0) * 1e6;
    let flag = random.random_bool(0.5);
    let lags = [0; 3].map(|_| random.random_range(0.0..10.0_f32));
    let brand = random.random_range(0..12);
    let logit = 6.0 * double / 1e6
        + if flag { 1.0 } else { -1.0 }
        + f64::from(lags[1] - 5.0) / 2.0
        + [-3.0, 0.0, 3.0][brand % 3];
    let label = random.random::<f64>() < 1.0 / (1.0 + (-1.5 * logit).exp());
    let regions = [Some("north"), Some("south"), Some("Zürich"), None];
    Sale {
        product: (row as i64 * 31) % 97 + (1 << 60),
        region: regions[random.random_range(0..4)],
        week: 17_168 + 7 * random.random_range(0..20),
        small: {
            let v = random.random();
            known(random, v)
        },
        medium: {
            let v = random.random();
            known(random, v)
        },
        large: {
            let v = random.random();
            known(random, v)
        },
        single: {
            let v = [f32::NAN, f32::INFINITY, 1.5, -2.5][random.random_range(0..4)];
            known(random, v)
        },
        double: Some(double),
        flag: Some(flag),
        launched: {
            let v = random.random_range(5000..7000);
            known(random, v)
        },
        seen_at: {
            let v = random.random_range(4e14 as i64..6e14 as i64);
            known(random, v)
        },
        lags: {
            let v = lags.map(Some);
            known(random, [v[0].filter(|x| *x > 1.0), v[1], v[2]])
        },
        counts: {
            let v = [random.random_range(0..9), random.random_range(-3..3)];
            known(random, v)
        },
        brand: {
            let v = format!("brand {brand}");
            known(random, v)
        },
        label: known(random, label),
    }
}

/// A source: its columns and its arrays, both in order.
pub struct Source {
    pub columns: Vec<SourceColumn>,
    pub arrays: Vec<ArrayRef>,
}

pub fn column(name: &str, sql_type: &str, family: Family, role: Role) -> SourceColumn {
    SourceColumn { name: name.into(), sql_type: sql_type.into(), family, role }
}

impl Source {
    pub fn empty() -> Self {
        Self { columns: Vec::new(), arrays: Vec::new() }
    }

    pub fn with(mut self, column: SourceColumn, array: ArrayRef) -> Self {
        self.columns.push(column);
        self.arrays.push(array);
        self
    }

    /// Replaces the array of a column.
    pub fn set(mut self, name: &str, array: ArrayRef) -> Self {
        let at = self.columns.iter().position(|c| c.name == name).expect("a column of this name");
        self.arrays[at] = array;
        self
    }

    /// Takes a column out.
    pub fn without(mut self, name: &str) -> Self {
        let at = self.columns.iter().position(|c| c.name == name).expect("a column of this name");
        self.columns.remove(at);
        self.arrays.remove(at);
        self
    }

    /// All columns of the sales.
    pub fn of(sales: &[Sale]) -> Self {
        use Family::{Boolean, Date, Number, NumberArray, Text, Timestamp};
        use Role::{Feature, Key, Label, Time};
        let zone: Arc<str> = "UTC".into();
        let seen: TimestampMicrosecondArray =
            sales.iter().map(|s| s.seen_at.map(|v| v + i64::from(EPOCH_DAYS) * 86_400_000_000)).collect();
        let lags = sales.iter().map(|s| s.lags.map(|v| v.to_vec()));
        let counts = sales.iter().map(|s| s.counts.map(|v| v.map(Some).to_vec()));
        Self::empty()
            .with(
                column("product_id", "bigint", Number, Key),
                Arc::new(sales.iter().map(|s| Some(s.product)).collect::<Int64Array>()),
            )
            .with(
                column("region", "text", Text, Role::KeyAndFeature),
                Arc::new(sales.iter().map(|s| s.region).collect::<StringArray>()),
            )
            .with(
                column("week", "date", Date, Time),
                Arc::new(sales.iter().map(|s| Some(s.week)).collect::<Date32Array>()),
            )
            .with(
                column("small", "smallint", Number, Feature),
                Arc::new(sales.iter().map(|s| s.small).collect::<Int16Array>()),
            )
            .with(
                column("medium", "integer", Number, Feature),
                Arc::new(sales.iter().map(|s| s.medium).collect::<Int32Array>()),
            )
            .with(
                column("large", "bigint", Number, Feature),
                Arc::new(sales.iter().map(|s| s.large).collect::<Int64Array>()),
            )
            .with(
                column("single", "real", Number, Feature),
                Arc::new(sales.iter().map(|s| s.single).collect::<Float32Array>()),
            )
            .with(
                column("double", "double precision", Number, Feature),
                Arc::new(sales.iter().map(|s| s.double).collect::<Float64Array>()),
            )
            .with(
                column("flag", "boolean", Boolean, Feature),
                Arc::new(sales.iter().map(|s| s.flag).collect::<BooleanArray>()),
            )
            .with(
                column("launched", "date", Date, Feature),
                Arc::new(sales.iter().map(|s| s.launched.map(|v| v + EPOCH_DAYS)).collect::<Date32Array>()),
            )
            .with(
                column("seen_at", "timestamp with time zone", Timestamp, Feature),
                Arc::new(seen.clone().with_timezone(zone)),
            )
            .with(column("seen", "timestamp without time zone", Timestamp, Feature), Arc::new(seen))
            .with(
                column("lags", "real[]", NumberArray, Feature),
                Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(lags)),
            )
            .with(
                column("counts", "integer[]", NumberArray, Feature),
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(counts)),
            )
            .with(
                column("brand", "text", Text, Feature),
                Arc::new(sales.iter().map(|s| s.brand.as_deref()).collect::<StringArray>()),
            )
            .with(
                column("purchased", "boolean", Boolean, Label),
                Arc::new(sales.iter().map(|s| s.label).collect::<BooleanArray>()),
            )
    }

    pub fn batch(&self) -> RecordBatch {
        let names = self.columns.iter().map(|c| (c.name.clone(), true));
        let fields = names.zip(&self.arrays).map(|((name, null), array)| (name, array.clone(), null));
        RecordBatch::try_from_iter_with_nullable(fields).expect("a batch")
    }
}

/// What scoring in the database gives for a sale, from the artifact alone.
pub fn served(artifact: &Artifact, sales: &[Sale]) -> Vec<f64> {
    let scorer = Scorer::new(artifact).expect("a scorer");
    let mut row = scorer.row();
    let score = |sale: &Sale| {
        for (column, slot) in artifact.recipe.columns.iter().zip(artifact.recipe.slots()) {
            match slot {
                Slot::Category { index } => scorer.set_category(&mut row, index, sale.text(&column.name)),
                Slot::Key => panic!("sales are scored without their key"),
                Slot::Numbers { first, count } => {
                    let numbers = sale.numbers(&column.name, count);
                    (first..).zip(numbers).for_each(|(at, value)| scorer.set_number(&mut row, at, value));
                }
            }
        }
        scorer.score(&mut row)
    };
    sales.iter().map(score).collect()
}

impl Sale {
    fn text(&self, name: &str) -> Option<&str> {
        match name {
            "region" => self.region,
            "brand" => self.brand.as_deref(),
            other => panic!("{other} is no text"),
        }
    }

    fn numbers(&self, name: &str, count: usize) -> Vec<Option<f64>> {
        let one = |value: Option<f64>| vec![value.filter(|v| v.is_finite())];
        match name {
            "small" => one(self.small.map(f64::from)),
            "medium" => one(self.medium.map(f64::from)),
            "large" => one(self.large.map(|v| v as f64)),
            "single" => one(self.single.map(f64::from)),
            "double" => one(self.double),
            "flag" => one(self.flag.map(f64::from)),
            "launched" => one(self.launched.map(f64::from)),
            "seen" | "seen_at" => one(self.seen_at.map(|v| v as f64 / 1e6)),
            "lags" => self.lags.map_or(vec![None; count], |v| v.iter().map(|x| x.map(f64::from)).collect()),
            "counts" => {
                self.counts.map_or(vec![None; count], |v| v.iter().map(|x| Some((*x).into())).collect())
            }
            other => panic!("{other} is no number"),
        }
    }
}
