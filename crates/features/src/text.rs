//! The text form of a summary: a JSON object that says everything and reads back exactly.

use crate::compensated::Sum;
use crate::customers::{StoredCustomers, STORED_REGISTERS};
use crate::stored::{View, VERSION};
use crate::summary::Figures;
use crate::FeatureError;
use serde::{Deserialize, Serialize};

/// No text form is longer: 384 customers, or a sketch, in hexadecimal digits, and white space.
pub const MAX_TEXT: usize = 65_536;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u8,
    transactions: u64,
    /// Each total as its high and its low part.
    #[serde(skip_serializing_if = "Option::is_none")]
    sales: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<[f64; 2]>,
    /// Lines whose discount is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    discounts: Option<u64>,
    /// First and last sale, in microseconds since 2000-01-01.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<[i64; 2]>,
    /// Hashes, as hexadecimal numbers, ascending.
    #[serde(skip_serializing_if = "Option::is_none")]
    customers: Option<Vec<String>>,
    /// 4096 registers of 6 bits, as hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sketch: Option<String>,
}

/// The version, which is read first, since another version may have other fields.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

impl View<'_> {
    pub fn to_text(&self) -> Result<String, FeatureError> {
        let figures = &self.figures;
        let parts = |known: bool, sum: &Sum| known.then(|| <[f64; 2]>::from(sum.parts()));
        let (customers, sketch) = match self.customers {
            hashes @ StoredCustomers::Hashes(_) => {
                (Some(hashes.hashes_ascending().map(|hash| format!("{hash:016x}")).collect()), None)
            }
            StoredCustomers::Registers(bytes) => {
                (None, Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
        };
        let text = Text {
            version: VERSION,
            transactions: figures.lines,
            sales: parts(figures.sales_known, &figures.sales),
            quantity: parts(figures.quantity_known, &figures.quantity),
            discount: parts(figures.discounts > 0, &figures.discount),
            discounts: (figures.discounts > 0).then_some(figures.discounts),
            period: figures.period().map(<[i64; 2]>::from),
            customers,
            sketch,
        };
        serde_json::to_string(&text).map_err(|error| FeatureError::Text(error.to_string()))
    }
}

/// Converts a text form into the stored form.
pub fn stored_form(text: &str) -> Result<Vec<u8>, FeatureError> {
    if text.len() > MAX_TEXT {
        return Err(malformed(format_args!("it is longer than {MAX_TEXT} bytes")));
    }
    let json_error = |error: serde_json::Error| malformed(format_args!("{error}"));
    let Version { version } = serde_json::from_str(text).map_err(json_error)?;
    if version != u64::from(VERSION) {
        return Err(malformed(format_args!("its version is {version}, not {VERSION}")));
    }
    let text: Text = serde_json::from_str(text).map_err(json_error)?;
    let bytes = match (&text.customers, &text.sketch) {
        (Some(hashes), None) => hash_bytes(hashes)?,
        (None, Some(sketch)) => hexadecimal(sketch, STORED_REGISTERS)?,
        _ => return Err(malformed(format_args!("it needs either customers or a sketch"))),
    };
    let customers = if text.sketch.is_some() {
        StoredCustomers::registers(&bytes)
    } else {
        StoredCustomers::hashes(&bytes)
    };
    let customers = customers.map_err(|error| malformed(format_args!("{error}")))?;
    let view = View { figures: figures(&text)?, customers };
    view.check().map_err(|error| FeatureError::Text(error.to_string()))?;
    Ok(view.to_bytes())
}

fn figures(text: &Text) -> Result<Figures, FeatureError> {
    let sum = |parts: Option<[f64; 2]>| match parts {
        None => Ok(Sum::ZERO),
        Some([hi, lo]) => Sum::from_parts(hi, lo)
            .ok_or_else(|| malformed(format_args!("a total is not a finite number with its rest"))),
    };
    let discounts = text.discounts.unwrap_or(0);
    if text.discount.is_some() != (discounts > 0) {
        return Err(malformed(format_args!("discount and discounts do not agree")));
    }
    let [first, last] = text.period.unwrap_or([Figures::NONE.first, Figures::NONE.last]);
    if text.period.is_some() && first > last {
        return Err(malformed(format_args!("its last sale is before its first")));
    }
    Ok(Figures {
        sales: sum(text.sales)?,
        quantity: sum(text.quantity)?,
        discount: sum(text.discount)?,
        lines: text.transactions,
        discounts,
        first,
        last,
        sales_known: text.sales.is_some(),
        quantity_known: text.quantity.is_some(),
    })
}

fn hash_bytes(hashes: &[String]) -> Result<Vec<u8>, FeatureError> {
    let mut bytes = Vec::with_capacity(hashes.len() * 8);
    for digits in hashes {
        let mut hash = hexadecimal(digits, 8)?;
        hash.reverse();
        bytes.append(&mut hash);
    }
    Ok(bytes)
}

fn hexadecimal(digits: &str, length: usize) -> Result<Vec<u8>, FeatureError> {
    let wrong = || malformed(format_args!("customers are {} hexadecimal digits", 2 * length));
    if digits.len() != 2 * length || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..length).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())).collect()
}

fn malformed(why: std::fmt::Arguments<'_>) -> FeatureError {
    FeatureError::Text(format!("invalid input syntax for type reco.sales_summary: {why}"))
}
