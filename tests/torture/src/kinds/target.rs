//! What is asked about: a model, its source, and how the right answer is found.

use super::{Frame, Place};
use crate::dice::Dice;
use crate::world::{Source, CHURNED, SHAKEN, STABLE};

pub struct Target {
    pub model: String,
    pub source: &'static str,
    /// Whether what is right was computed beforehand; else it is asked of the source by plain SQL, in the same statement.
    pub known: bool,
    /// Whether products are text.
    pub text: bool,
    /// Whether nobody but this session changes the model.
    pub own: bool,
}

impl Target {
    fn of(source: &Source, known: bool) -> Self {
        Self {
            model: source.name.into(),
            source: source.name,
            known,
            text: source.shape == "text",
            own: false,
        }
    }

    pub fn own(place: &Place) -> Self {
        Self { model: place.own.clone(), source: "s_table", known: true, text: false, own: true }
    }

    pub fn stable(dice: &mut Dice) -> Self {
        Self::of(dice.pick(STABLE), true)
    }

    /// Under a snapshot that is older than a rewrite of the table, its rows are not seen, by whatever statement.
    pub fn shaken(dice: &mut Dice, frame: Frame) -> Self {
        Self::of(dice.pick(SHAKEN), !frame.kept)
    }

    pub fn churned(dice: &mut Dice) -> Self {
        Self::of(dice.pick(CHURNED), false)
    }

    pub fn any(dice: &mut Dice, place: &Place, frame: Frame) -> Self {
        match dice.below(10) {
            0..3 => Self::own(place),
            3..6 => Self::shaken(dice, frame),
            6..8 => Self::stable(dice),
            _ => Self::churned(dice),
        }
    }

    /// One whose rows are always the same.
    pub fn known(dice: &mut Dice, place: &Place, frame: Frame) -> Self {
        match dice.below(3) {
            0 if !frame.kept => Self::shaken(dice, frame),
            _ => Self::unshaken(dice, place),
        }
    }

    /// One whose source nobody touches.
    pub fn unshaken(dice: &mut Dice, place: &Place) -> Self {
        if dice.percent(50) {
            Self::own(place)
        } else {
            Self::stable(dice)
        }
    }

    /// The product of a row `k` of torture.keys, as this model's products are.
    pub fn product(&self) -> &'static str {
        if self.text {
            "k.product_id::text"
        } else {
            "k.product_id"
        }
    }

    /// `recommend` of a row `k` of torture.keys.
    pub fn got(&self, moment: Moment) -> String {
        let as_of = moment.argument();
        format!("reco.recommend({}, k.region, '{}'{as_of})", self.product(), self.model)
    }

    /// What is right for a row `k` of torture.keys.
    pub fn right(&self, moment: Moment) -> String {
        if self.known {
            format!(
                "torture.right_answer('{}', k.product_id::text, k.region, '{}')",
                self.model,
                moment.as_of()
            )
        } else {
            self.newest(moment)
        }
    }

    /// The score of the newest row, found by plain SQL.
    pub fn newest(&self, moment: Moment) -> String {
        format!(
            "(SELECT reco.predict('{}', f) FROM torture.{} AS f WHERE f.product_id = {} AND f.region = k.region \
             AND f.week <= '{}' ORDER BY f.week DESC LIMIT 1)",
            self.model,
            self.source,
            self.product(),
            moment.as_of()
        )
    }
}

/// The day whose newest row is asked for: one of those in torture.moments.
#[derive(Clone, Copy)]
pub struct Moment(Option<&'static str>);

impl Moment {
    pub const NEWEST: Self = Self(None);

    pub fn any(dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 => Self(Some("2024-02-05")),
            1 => Self(Some("2024-01-10")),
            2 => Self(Some("2023-01-01")),
            _ => Self::NEWEST,
        }
    }

    pub fn as_of(self) -> &'static str {
        self.0.unwrap_or("infinity")
    }

    /// As further arguments of a call.
    pub fn argument(self) -> String {
        self.0.map(|day| format!(", as_of => '{day}'")).unwrap_or_default()
    }
}
