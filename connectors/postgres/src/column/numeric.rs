//! Decimals in the binary format of `numeric`.

use bytes::{BufMut as _, BytesMut};
use num_bigint::BigInt;

use super::{Unfit, exact::Number};

/// Writes `unscaled × 10^-scale` in the format of `numeric_send`: counts, sign, scale, then digits in base 10,000.
pub(super) fn numeric(unscaled: &BigInt, scale: u32, out: &mut BytesMut) -> Result<(), Unfit> {
    let scale_field = u16::try_from(scale).ok().filter(|scale| *scale <= 16_383).ok_or(Unfit::RANGE)?;
    // The fraction is filled up to whole groups of four digits, so the decimal point is between two groups.
    let fraction_groups = scale.div_ceil(4);
    let filled = unscaled.magnitude() * num_bigint::BigUint::from(10_u32).pow(fraction_groups * 4 - scale);
    let mut groups: Vec<u16> = Vec::with_capacity(8);
    if let Ok(mut small) = u128::try_from(&filled) {
        while small > 0 {
            // A remainder is below 10,000.
            groups.push(u16::try_from(small % 10_000).map_err(|_| Unfit::RANGE)?);
            small /= 10_000;
        }
        groups.reverse();
    } else {
        let text = filled.to_string();
        let first = text.len() % 4;
        let (head, tail) = text.as_bytes().split_at(first);
        for group in (!head.is_empty()).then_some(head).into_iter().chain(tail.chunks(4)) {
            groups.push(group.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')));
        }
    }
    let weight = i64::try_from(groups.len()).map_err(|_| Unfit::RANGE)? - i64::from(fraction_groups) - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let negative = unscaled.sign() == num_bigint::Sign::Minus;
    out.put_u16(u16::try_from(groups.len()).map_err(|_| Unfit::RANGE)?);
    out.put_i16(if groups.is_empty() { 0 } else { i16::try_from(weight).map_err(|_| Unfit::RANGE)? });
    out.put_u16(if negative { 0x4000 } else { 0 });
    out.put_u16(scale_field);
    for group in groups {
        out.put_u16(group);
    }
    Ok(())
}

/// Writes NaN or an infinity. Servers before `PostgreSQL` 14 refuse the infinities.
pub(super) fn special(number: &Number, out: &mut BytesMut) -> Result<(), Unfit> {
    let sign = match number {
        Number::NaN => 0xC000,
        Number::Infinity => 0xD000,
        Number::MinusInfinity => 0xF000,
        Number::Finite { .. } => return Err(Unfit::RANGE),
    };
    for part in [0, 0, sign, 0] {
        out.put_u16(part);
    }
    Ok(())
}
