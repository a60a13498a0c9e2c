//! References inside values: `${env:NAME}`, `${env:NAME:-default}`, `${env:NAME:?message}`, `${file:/path}`,
//! `${file:/path:key}`.
//!
//! Text in `${…}` without a colon, such as `${topic}`, is not a reference and stays. As in a shell, `:-`
//! and `:?` also apply to a variable that is set but empty. A file without a key is its content without the line end;
//! with a key it is read as lines `key=value`. Relative paths start at the config's folder.

use std::fs;

use super::{BaseDir, Scalar};

/// The sources of references.
#[derive(Clone, Copy)]
pub(super) struct Resolver<'a> {
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) base_dir: &'a BaseDir,
}

/// A reference in a text.
struct Reference<'a> {
    provider: &'a str,
    rest: &'a str,
}

impl Resolver<'_> {
    /// The value with all references resolved, also in lists. The error has the text of the reference, never a value.
    pub(super) fn scalar(self, value: &Scalar) -> Result<Scalar, String> {
        Ok(match value {
            Scalar::String(text) => Scalar::String(self.text(text)?),
            Scalar::List(items) => Scalar::List(items.iter().map(|item| self.scalar(item)).collect::<Result<_, _>>()?),
            other => other.clone(),
        })
    }

    fn text(self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, reference, after)) = next_reference(rest)? {
            out.push_str(before);
            out.push_str(&self.value(&reference)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(self, reference: &Reference<'_>) -> Result<String, String> {
        match reference.provider {
            "env" => self.variable(reference.rest),
            "file" => self.file(reference.rest),
            other => Err(format!("`${{{other}:…}}` has no provider; known: `${{env:…}}`, `${{file:…}}`")),
        }
    }

    fn variable(self, rest: &str) -> Result<String, String> {
        let (name, otherwise) = rest.split_once(':').map_or((rest, None), |(name, rest)| (name, Some(rest)));
        let value = (self.env)(name);
        let set = value.clone().filter(|value| !value.is_empty());
        match otherwise.map(|text| text.split_at_checked(1)) {
            None => value.ok_or_else(|| format!("`${{env:{name}}}`: the environment variable `{name}` is not set")),
            Some(Some(("-", default))) => Ok(set.unwrap_or_else(|| default.to_owned())),
            Some(Some(("?", message))) => set.ok_or_else(|| format!("`${{env:{name}}}`: {message}")),
            Some(_) => {
                Err(format!("`${{env:{name}:…}}`: after the name comes `:-` and a default, or `:?` and a message"))
            }
        }
    }

    fn file(self, rest: &str) -> Result<String, String> {
        let (path, key) = rest.rsplit_once(':').map_or((rest, None), |(path, key)| (path, Some(key)));
        let content = fs::read_to_string(self.base_dir.resolve(path))
            .map_err(|error| format!("`${{file:{rest}}}`: cannot read the file: {error}"))?;
        match key {
            None => Ok(content.trim_end_matches(['\r', '\n']).to_owned()),
            Some(key) => {
                property(&content, key).ok_or_else(|| format!("`${{file:{rest}}}`: the file has no key `{key}`"))
            }
        }
    }
}

/// The text before the first reference, the reference, and the text after it.
fn next_reference(text: &str) -> Result<Option<(&str, Reference<'_>, &str)>, String> {
    for (start, _) in text.match_indices("${") {
        let inside = &text[start + 2..];
        let name_end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        let Some((provider, rest)) = name_end.filter(|end| *end > 0).map(|end| inside.split_at(end)) else { continue };
        let Some(rest) = rest.strip_prefix(':') else { continue };
        let Some((rest, after)) = rest.split_once('}') else {
            return Err(format!("`${{{provider}:` is not closed with `}}`"));
        };
        return Ok(Some((&text[..start], Reference { provider, rest }, after)));
    }
    Ok(None)
}

/// The reference without its default, if the value is exactly one reference.
pub(super) fn shown(value: &Scalar) -> Option<String> {
    let Scalar::String(text) = value else { return None };
    match next_reference(text) {
        Ok(Some(("", Reference { provider: "env", rest }, ""))) => {
            Some(format!("${{env:{}}}", rest.split(':').next().unwrap_or_default()))
        }
        Ok(Some(("", Reference { provider, rest }, ""))) => Some(format!("${{{provider}:{rest}}}")),
        _ => None,
    }
}

/// The value of `key` in lines `key=value` or `key: value`. Lines that start with `#` or `!` are comments.
fn property(content: &str, key: &str) -> Option<String> {
    content.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!'])).find_map(|line| {
        let (name, value) = line.split_once(['=', ':'])?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "USER" => Some("ann".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let folder = BaseDir::new(Some(std::env::temp_dir()));
        Resolver { env: &env, base_dir: &folder }.text(text)
    }

    #[test]
    fn a_variable_is_replaced_within_longer_text() {
        assert_eq!(resolve("a ${env:USER} and ${env:USER}!").unwrap(), "a ann and ann!");
        assert_eq!(resolve("${env:NONE:-fall: back}${env:EMPTY:-}${env:EMPTY}").unwrap(), "fall: back");
    }

    #[test]
    fn text_other_than_references_stays() {
        for text in ["${topic}", "$", "${", "a}b", "${:x}", "$env:USER", "${to pic:x}"] {
            assert_eq!(resolve(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_unresolved_reference_is_named() {
        let said = |text| resolve(text).unwrap_err();
        assert!(said("${env:NONE}").contains("variable `NONE` is not set"));
        assert_eq!(said("${env:EMPTY:?set it in .env}"), "`${env:EMPTY}`: set it in .env");
        assert!(said("${env:USER:x}").contains("`:-`"));
        assert!(said("${env:USER").contains("not closed"));
        assert!(said("${vault:a/b}").contains("no provider"));
        assert!(said("${file:/nowhere/at/all}").contains("cannot read the file"));
    }

    #[test]
    fn a_file_gives_its_content_or_one_of_its_keys() {
        let name = format!("towpath-reference-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        fs::write(&path, "# user=nobody\nuser = ann\npassword=a=b\n").unwrap();
        assert_eq!(resolve(&format!("${{file:{name}:password}}")).unwrap(), "a=b");
        assert_eq!(resolve(&format!("${{file:{}:user}}", path.display())).unwrap(), "ann");
        assert!(resolve(&format!("${{file:{name}:pin}}")).unwrap_err().contains("no key `pin`"));
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(resolve(&format!("${{file:{name}}}")).unwrap(), "s3cret");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_reference_is_shown_without_its_default() {
        let shown = |text: &str| shown(&Scalar::String(text.to_owned()));
        assert_eq!(shown("${env:A:-canary}").as_deref(), Some("${env:A}"));
        assert_eq!(shown("${file:/a:b}").as_deref(), Some("${file:/a:b}"));
        assert_eq!(shown("canary${env:A}"), None);
        assert_eq!(shown("canary"), None);
    }
}
