//! Amounts: integers in hundredths, for every currency (reference, section 4.3).

use crate::{
    model::{Record, Value},
    world::view::View,
};

/// Values of `value_period`.
pub const PERIODS: &[&str] = &["one_time", "monthly", "annual"];

pub fn currency(view: &View<'_>) -> Value {
    view.field_of(Some(view.organization()), "currency")
}

pub fn period(opportunity: &Record) -> &str {
    opportunity.text("value_period").unwrap_or("one_time")
}

/// The value per year: twelve months of a monthly value, other values unchanged.
pub fn annualized(opportunity: &Record) -> Option<i64> {
    let times = if period(opportunity) == "monthly" { 12 } else { 1 };
    opportunity.int("value").map(|value| value.saturating_mul(times))
}

/// An amount weighted by the opportunity's confidence, to the nearest cent.
pub fn expected(opportunity: &Record, amount: Option<i64>) -> Option<i64> {
    let confidence = opportunity.int("confidence").unwrap_or(0);
    amount.map(|amount| (amount.saturating_mul(confidence) + 50).div_euclid(100))
}

/// `€1,250 monthly`, `$19.50`, `¥1,250`; null without a value.
pub fn formatted(view: &View<'_>, value: Option<i64>, period: &str) -> Value {
    let Some(value) = value else { return Value::Null };
    let currency = currency(view);
    let code = currency.as_text().unwrap_or("USD");
    let whole_only = matches!(code, "JPY" | "KRW" | "VND" | "CLP" | "ISK" | "UGX" | "XAF" | "XOF" | "PYG");
    let (units, cents) = if whole_only && !view.switches().zero_decimal_in_hundredths {
        (value.unsigned_abs(), 0)
    } else {
        (value.unsigned_abs() / 100, value.unsigned_abs() % 100)
    };
    let symbol = match code {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        "INR" => "₹".to_owned(),
        "AUD" => "A$".to_owned(),
        "CAD" => "CA$".to_owned(),
        other => format!("{other} "),
    };
    let mut text = String::new();
    if value < 0 {
        text.push('-');
    }
    text += &symbol;
    let digits = units.to_string();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if cents > 0 {
        text += &format!(".{cents:02}");
    }
    text += match period {
        "monthly" => " monthly",
        "annual" => " annually",
        _ => "",
    };
    text.into()
}
