//! The function `reco.recommend(product_id, region)`: it scores the newest feature row of a key.

use super::call::Resolved;
use super::model_cache::{self, Decoded};
use super::newest_row::NewestRow;
use super::row::Inputs;
use super::source::Key;
use super::what_if::WhatIf;
use crate::error::{or_raise, Error};
use crate::metrics::tally::Clock;
use crate::pg::call_site::{argument, state};
use crate::pg::memory::bytes;
use crate::scoring::arms::Test;
use model::ab::Product;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::Arc;

/// The state of a call site.
#[derive(Default)]
pub struct KeyCall {
    resolved: Option<Resolved>,
    kept: Kept,
    split: Option<Split>,
}

/// What a call site keeps for one version.
#[derive(Default)]
struct Kept {
    newest: Option<NewestRow>,
    what_if: WhatIf,
}

/// The A/B test that decides which version scores a key.
struct Split {
    test: Test,
    /// One entry for each arm, made when the arm is needed first.
    arms: Vec<Option<Arm>>,
}

struct Arm {
    decoded: Arc<Decoded>,
    inputs: Inputs,
    kept: Kept,
}

/// The arguments of a call, and the memory context of its call site.
pub struct Question {
    pub call_site: pg_sys::MemoryContext,
    pub key: Key,
    /// The product and the region.
    pub values: [pg_sys::Datum; 2],
    pub as_of: Option<pg_sys::Datum>,
    pub ab_key: Option<pg_sys::Datum>,
    pub plan: Option<pg_sys::Datum>,
}

/// Declared in sql/scoring.sql.
#[pg_extern(sql = false)]
fn recommend_bigint(fcinfo: pg_sys::FunctionCallInfo) -> Option<f64> {
    // SAFETY: the SQL of this function declares the first argument a bigint.
    unsafe { recommend(fcinfo, Key::Bigint) }
}

/// Declared in sql/scoring.sql.
#[pg_extern(sql = false)]
fn recommend_text(fcinfo: pg_sys::FunctionCallInfo) -> Option<f64> {
    // SAFETY: the SQL of this function declares the first argument a text.
    unsafe { recommend(fcinfo, Key::Text) }
}

/// # Safety
/// `fcinfo` is that of the running call, with the arguments (product of type `key`, region, model, as_of, ab_key,
/// plan).
unsafe fn recommend(fcinfo: pg_sys::FunctionCallInfo, key: Key) -> Option<f64> {
    // SAFETY: the call is running, and each argument is read as the type that its SQL declares.
    unsafe {
        let values = [argument(fcinfo, 0)?, argument(fcinfo, 1)?];
        let model = argument(fcinfo, 2).map(|name| bytes(name));
        let call_site = (*(*fcinfo).flinfo).fn_mcxt;
        let (as_of, ab_key, plan) = (argument(fcinfo, 3), argument(fcinfo, 4), argument(fcinfo, 5));
        let question = Question { call_site, key, values, as_of, ab_key, plan };
        or_raise(score_key(state::<KeyCall>(fcinfo), &question, model))
    }
}

/// # Safety
/// The question's values have the types that its key says, and there is an active snapshot.
unsafe fn score_key(
    call: &mut KeyCall,
    question: &Question,
    model: Option<&[u8]>,
) -> Result<Option<f64>, Error> {
    // SAFETY: the values and the snapshot are as the caller says.
    unsafe {
        let (decoded, inputs, kept) = call.version(question, model)?;
        question.score(decoded, inputs, kept)
    }
}

impl KeyCall {
    /// The version that scores the key.
    ///
    /// # Safety
    /// The same as for [`score_key`].
    pub unsafe fn decoded(&mut self, question: &Question, model: Option<&[u8]>) -> Result<&Decoded, Error> {
        // SAFETY: the values and the snapshot are as the caller says.
        unsafe { self.version(question, model).map(|(decoded, ..)| decoded) }
    }

    /// The version that scores the key, and what is kept for it.
    ///
    /// # Safety
    /// The same as for [`score_key`].
    unsafe fn version(
        &mut self,
        question: &Question,
        model: Option<&[u8]>,
    ) -> Result<(&Decoded, &mut Inputs, &mut Kept), Error> {
        // SAFETY: the values and the snapshot are as the caller says. While `resolved` answers, the snapshot is the one that
        // the kept access was made under.
        unsafe {
            if !self.resolved.as_ref().is_some_and(|resolved| resolved.answers(model)) {
                (self.kept, self.split) = (Kept::default(), None);
                let name = model.map(String::from_utf8_lossy);
                let resolved = Resolved::serving(name.as_deref(), None)?;
                self.split = resolved.test.as_deref().map(Split::read).transpose()?;
                self.resolved = Some(resolved);
            }
            let Some(resolved) = &mut self.resolved else { unreachable!("resolved above") };
            Ok(match self.split.as_mut().map(|split| split.arm(question)).transpose()?.flatten() {
                Some(arm) => (&arm.decoded, &mut arm.inputs, &mut arm.kept),
                None => (&resolved.decoded, &mut resolved.inputs, &mut self.kept),
            })
        }
    }
}

impl Question {
    /// The score that a version gives the newest row of the key in the version's source.
    ///
    /// # Safety
    /// The same as for [`score_key`].
    unsafe fn score(
        &self,
        decoded: &Decoded,
        inputs: &mut Inputs,
        kept: &mut Kept,
    ) -> Result<Option<f64>, Error> {
        // SAFETY: the values and the snapshot are as the caller says, and the plan is a jsonb.
        unsafe {
            let with_as_of = self.as_of.is_some();
            // A plan is read also where the key has no row, so that its errors do not depend on the rows.
            let replacement = self.plan.map(|plan| kept.what_if.replacement(plan, decoded)).transpose()?;
            if !kept.newest.as_ref().is_some_and(|newest| newest.serves(with_as_of)) {
                kept.newest = Some(NewestRow::of(self.call_site, decoded, self.key, with_as_of)?);
            }
            let Some(newest) = &mut kept.newest else { unreachable!("prepared above") };
            if !newest.fill(self.values, self.as_of, decoded, inputs)? {
                return Ok(None);
            }
            if let Some(replacement) = replacement {
                replacement.apply(&decoded.scorer, inputs);
            }
            let score = decoded.score(&mut inputs.row)?;
            decoded.tally.rows(1);
            Ok(Some(score))
        }
    }
}

impl Split {
    fn read(name: &str) -> Result<Self, Error> {
        let test = Test::read(name)?;
        let arms = test.arms.iter().map(|_| None).collect();
        Ok(Self { test, arms })
    }

    /// The arm of a key; `None` if the key does not take part.
    ///
    /// # Safety
    /// The same as for [`score_key`].
    unsafe fn arm(&mut self, question: &Question) -> Result<Option<&mut Arm>, Error> {
        // SAFETY: the region and the caller's key are texts, and the product has the type that the key says, as the caller
        // says.
        unsafe {
            let [product, region] = question.values;
            let text = |datum| String::from_utf8_lossy(bytes(datum));
            let (region, key) = (text(region), question.ab_key.map(text));
            let arm = match question.key {
                Key::Bigint => {
                    self.test.arm(Product::Number(product.value() as i64), &region, key.as_deref())
                }
                Key::Text => self.test.arm(Product::Text(&text(product)), &region, key.as_deref()),
            };
            let Some(arm) = arm else { return Ok(None) };
            let kept = &mut self.arms[arm];
            if kept.is_none() {
                let clock = Clock::read();
                let decoded = model_cache::decoded_version(&self.test.model, self.test.arms[arm].version)?;
                decoded.tally.begin(&clock);
                *kept = Some(Arm { inputs: Inputs::of(&decoded.scorer), decoded, kept: Kept::default() });
            }
            Ok(kept.as_mut())
        }
    }
}
