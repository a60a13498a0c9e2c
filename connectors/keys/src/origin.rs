//! The place of a value in a config file.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A config file as it was read. `Debug` omits the text, which may contain secrets.
pub struct ConfigFile {
    path: PathBuf,
    text: String,
}

impl ConfigFile {
    /// The file at `path` with its text.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// The path, as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// A place in a config file: the file as a whole (line 0), or a key with its value.
#[derive(Clone)]
pub struct Origin {
    file: Arc<ConfigFile>,
    /// The line of the key, from 1; 0 means the file as a whole.
    pub line: usize,
    /// The column of the key in characters, from 1; 0 means the file as a whole.
    pub column: usize,
    key: Range<usize>,
    value: Range<usize>,
}

impl Origin {
    /// The file as a whole, for problems without a line.
    pub fn file(file: Arc<ConfigFile>) -> Self {
        Self { file, line: 0, column: 0, key: 0..0, value: 0..0 }
    }

    /// A key and its value, as ranges of bytes in the file's text. An empty `value` stands for a place without one.
    pub fn new(file: Arc<ConfigFile>, key: Range<usize>, value: Range<usize>) -> Self {
        let before = file.text.get(..key.start).unwrap_or(&file.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before[line_start..].chars().count();
        Self { file, line, column, key, value }
    }

    /// The path of the file, as the user gave it.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The key as written; in a table, without the table's name.
    pub fn key_text(&self) -> &str {
        self.file.text.get(self.key.clone()).unwrap_or_default()
    }

    /// The value as written, with quotes. It may be a secret.
    pub fn value_text(&self) -> &str {
        self.file.text.get(self.value.clone()).unwrap_or_default()
    }
}

impl fmt::Display for Origin {
    /// `file:line:column`, or `file` alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        (self.path(), self.line, self.column) == (other.path(), other.line, other.column)
    }
}

/// The folder at which relative paths of a config start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseDir(Option<PathBuf>);

impl BaseDir {
    /// Paths start at `folder`; with `None` they stay as written.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// The path to open.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        match &self.0 {
            Some(folder) => folder.join(path),
            None => path.as_ref().to_path_buf(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let file = ConfigFile::new("a.toml", "é = 1\nkey = \"ü\"; x = 2\n");
        let start = file.text().find('x').unwrap();
        let origin = Origin::new(file.clone(), start..start + 1, start + 4..start + 5);
        assert_eq!(origin.to_string(), "a.toml:2:12");
        assert_eq!((origin.key_text(), origin.value_text()), ("x", "2"));
        assert_eq!(Origin::file(file).to_string(), "a.toml");
    }

    #[test]
    fn relative_paths_start_from_the_folder_and_absolute_ones_stay() {
        let base = BaseDir::new(Some("/etc/towpath".into()));
        assert_eq!(base.resolve("a.avsc"), PathBuf::from("/etc/towpath/a.avsc"));
        assert_eq!(base.resolve("/a.avsc"), PathBuf::from("/a.avsc"));
        assert_eq!(BaseDir::default().resolve("a.avsc"), PathBuf::from("a.avsc"));
    }
}
