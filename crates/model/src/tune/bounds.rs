//! What a training parameter can be: the bound that is checked is the one that is told.

use crate::algorithm::Task;
use crate::stored::transform::TransformChoice;
use crate::tune::choices::{CalibrationChoice, Metric, Precision, Schedule};
use std::fmt::{self, Display};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bounds {
    OneOf(&'static [&'static str]),
    Flag,
    /// Names of columns.
    Columns,
    Device,
    /// Whole numbers, both ends included.
    Whole(u64, u64),
    /// Numbers, both ends included.
    Within(f64, f64),
    /// Numbers above the first, up to the second.
    Above(f64, f64),
    /// At most so many whole numbers, each within two others.
    Sizes(usize, u64, u64),
}

impl Bounds {
    /// Whether a parameter that is a number is a whole one; `None` if it is no number.
    pub fn is_whole(&self) -> Option<bool> {
        match self {
            Self::Whole(..) => Some(true),
            Self::Within(..) | Self::Above(..) => Some(false),
            Self::OneOf(_) | Self::Flag | Self::Columns | Self::Device | Self::Sizes(..) => None,
        }
    }

    fn has(&self, value: f64) -> bool {
        match *self {
            Self::Within(least, most) => (least..=most).contains(&value),
            Self::Above(least, most) => value > least && value <= most,
            _ => false,
        }
    }

    fn has_whole(&self, value: u64) -> bool {
        matches!(*self, Self::Whole(least, most) if (least..=most).contains(&value))
    }
}

impl Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(names) => match names.split_last() {
                Some((last, others)) if !others.is_empty() => write!(f, "{} or {last}", others.join(", ")),
                _ => f.write_str(&names.concat()),
            },
            Self::Flag => f.write_str("true or false"),
            Self::Columns => f.write_str("an array of names"),
            Self::Device => f.write_str("auto, cpu, cuda or cuda:N"),
            Self::Whole(least, u64::MAX) => write!(f, "{least} or more"),
            Self::Whole(least, most) => write!(f, "{least} to {most}"),
            Self::Within(least, most) => write!(f, "{least} to {most}"),
            Self::Above(least, most) => write!(f, "above {least} and up to {most}"),
            Self::Sizes(count, least, most) => {
                write!(f, "an array of up to {count} numbers from {least} to {most}")
            }
        }
    }
}

/// A parameter's value beside its bounds.
pub trait Bounded {
    fn fits(&self, bounds: &Bounds) -> bool;

    /// As the user is told of it.
    fn shown(&self) -> String;
}

impl Bounded for f64 {
    fn fits(&self, bounds: &Bounds) -> bool {
        bounds.has(*self)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

macro_rules! or_null {
    ($($type:ty),*) => {$(
        impl Bounded for Option<$type> {
            fn fits(&self, bounds: &Bounds) -> bool {
                self.is_none_or(|value| value.fits(bounds))
            }

            fn shown(&self) -> String {
                self.map_or_else(|| "null".to_owned(), |value| value.shown())
            }
        }
    )*};
}
or_null!(f64, u32, usize);

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Bounded for $type {
            fn fits(&self, bounds: &Bounds) -> bool {
                u64::try_from(*self).is_ok_and(|value| bounds.has_whole(value))
            }

            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole!(u64, u32, usize);

impl Bounded for Vec<usize> {
    fn fits(&self, bounds: &Bounds) -> bool {
        let Bounds::Sizes(count, least, most) = *bounds else { return false };
        self.len() <= count && self.iter().all(|size| size.fits(&Bounds::Whole(least, most)))
    }

    fn shown(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Bounded for String {
    fn fits(&self, bounds: &Bounds) -> bool {
        *bounds == Bounds::Device
            && match self.as_str() {
                "auto" | "cpu" | "cuda" => true,
                other => other.strip_prefix("cuda:").is_some_and(|n| n.parse::<u8>().is_ok()),
            }
    }

    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

/// Types that hold nothing that is not allowed.
macro_rules! always {
    ($($type:ty: $bounds:pat),* $(,)?) => {$(
        impl Bounded for $type {
            fn fits(&self, bounds: &Bounds) -> bool {
                matches!(bounds, $bounds)
            }

            fn shown(&self) -> String {
                serde_json::to_string(self).unwrap_or_default()
            }
        }
    )*};
}
always!(
    bool: Bounds::Flag,
    Vec<String>: Bounds::Columns,
    Option<Task>: Bounds::OneOf(_),
    Option<Metric>: Bounds::OneOf(_),
    CalibrationChoice: Bounds::OneOf(_),
    Schedule: Bounds::OneOf(_),
    TransformChoice: Bounds::OneOf(_),
    Precision: Bounds::OneOf(_),
);
