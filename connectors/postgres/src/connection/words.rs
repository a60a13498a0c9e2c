//! The text of `connection.url` as keywords of libpq: of a URL, of keywords and values, or of a URL of the JDBC driver.

use std::{borrow::Cow, collections::BTreeMap};

use percent_encoding::percent_decode_str;

/// Values by libpq's keyword. Of a keyword that is given twice, the last value holds, as in libpq.
pub(super) type Words = BTreeMap<String, String>;

/// Reads any of the forms; `None` for a text that has none of them.
pub(super) fn words(text: &str) -> Option<Words> {
    if let Some(rest) = text.strip_prefix("jdbc:postgresql:") {
        return of_jdbc(rest);
    }
    match ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => of_url(rest).map(|(mut words, parameters)| {
            words.extend(parameters);
            words
        }),
        None => of_keywords(text),
    }
}

/// Reads `user:password@host:port,host:port/database?name=value&name=value`: the first part as words, and the
/// parameters.
fn of_url(text: &str) -> Option<(Words, Vec<(String, String)>)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned);
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = base.split_once('/').unwrap_or((base, ""));
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let places = hosts.split(',').map(|place| match place.strip_prefix('[') {
        Some(address) => address.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or(port))),
        None => Some(place.split_once(':').unwrap_or((place, ""))),
    });
    let (hosts, ports): (Vec<&str>, Vec<&str>) = places.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    let mut words = Words::new();
    for (word, value) in
        [("user", user), ("password", password), ("host", &hosts.join(",")), ("port", &ports), ("dbname", database)]
    {
        if !value.is_empty() {
            words.insert(word.to_owned(), decoded(value)?);
        }
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    Some((words, pairs.collect::<Option<_>>()?))
}

/// Reads `host=db dbname='my base'`. In quotes and without them, a backslash precedes a character that is meant as it
/// is.
fn of_keywords(text: &str) -> Option<Words> {
    let mut words = Words::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (word, value) = rest.split_once('=')?;
        let (word, value) = (word.trim_end(), value.trim_start());
        if word.is_empty() || !word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return None;
        }
        let (value, left) = keyword_value(value)?;
        words.insert(word.to_owned(), value);
        rest = left.trim_start();
    }
    (!words.is_empty()).then_some(words)
}

/// The value at the beginning of a text, and the text after it.
fn keyword_value(text: &str) -> Option<(String, &str)> {
    let (text, is_quoted) = text.strip_prefix('\'').map_or((text, false), |text| (text, true));
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.push(letters.next()?.1),
            '\'' if is_quoted => return Some((value, &text[at + 1..])),
            _ if !is_quoted && letter.is_whitespace() => return Some((value, &text[at..])),
            _ => value.push(letter),
        }
    }
    (!is_quoted).then_some((value, ""))
}

/// Reads what follows `jdbc:postgresql:` (pgjdbc's manual, "Connecting to the Database"). Parameters that libpq lacks
/// keep their names, so they are refused by them.
fn of_jdbc(text: &str) -> Option<Words> {
    let with_host = match text.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => format!("localhost{rest}"),
        Some(rest) => rest.to_owned(),
        None => format!("localhost/{}", text.trim_start_matches('/')),
    };
    let (mut words, parameters) = of_url(&with_host)?;
    let mut options = Vec::new();
    for (name, value) in parameters {
        let is_true = ["true", ""].contains(&value.to_ascii_lowercase().as_str());
        let (word, value) = match name.as_str() {
            "ssl" if is_true => {
                words.entry("sslmode".to_owned()).or_insert_with(|| "verify-full".to_owned());
                continue;
            }
            "ssl" => continue,
            "currentSchema" => {
                options.push(format!("-c search_path={}", value.replace('\\', r"\\").replace(' ', r"\ ")));
                continue;
            }
            "options" => {
                options.push(value);
                continue;
            }
            "ApplicationName" => ("application_name", value),
            "connectTimeout" => ("connect_timeout", value),
            "tcpKeepAlive" => ("keepalives", u8::from(is_true).to_string()),
            "targetServerType" => ("target_session_attrs", value.replace("master", "primary")),
            "loadBalanceHosts" => ("load_balance_hosts", if is_true { "random" } else { "disable" }.to_owned()),
            "channelBinding" => ("channel_binding", value),
            "sslNegotiation" => ("sslnegotiation", value),
            "gssEncMode" => ("gssencmode", value),
            other => (other, value),
        };
        words.insert(word.to_owned(), value);
    }
    if !options.is_empty() {
        words.insert("options".to_owned(), options.join(" "));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let pairs = words(text).map(|words| words.into_iter().map(|(word, value)| format!("{word}={value}")));
        pairs.map_or_else(|| "nothing".to_owned(), |pairs| pairs.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn every_form_of_a_connection_becomes_the_same_words() {
        let plain = "dbname=base; host=db; password=p w; port=5433; sslmode=require; user=me";
        for text in [
            "postgres://me:p%20w@db:5433/base?sslmode=require",
            "postgresql://db:5433/base?user=me&password=p%20w&sslmode=require",
            "host=db port = 5433 dbname=base user=me password='p w' sslmode=require",
            r"user=me password=p\ w host=db port=5433 dbname=base sslmode=require",
            "jdbc:postgresql://db:5433/base?user=me&password=p%20w&sslmode=require",
        ] {
            assert_eq!(read(text), plain, "{text}");
        }
    }

    #[test]
    fn hosts_keep_their_ports_and_a_socket_is_a_host() {
        for (text, expected) in [
            ("postgres://a,b:1/x", "dbname=x; host=a,b; port=,1"),
            ("postgres://[::1]:2,[fe80::1]", "host=::1,fe80::1; port=2,"),
            ("postgres://%2Frun%2Fpg/x", "dbname=x; host=/run/pg"),
            ("postgres:///x?host=/run/pg", "dbname=x; host=/run/pg"),
            ("postgres://a/x?host=b", "dbname=x; host=b"),
            ("mysql://a/x", "nothing"),
            ("db", "nothing"),
            ("host='a", "nothing"),
            ("", "nothing"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn parameters_of_the_jdbc_driver_become_those_of_libpq() {
        for (text, expected) in [
            ("jdbc:postgresql:base", "dbname=base; host=localhost"),
            ("jdbc:postgresql:///base", "dbname=base; host=localhost"),
            ("jdbc:postgresql://db/", "host=db"),
            ("jdbc:postgresql://db/x?ssl=true", "dbname=x; host=db; sslmode=verify-full"),
            ("jdbc:postgresql://db/x?ssl=true&sslmode=require", "dbname=x; host=db; sslmode=require"),
            ("jdbc:postgresql://db/x?sslmode=require&ssl", "dbname=x; host=db; sslmode=require"),
            ("jdbc:postgresql://db/x?ssl=false", "dbname=x; host=db"),
            (
                "jdbc:postgresql://db/x?currentSchema=app,public&options=-c%20a%3Db",
                "dbname=x; host=db; options=-c search_path=app,public -c a=b",
            ),
            (
                "jdbc:postgresql://a,b/x?targetServerType=master&loadBalanceHosts=true&tcpKeepAlive=false",
                "dbname=x; host=a,b; keepalives=0; load_balance_hosts=random; target_session_attrs=primary",
            ),
            ("jdbc:postgresql://db/x?prepareThreshold=0", "dbname=x; host=db; prepareThreshold=0"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
