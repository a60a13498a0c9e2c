//! Countries by calling code and by ISO code, with the time zones that Close derives from a number or an address.

/// A country. A country with several zones has the zone of most of its people; [`us_zone`] is more precise for
/// addresses in the United States.
pub struct Country {
    /// Two capital letters.
    pub iso: &'static str,
    /// Digits after the plus.
    pub code: &'static str,
    /// Name in the tz database.
    pub zone: &'static str,
}

macro_rules! countries {
    ($($iso:literal $code:literal $zone:literal)*) => {
        &[$(Country { iso: $iso, code: $code, zone: $zone },)*]
    };
}

/// The first country in the table represents a shared calling code.
const COUNTRIES: &[Country] = countries! {
    "US" "1" "America/New_York"
    "CA" "1" "America/Toronto"
    "RU" "7" "Europe/Moscow"
    "KZ" "7" "Asia/Almaty"
    "EG" "20" "Africa/Cairo"
    "ZA" "27" "Africa/Johannesburg"
    "GR" "30" "Europe/Athens"
    "NL" "31" "Europe/Amsterdam"
    "BE" "32" "Europe/Brussels"
    "FR" "33" "Europe/Paris"
    "ES" "34" "Europe/Madrid"
    "HU" "36" "Europe/Budapest"
    "IT" "39" "Europe/Rome"
    "RO" "40" "Europe/Bucharest"
    "CH" "41" "Europe/Zurich"
    "AT" "43" "Europe/Vienna"
    "GB" "44" "Europe/London"
    "DK" "45" "Europe/Copenhagen"
    "SE" "46" "Europe/Stockholm"
    "NO" "47" "Europe/Oslo"
    "PL" "48" "Europe/Warsaw"
    "DE" "49" "Europe/Berlin"
    "PE" "51" "America/Lima"
    "MX" "52" "America/Mexico_City"
    "AR" "54" "America/Argentina/Buenos_Aires"
    "BR" "55" "America/Sao_Paulo"
    "CL" "56" "America/Santiago"
    "CO" "57" "America/Bogota"
    "MY" "60" "Asia/Kuala_Lumpur"
    "AU" "61" "Australia/Sydney"
    "ID" "62" "Asia/Jakarta"
    "PH" "63" "Asia/Manila"
    "NZ" "64" "Pacific/Auckland"
    "SG" "65" "Asia/Singapore"
    "TH" "66" "Asia/Bangkok"
    "JP" "81" "Asia/Tokyo"
    "KR" "82" "Asia/Seoul"
    "VN" "84" "Asia/Ho_Chi_Minh"
    "CN" "86" "Asia/Shanghai"
    "TR" "90" "Europe/Istanbul"
    "IN" "91" "Asia/Kolkata"
    "PK" "92" "Asia/Karachi"
    "MA" "212" "Africa/Casablanca"
    "NG" "234" "Africa/Lagos"
    "KE" "254" "Africa/Nairobi"
    "PT" "351" "Europe/Lisbon"
    "LU" "352" "Europe/Luxembourg"
    "IE" "353" "Europe/Dublin"
    "IS" "354" "Atlantic/Reykjavik"
    "FI" "358" "Europe/Helsinki"
    "BG" "359" "Europe/Sofia"
    "LT" "370" "Europe/Vilnius"
    "LV" "371" "Europe/Riga"
    "EE" "372" "Europe/Tallinn"
    "UA" "380" "Europe/Kyiv"
    "HR" "385" "Europe/Zagreb"
    "SI" "386" "Europe/Ljubljana"
    "CZ" "420" "Europe/Prague"
    "SK" "421" "Europe/Bratislava"
    "CR" "506" "America/Costa_Rica"
    "HK" "852" "Asia/Hong_Kong"
    "TW" "886" "Asia/Taipei"
    "AE" "971" "Asia/Dubai"
    "IL" "972" "Asia/Jerusalem"
};

/// The country of a number without its plus.
pub fn of_number(digits: &str) -> Option<&'static Country> {
    (1..=3).rev().find_map(|len| {
        let code = digits.get(..len)?;
        COUNTRIES.iter().find(|country| country.code == code)
    })
}

pub fn of_iso(iso: &str) -> Option<&'static Country> {
    COUNTRIES.iter().find(|country| country.iso.eq_ignore_ascii_case(iso))
}

/// The time zone of most of a state of the United States, by its postal abbreviation.
pub fn us_zone(state: &str) -> Option<&'static str> {
    let within = |states: &str| states.split(' ').any(|known| known.eq_ignore_ascii_case(state));
    [
        ("CT DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV DC", "America/New_York"),
        ("AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI", "America/Chicago"),
        ("CO ID MT NM UT WY", "America/Denver"),
        ("AZ", "America/Phoenix"),
        ("CA NV OR WA", "America/Los_Angeles"),
        ("AK", "America/Anchorage"),
        ("HI", "Pacific/Honolulu"),
    ]
    .into_iter()
    .find_map(|(states, zone)| within(states).then_some(zone))
}
