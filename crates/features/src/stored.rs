//! The stored form of a summary, version 1.
//!
//! ```text
//! version       1 byte
//! flags         1 byte, see below
//! lengths       1 byte for each known total: leading bytes kept of its high part, and of its low part
//! lines         varint
//! discounts     varint, if some lines but not all have one
//! totals        sales, quantity, discount, each if known: high and low part, big endian, trailing zeros left out
//! first sale    8 bytes, if known: microseconds since 2000-01-01, little endian
//! to the last   varint, if not the same
//! customers     varint and so many hashes of 8 bytes, little endian, ascending; or 4096 registers of 6 bits
//! ```
//!
//! One line with amount, quantity, discount, customer and moment takes at most 47 bytes, usually about 40; the largest
//! summary takes [`MAX_LENGTH`].

use crate::bytes::{significant_bytes, ByteReader, ByteWriter, MAX_VARINT};
use crate::compensated::Sum;
use crate::customers::{StoredCustomers, STORED_REGISTERS};
use crate::summary::{Figures, Summary};
use crate::FeatureError;
use allocator_api2::alloc::Allocator;

pub const VERSION: u8 = 1;
/// No stored form is longer.
pub const MAX_LENGTH: usize = MAX_HEAD + STORED_REGISTERS;
/// The most bytes of everything but the customers: version, flags, lengths, three varints, three totals, a moment, and
/// the customers' count.
const MAX_HEAD: usize = 2 + 3 + 3 * MAX_VARINT + 3 * 16 + 8 + MAX_VARINT;

const SALES: u8 = 1;
const QUANTITY: u8 = 1 << 1;
/// Every line has a discount.
const DISCOUNT_ALWAYS: u8 = 1 << 2;
const DISCOUNT_SOMETIMES: u8 = 1 << 3;
const MOMENT: u8 = 1 << 4;
/// The last moment is not the first.
const PERIOD: u8 = 1 << 5;
const REGISTERS: u8 = 1 << 6;
const UNUSED: u8 = 1 << 7;

/// The range of PostgreSQL's timestamps: from 4714 BC to before 294277 AD.
const MOMENTS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// A summary in its stored form, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View<'a> {
    pub(crate) figures: Figures,
    pub(crate) customers: StoredCustomers<'a>,
}

impl<'a> View<'a> {
    /// Reads a stored form. Damaged bytes are an error.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FeatureError> {
        let mut reader = ByteReader(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(unknown_version(version));
        }
        let flags = reader.byte()?;
        let figures = read_figures(flags, &mut reader)?;
        let customers = if flags & REGISTERS != 0 {
            StoredCustomers::registers(reader.take(STORED_REGISTERS)?)?
        } else {
            let count = reader.varint()?;
            let length = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(8);
            StoredCustomers::hashes(reader.take(length)?)?
        };
        if !reader.is_empty() {
            return Err(damaged("there are bytes behind its end"));
        }
        let view = Self { figures, customers };
        view.check()?;
        Ok(view)
    }

    /// Refuses a summary that cannot have come from sales.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), FeatureError> {
        let figures = &self.figures;
        if figures.lines == 0 || figures.lines > i64::MAX as u64 {
            return Err(damaged("its number of sale lines is impossible"));
        }
        if !figures.sales_known && !figures.quantity_known {
            return Err(damaged("it has neither sales nor a quantity"));
        }
        if figures.discounts > figures.lines || self.customers.at_least() > figures.lines {
            return Err(damaged("it has more discounts or customers than sale lines"));
        }
        if let Some((first, last)) = figures.period() {
            if !MOMENTS.contains(&first) || !MOMENTS.contains(&last) {
                return Err(damaged("its period is impossible"));
            }
        }
        Ok(())
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Distinct customers; see [`crate::customers`].
    pub fn unique_customers(&self) -> Result<u64, FeatureError> {
        self.customers.count()
    }

    /// The stored form, in as few bytes as it needs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (tail, count) = match self.customers {
            StoredCustomers::Hashes(bytes) => (bytes, Some(bytes.len() / 8)),
            StoredCustomers::Registers(bytes) => (bytes, None),
        };
        [write_head(&self.figures, count).written(), tail].concat()
    }
}

#[inline]
fn read_figures(flags: u8, reader: &mut ByteReader<'_>) -> Result<Figures, FeatureError> {
    let both = DISCOUNT_ALWAYS | DISCOUNT_SOMETIMES;
    let impossible = flags & UNUSED != 0 || flags & both == both || flags & (MOMENT | PERIOD) == PERIOD;
    if impossible {
        return Err(damaged("its flags are impossible"));
    }
    let mut length_of = |known: u8| if flags & known != 0 { reader.byte().map(Some) } else { Ok(None) };
    let (sales, quantity, discount) = (length_of(SALES)?, length_of(QUANTITY)?, length_of(both)?);
    let lines = reader.varint()?;
    let discounts = match flags & both {
        DISCOUNT_ALWAYS => lines,
        DISCOUNT_SOMETIMES => reader.varint()?,
        _ => 0,
    };
    let mut figures = Figures {
        lines,
        discounts,
        sales_known: sales.is_some(),
        quantity_known: quantity.is_some(),
        sales: read_sum(sales, reader)?,
        quantity: read_sum(quantity, reader)?,
        discount: read_sum(discount, reader)?,
        ..Figures::NONE
    };
    if flags & DISCOUNT_SOMETIMES != 0 && (discounts == 0 || discounts >= lines) {
        return Err(damaged("its number of discounts is impossible"));
    }
    if flags & MOMENT != 0 {
        figures.first = reader.int64()?;
        let period = if flags & PERIOD != 0 { reader.varint()? } else { 0 };
        figures.last =
            figures.first.checked_add_unsigned(period).ok_or_else(|| damaged("its period is impossible"))?;
    }
    Ok(figures)
}

#[inline]
fn read_sum(lengths: Option<u8>, reader: &mut ByteReader<'_>) -> Result<Sum, FeatureError> {
    let Some(lengths) = lengths else { return Ok(Sum::ZERO) };
    let hi = reader.leading_bytes(usize::from(lengths >> 4))?;
    let lo = reader.leading_bytes(usize::from(lengths & 15))?;
    Sum::from_parts(hi, lo).ok_or_else(|| damaged("a total is not a finite number"))
}

#[inline]
fn write_head(figures: &Figures, customers: Option<usize>) -> ByteWriter<MAX_HEAD> {
    let period = figures.period();
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let discount_known = figures.discounts > 0;
    let always = figures.discounts == figures.lines;
    let sums = [
        (figures.sales_known, figures.sales),
        (figures.quantity_known, figures.quantity),
        (discount_known, figures.discount),
    ];
    let mut head = ByteWriter::new();
    head.put(&[
        VERSION,
        flag(figures.sales_known, SALES)
            | flag(figures.quantity_known, QUANTITY)
            | flag(discount_known && always, DISCOUNT_ALWAYS)
            | flag(discount_known && !always, DISCOUNT_SOMETIMES)
            | flag(period.is_some(), MOMENT)
            | flag(period.is_some_and(|(first, last)| first != last), PERIOD)
            | flag(customers.is_none(), REGISTERS),
    ]);
    for (_, sum) in sums.iter().filter(|(known, _)| *known) {
        let (hi, lo) = sum.parts();
        head.put(&[(significant_bytes(hi) << 4 | significant_bytes(lo)) as u8]);
    }
    head.put_varint(figures.lines);
    if discount_known && !always {
        head.put_varint(figures.discounts);
    }
    for (_, sum) in sums.iter().filter(|(known, _)| *known) {
        let (hi, lo) = sum.parts();
        head.put_leading_bytes(hi);
        head.put_leading_bytes(lo);
    }
    if let Some((first, last)) = period {
        head.put(&first.to_le_bytes());
        if first != last {
            head.put_varint(last.abs_diff(first));
        }
    }
    if let Some(count) = customers {
        head.put_varint(count as u64);
    }
    head
}

/// A summary about to be stored.
pub struct Encoded<'a, A: Allocator> {
    head: ByteWriter<MAX_HEAD>,
    summary: &'a Summary<A>,
}

impl<A: Allocator + Copy> Summary<A> {
    /// Merges a summary straight from its stored form.
    #[inline]
    pub fn merge_stored(&mut self, stored: &View<'_>, allocator: A) -> Result<(), FeatureError> {
        self.figures.merge(&stored.figures)?;
        self.customers.merge_stored(stored.customers, allocator);
        Ok(())
    }

    #[inline]
    pub fn encoded(&self) -> Encoded<'_, A> {
        Encoded { head: write_head(&self.figures, self.customers.exact_count()), summary: self }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let encoded = self.encoded();
        let mut bytes = vec![0; encoded.length()];
        encoded.write(&mut bytes);
        bytes
    }
}

impl<A: Allocator + Copy> Encoded<'_, A> {
    #[inline]
    pub fn length(&self) -> usize {
        self.head.written().len() + self.summary.customers.stored_length()
    }

    /// Writes the stored form into a slice of exactly its length.
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        let (head, tail) = out.split_at_mut(self.head.written().len());
        head.copy_from_slice(self.head.written());
        self.summary.customers.write(tail);
    }
}

#[cold]
fn damaged(what: &str) -> FeatureError {
    FeatureError::Binary(format!("a sales summary is damaged: {what}"))
}

#[cold]
fn unknown_version(version: u8) -> FeatureError {
    FeatureError::Binary(format!(
        "a sales summary has version {version}, but this extension reads version {VERSION}"
    ))
}
