//! Decimal numbers as PostgreSQL's type numeric sends and receives them: digits of base 10,000, the weight of the first, a
//! sign, and how many decimal digits follow the point.

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;
const BASE: u128 = 10_000;
/// Decimal digits in a digit of base 10,000.
const WIDTH: usize = 4;

/// Appends a field: the number `value / 10^scale`.
pub fn put_decimal(value: i128, scale: u8, out: &mut Vec<u8>) {
    let scale = usize::from(scale);
    let missing = (WIDTH - scale % WIDTH) % WIDTH;
    let Some(mut rest) = value.unsigned_abs().checked_mul(10_u128.pow(missing as u32)) else {
        return put_digits(value < 0, &value.unsigned_abs().to_string(), scale, out);
    };
    let fraction = (scale + missing) / WIDTH;
    // 39 decimal digits at most.
    let mut digits = [0_i16; 11];
    let mut count = 0;
    while rest > 0 {
        digits[count] = (rest % BASE) as i16;
        rest /= BASE;
        count += 1;
    }
    let weight = count as i32 - fraction as i32 - 1;
    let last = digits[..count].iter().take_while(|digit| **digit == 0).count();
    let sign = if value < 0 { NEGATIVE } else { 0 };
    put(digits[last..count].iter().rev().copied(), weight as i16, sign, scale as u16, out);
}

/// Appends a field: digits, of which `scale` follow the point.
fn put_digits(negative: bool, digits: &str, scale: usize, out: &mut Vec<u8>) {
    let mut padded = String::new();
    let whole = digits.len().saturating_sub(scale);
    padded.extend(std::iter::repeat_n('0', (WIDTH - whole % WIDTH) % WIDTH));
    padded.push_str(&digits[..whole]);
    let groups = padded.len() / WIDTH;
    padded.extend(std::iter::repeat_n('0', scale.saturating_sub(digits.len())));
    padded.push_str(&digits[whole..]);
    padded.extend(std::iter::repeat_n('0', (WIDTH - padded.len() % WIDTH) % WIDTH));
    let value = |group: &[u8]| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    let all: Vec<i16> = padded.as_bytes().chunks(WIDTH).map(value).collect();
    let first = all.iter().take_while(|digit| **digit == 0).count();
    let end = all.iter().rposition(|digit| *digit != 0).map_or(first, |last| last + 1);
    let weight = groups as i32 - 1 - first as i32;
    let sign = if negative { NEGATIVE } else { 0 };
    put(all[first.min(end)..end].iter().copied(), weight as i16, sign, scale as u16, out);
}

/// Appends a field: a number written in decimal digits, such as `-12.50`, or with an exponent; `None` if it is none that
/// numeric holds.
pub fn put_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    const MOST_SCALE: i64 = 16_383;
    const MOST_DIGITS: usize = 131_072;
    let (negative, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (number, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = (fraction.len() as i64).checked_sub(exponent.parse().ok()?)?;
    if scale < 0 {
        let more = usize::try_from(-scale).ok().filter(|more| digits.len() + more <= MOST_DIGITS)?;
        digits.extend(std::iter::repeat_n('0', more));
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > MOST_DIGITS || scale > MOST_SCALE {
        return None;
    }
    put_digits(negative && !digits.is_empty(), digits, scale.max(0) as usize, out);
    Some(())
}

/// Appends a field: a double, with the fewest digits that tell it from any other.
pub fn put_double(value: f64, shortest: &str, out: &mut Vec<u8>) -> Option<()> {
    if value.is_finite() {
        return put_text(shortest, out);
    }
    let sign = match value {
        _ if value.is_nan() => NAN,
        _ if value > 0.0 => INFINITY,
        _ => MINUS_INFINITY,
    };
    put(std::iter::empty(), 0, sign, 0, out);
    Some(())
}

fn put(digits: impl ExactSizeIterator<Item = i16>, weight: i16, sign: u16, scale: u16, out: &mut Vec<u8>) {
    let count = digits.len();
    let weight = if count == 0 { 0 } else { weight };
    let sign = if count == 0 && sign == NEGATIVE { 0 } else { sign };
    out.extend_from_slice(&(8 + 2 * count as i32).to_be_bytes());
    out.extend_from_slice(&(count as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    digits.for_each(|digit| out.extend_from_slice(&digit.to_be_bytes()));
}

/// The number of a field, times `10^scale`; `None` if it is not finite, or has more digits than fit.
pub fn read_decimal(field: &[u8], scale: u8) -> Option<i128> {
    let (head, digits) = field.split_at_checked(8)?;
    let part = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign) = (part(0), part(2), part(4) as u16);
    if !matches!(sign, 0 | NEGATIVE) || digits.len() != 2 * usize::try_from(count).ok()? {
        return None;
    }
    let mut value = 0_i128;
    for (n, digit) in digits.chunks_exact(2).enumerate() {
        let digit = i128::from(i16::from_be_bytes([digit[0], digit[1]]));
        let exponent = i32::from(scale) + (i32::from(weight) - n as i32) * WIDTH as i32;
        let term = match u32::try_from(exponent) {
            Ok(exponent) => 10_i128.checked_pow(exponent)?.checked_mul(digit)?,
            // The rest of a last digit that reaches beyond the scale is zero, because the type has that scale.
            Err(_) => digit / 10_i128.checked_pow(exponent.unsigned_abs())?,
        };
        value = value.checked_add(term)?;
    }
    Some(if sign == NEGATIVE { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(value: i128, scale: u8) -> Vec<u8> {
        let mut out = Vec::new();
        put_decimal(value, scale, &mut out);
        out
    }

    fn text(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(text, &mut out).unwrap();
        out
    }

    #[test]
    fn decimals_read_back_the_same() {
        for scale in 0..=38 {
            for value in [
                0,
                1,
                -1,
                9_999,
                10_000,
                123_456_789,
                -100_000_000,
                i128::from(i64::MAX),
                10_i128.pow(38) - 1,
            ] {
                let field = decimal(value, scale);
                assert_eq!(field.len(), 4 + i32::from_be_bytes(field[..4].try_into().unwrap()) as usize);
                assert_eq!(read_decimal(&field[4..], scale), Some(value), "{value} {scale}");
            }
        }
    }

    #[test]
    fn a_text_is_the_same_field_as_the_decimal() {
        for (words, value, scale) in [
            ("12.50", 1250, 2),
            ("-0.00012", -12, 5),
            ("10000", 10_000, 0),
            ("1e3", 1000, 0),
            ("1.5e-3", 15, 4),
            ("0", 0, 0),
            ("-0.0", 0, 1),
            ("123456789.123456789", 123_456_789_123_456_789, 9),
        ] {
            assert_eq!(text(words), decimal(value, scale), "{words}");
        }
        for wrong in ["", "-", "1.2.3", "abc", "1e", "1e999999"] {
            assert!(put_text(wrong, &mut Vec::new()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_known_of_a_field_is_what_postgresql_sends() {
        // 12345.678: three digits 1, 2345, 6780, weight 1, scale 3.
        assert_eq!(text("12345.678")[4..], [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 9, 41, 26, 124]);
        let mut out = Vec::new();
        put_double(f64::NAN, "", &mut out).unwrap();
        assert_eq!(out[4..], [0, 0, 0, 0, 0xC0, 0, 0, 0]);
        assert_eq!(read_decimal(&out[4..], 2), None);
    }
}
