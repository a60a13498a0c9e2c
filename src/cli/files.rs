//! Reads all config files and collects every problem before anything is started.

use std::{collections::HashMap, path::Path};

use towpath_keys::{Flat, KeyDefinition, Keys as _, Origin, Problem, codes, read};

use crate::{
    config::{WorkerConfig, load, render, render_warnings},
    plugin::ConnectorDefinition,
};

/// A file that was read.
#[derive(Debug)]
pub(super) enum ConfigFile {
    Worker(Box<WorkerConfig>),
    Connector(Box<ConnectorDefinition>),
}

/// The files that were read, with all their problems.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The files without problems, in the given order.
    pub(super) read: Vec<ConfigFile>,
    /// Problems, which keep the worker from starting.
    pub(super) problems: Vec<Problem>,
    /// Settings that work but are probably a mistake.
    pub(super) warnings: Vec<Problem>,
    names: HashMap<String, Option<Origin>>,
}

impl Files {
    /// Reads the worker's own file.
    pub(super) fn worker(&mut self, path: &Path) {
        self.file(path, |flat| {
            read::<WorkerConfig>(flat).map(|(config, warnings)| (ConfigFile::Worker(Box::new(config)), warnings))
        });
    }

    /// Reads a connector's file. Two connectors of one name are a problem.
    pub(super) fn connector(&mut self, path: &Path) {
        let mut name = None;
        self.file(path, |flat| {
            name = flat.entries().iter().find(|entry| entry.key == "name").and_then(|entry| entry.origin.clone());
            let (definition, warnings) = ConnectorDefinition::read(flat)?;
            Ok((ConfigFile::Connector(Box::new(definition)), warnings))
        });
        self.same_name(name);
    }

    /// Reads a file of a worker or of a connector, recognized by its keys.
    pub(super) fn any(&mut self, path: &Path) {
        // Loaded again by its reader, so a file that cannot be read is reported once.
        match load(path) {
            Ok(flat) if is_worker(&flat) => self.worker(path),
            _ => self.connector(path),
        }
    }

    fn file(&mut self, path: &Path, read: impl FnOnce(&Flat) -> Result<(ConfigFile, Vec<Problem>), Vec<Problem>>) {
        match load(path).and_then(|flat| read(&flat)) {
            Ok((file, warnings)) => {
                self.read.push(file);
                self.warnings.extend(warnings);
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// Refuses the connector that was read last if an earlier one has the same name. `origin` is the place of the name.
    fn same_name(&mut self, origin: Option<Origin>) {
        let Some(ConfigFile::Connector(last)) = self.read.last() else { return };
        let name = last.common.name.clone();
        match self.names.get(&name) {
            // The last file is an earlier one if the current one was refused.
            Some(earlier) if *earlier == origin => {}
            Some(earlier) => {
                let place = earlier.as_ref().map(|origin| format!(", first in {origin}")).unwrap_or_default();
                let message = format!("`name`: another connector is called `{name}`{place}");
                self.problems.push(Problem::new(codes::INVALID_VALUE, "name", message).at(origin));
            }
            None => {
                self.names.insert(name, origin);
            }
        }
    }
}

impl Files {
    /// The config of the worker and of the connectors. Prints warnings, and the problems if there are any.
    pub(super) fn into_configs(self) -> Option<(WorkerConfig, Vec<ConnectorDefinition>)> {
        eprint!("{}", render_warnings(&self.warnings));
        if !self.problems.is_empty() {
            eprint!("{}", render(&self.problems));
            return None;
        }
        let mut worker = None;
        let mut connectors = Vec::new();
        for file in self.read {
            match file {
                ConfigFile::Worker(config) => worker = Some(*config),
                ConfigFile::Connector(definition) => connectors.push(*definition),
            }
        }
        Some((worker?, connectors))
    }
}

/// A file with a class is a connector's; any other file with a key of the worker is the worker's.
fn is_worker(flat: &Flat) -> bool {
    let has = |key: &str| flat.get(key).is_some();
    let of_worker = |definition: &KeyDefinition| has(&definition.key);
    !has("connector.class") && WorkerConfig::definitions().iter().any(of_worker)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const WORKER: &str = "bootstrap.servers = \"b:9092\"\nschema.registry.url = \"http://r\"\n";
    const SINK: &str = "connector.class = \"PostgresSink\"\nconnection.url = \"postgres://h/d\"\ntopics = [\"a\"]\n";

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_file_is_recognized_by_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        files.any(&file(&folder, "a.toml", WORKER));
        files.any(&file(&folder, "b.toml", &format!("name = \"pg\"\n{SINK}")));
        assert!(files.problems.is_empty(), "{:?}", files.problems);
        assert!(matches!(files.read.as_slice(), [ConfigFile::Worker(_), ConfigFile::Connector(_)]));
    }

    #[test]
    fn the_problems_of_all_files_are_collected() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        files.worker(&file(&folder, "worker.toml", "bootstrap.servers = \"b:9092\"\n"));
        files.connector(&file(&folder, "pg.toml", &format!("nmae = \"pg\"\n{SINK}")));
        files.connector(&folder.path().join("none.toml"));
        let codes: Vec<_> = files.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["config.missing_key", "config.unknown_key", "config.missing_key", "config.syntax"]);
        assert!(files.read.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_problem() {
        let mut files = Files::default();
        files.any(Path::new("/nowhere/at/all.toml"));
        assert_eq!(files.problems.len(), 1);
    }

    #[test]
    fn two_connectors_with_the_same_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let text = format!("name = \"pg\"\n{SINK}");
        files.connector(&file(&folder, "one.toml", &text));
        files.connector(&file(&folder, "bad.toml", "name = \"x\"\n"));
        let before = files.problems.len();
        files.connector(&file(&folder, "two.toml", &text));
        assert_eq!(files.problems.len(), before + 1);
        let last = files.problems.last().unwrap();
        assert!(last.message.contains("another connector is called `pg`, first in "), "{last}");
        assert!(last.origin.as_ref().unwrap().to_string().ends_with("two.toml:1:1"));
    }
}
