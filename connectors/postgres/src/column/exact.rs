//! Numbers as another type of number, without loss: a value that the other type does not hold exactly is refused.

use apache_avro::{BigDecimal, schema::Schema, types::Value};
use num_bigint::BigInt;

use super::{Unfit, not_null};

/// Maximum length of a number in a text: more than any that can be meant.
const MAX_NUMBER: usize = 20_000;
/// Maximum decimal digits of `numeric`, and the maximum zeros before the decimal point that a number may leave out.
const MAX_SCALE: i64 = 16_383;
/// Maximum bits of an unscaled number, about those of a `numeric` with all its decimal digits.
const MAX_BITS: u64 = 120_000;

/// A number as `numeric` holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Number {
    /// `unscaled × 10^-scale`
    Finite {
        unscaled: BigInt,
        scale: i64,
    },
    NaN,
    Infinity,
    MinusInfinity,
}

impl Number {
    fn new(unscaled: BigInt, scale: i64) -> Result<Self, Unfit> {
        if unscaled.bits() > MAX_BITS || !(-MAX_SCALE..=MAX_SCALE).contains(&scale) {
            return Err(Unfit::RANGE);
        }
        Ok(Self::Finite { unscaled, scale })
    }

    fn of_big(decimal: &BigDecimal) -> Result<Self, Unfit> {
        let (unscaled, scale) = decimal.as_bigint_and_exponent();
        Self::new(unscaled, scale)
    }

    /// The shortest decimal number that reads as this floating-point number; `text` has it.
    fn of_float(number: f64, text: &str) -> Result<Self, Unfit> {
        if number.is_finite() {
            return Self::of_big(&text.parse().map_err(|_| Unfit::RANGE)?);
        }
        Ok(match (number.is_nan(), number > 0.0) {
            (true, _) => Self::NaN,
            (false, true) => Self::Infinity,
            (false, false) => Self::MinusInfinity,
        })
    }

    fn of_text(text: &str) -> Result<Self, Unfit> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "nan" => return Ok(Self::NaN),
            "infinity" | "inf" | "+infinity" | "+inf" => return Ok(Self::Infinity),
            "-infinity" | "-inf" => return Ok(Self::MinusInfinity),
            _ => {}
        }
        if text.len() > MAX_NUMBER || text.contains('_') {
            return Err(Unfit::FORM);
        }
        Self::of_big(&text.parse().map_err(|_| Unfit::FORM)?)
    }

    /// The number in a value.
    ///
    /// # Errors
    /// The value is not a number, or has more digits than `numeric` holds.
    pub(super) fn of(value: &Value, schema: &Schema) -> Result<Self, Unfit> {
        match value {
            Value::Int(number) => Self::new((*number).into(), 0),
            Value::Long(number) => Self::new((*number).into(), 0),
            Value::Float(number) => Self::of_float(f64::from(*number), &format!("{number:e}")),
            Value::Double(number) => Self::of_float(*number, &format!("{number:e}")),
            Value::Decimal(decimal) => {
                let Schema::Decimal(ty) = not_null(schema) else { return Err(Unfit::RANGE) };
                Self::new(decimal.clone().into(), i64::try_from(ty.scale).map_err(|_| Unfit::RANGE)?)
            }
            Value::BigDecimal(decimal) => Self::of_big(decimal),
            Value::String(text) => Self::of_text(text),
            _ => Err(Unfit::RANGE),
        }
    }

    /// Without zeros at the end of its decimal digits.
    pub(super) fn shortest(self) -> Self {
        match self {
            Self::Finite { mut unscaled, mut scale } => {
                let ten = BigInt::from(10);
                if unscaled == BigInt::ZERO {
                    return Self::Finite { unscaled, scale: 0 };
                }
                while &unscaled % &ten == BigInt::ZERO {
                    unscaled /= &ten;
                    scale -= 1;
                }
                Self::Finite { unscaled, scale }
            }
            other => other,
        }
    }

    /// Requires a number of at most `precision` digits, `scale` of them decimal digits.
    pub(super) fn within(&self, precision: i32, scale: i32) -> Result<(), Unfit> {
        let Self::Finite { unscaled, scale: has } = self.clone().shortest() else {
            // A numeric with a precision holds NaN, and no infinity.
            return if *self == Self::NaN { Ok(()) } else { Err(Unfit::RANGE) };
        };
        if unscaled == BigInt::ZERO {
            return Ok(());
        }
        if has > i64::from(scale) {
            return Err(Unfit::DIGITS);
        }
        // The most digits that the unscaled number may have.
        let digits = i64::from(precision) - i64::from(scale) + has;
        let fits = |digits| unscaled.magnitude() < &num_bigint::BigUint::from(10_u32).pow(digits);
        if u32::try_from(digits).is_ok_and(fits) { Ok(()) } else { Err(Unfit::RANGE) }
    }
}

/// The integer in a value; true is 1.
///
/// # Errors
/// The value has decimal digits, or exceeds 64 bits.
pub(super) fn integer(value: &Value, schema: &Schema) -> Result<i64, Unfit> {
    match value {
        Value::Int(number) => Ok(i64::from(*number)),
        Value::Long(number) => Ok(*number),
        Value::Boolean(flag) => Ok(i64::from(*flag)),
        // Another spelling would be another text, and as a key another row.
        Value::String(text) => {
            let number: i64 = text.parse().map_err(|_| Unfit::FORM)?;
            if number.to_string() == *text { Ok(number) } else { Err(Unfit::FORM) }
        }
        _ => match Number::of(value, schema)?.shortest() {
            Number::Finite { scale, .. } if scale > 0 => Err(Unfit::DIGITS),
            Number::Finite { unscaled, scale } if scale > -19 => {
                let zeros = u32::try_from(-scale).map_err(|_| Unfit::RANGE)?;
                i64::try_from(unscaled * BigInt::from(10).pow(zeros)).map_err(|_| Unfit::RANGE)
            }
            _ => Err(Unfit::RANGE),
        },
    }
}

/// The number in a value as a double.
///
/// # Errors
/// The value is not a number, or not one that a double holds.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared with the exact number")]
pub(super) fn double(value: &Value) -> Result<f64, Unfit> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::Float(number) => Ok(f64::from(*number)),
        Value::Int(number) => Ok(f64::from(*number)),
        Value::Long(number) => {
            let double = *number as f64;
            if double as i128 == i128::from(*number) { Ok(double) } else { Err(Unfit::EXACT) }
        }
        Value::String(text) => {
            let double = text.trim().parse().map_err(|_| Unfit::FORM)?;
            if is_equal(&Value::Double(double), value) { Ok(double) } else { Err(Unfit::EXACT) }
        }
        _ => Err(Unfit::RANGE),
    }
}

/// As [`double`], in 32 bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared with the exact number")]
pub(super) fn single(value: &Value) -> Result<f32, Unfit> {
    let (single, is_same) = match value {
        Value::Float(number) => return Ok(*number),
        Value::Double(number) => {
            let single = *number as f32;
            (single, f64::from(single).to_bits() == number.to_bits() || number.is_nan())
        }
        Value::Int(number) => return single(&Value::Long(i64::from(*number))),
        Value::Long(number) => (*number as f32, *number as f32 as i128 == i128::from(*number)),
        Value::String(text) => {
            let single = text.trim().parse().map_err(|_| Unfit::FORM)?;
            (single, is_equal(&Value::Float(single), value))
        }
        _ => return Err(Unfit::RANGE),
    };
    if is_same { Ok(single) } else { Err(Unfit::EXACT) }
}

/// Returns true if two values, neither of them a decimal, are one number.
fn is_equal(a: &Value, b: &Value) -> bool {
    let of = |value| Number::of(value, &Schema::Null).map(Number::shortest);
    of(a).is_ok_and(|a| of(b) == Ok(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn a_number_fits_a_numeric_only_with_all_its_digits() {
        let within = |number: &str, precision, scale| {
            Number::of(&text(number), &Schema::String).and_then(|number| number.within(precision, scale))
        };
        for (number, precision, scale) in
            [("12300", 5, -2), ("9999900", 5, -2), ("0", 5, -2), ("1.50", 3, 1), ("-0.00099", 2, 5), ("nan", 3, 1)]
        {
            assert_eq!(within(number, precision, scale), Ok(()), "{number}");
        }
        for (number, precision, scale, why) in [
            ("12345", 5, -2, Unfit::DIGITS),
            ("10000000", 5, -2, Unfit::RANGE),
            ("1.55", 3, 1, Unfit::DIGITS),
            ("100", 3, 1, Unfit::RANGE),
            ("0.001", 2, 5, Unfit::RANGE),
            ("Infinity", 3, 1, Unfit::RANGE),
            ("ten", 3, 1, Unfit::FORM),
            ("1e99999", 3, 1, Unfit::RANGE),
        ] {
            assert_eq!(within(number, precision, scale), Err(why), "{number}");
        }
    }

    #[test]
    fn a_number_becomes_another_type_only_if_it_stays_the_same() {
        let of = |value: Value| integer(&value, &Schema::Double);
        assert_eq!(of(Value::Double(-3.0)), Ok(-3));
        assert_eq!(of(Value::Double(0.5)), Err(Unfit::DIGITS));
        assert_eq!(of(Value::Double(1e19)), Err(Unfit::RANGE));
        assert_eq!(of(Value::Boolean(true)), Ok(1));
        assert_eq!(of(text("1.0")), Err(Unfit::FORM));
        assert_eq!(double(&Value::Long(1 << 60)), Ok(1_152_921_504_606_846_976.0));
        assert_eq!(double(&Value::Long((1 << 53) + 1)), Err(Unfit::EXACT));
        assert_eq!(double(&text("0.10")), Ok(0.1));
        assert_eq!(double(&text("0.1000000000000000055")), Err(Unfit::EXACT));
        assert_eq!(single(&Value::Double(0.5)), Ok(0.5));
        assert_eq!(single(&Value::Double(0.1)), Err(Unfit::EXACT));
        assert_eq!(single(&text("0.1")), Ok(0.1));
        assert_eq!(single(&Value::Int(16_777_217)), Err(Unfit::EXACT));
        assert!(single(&Value::Double(f64::NAN)).is_ok_and(f32::is_nan));
    }
}
