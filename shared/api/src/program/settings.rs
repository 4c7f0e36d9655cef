//! Configuration from three places: a flag beats the environment, which beats the file. All
//! mistakes are found before any is reported.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{
    Failure, file,
    log::{self, Form},
};

/// What a person calls the variables of a process.
const ENVIRONMENT: &str = "environment";
/// What a person calls `ridgeway.toml`.
const FILE: &str = "file";

/// What a place says: a name, and one or more values.
pub type Said = BTreeMap<String, Vec<String>>;

/// One setting that a program has.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the file; the flag has `-` for `_`, the variable is `RIDGEWAY_` and capitals.
    pub name: &'static str,
    /// What its value must look like, with an example.
    pub form: &'static str,
}

/// Reads settings, and collects what is wrong with them.
#[derive(Debug)]
pub struct Settings {
    /// The places, the strongest first, each with what a person calls it.
    places: [(&'static str, Said); 3],
    /// Where the file lies: a relative path in it leads on from there.
    folder: PathBuf,
    mistakes: Vec<String>,
}

impl Settings {
    /// What the flags, this process's environment and the file in the folder `data` say.
    ///
    /// # Errors
    /// When there is a file and it is no configuration.
    pub fn read(data: &Path, known: &[Setting], flags: Said) -> Result<Settings, Failure> {
        let (said, mistakes) = file::read(data)?;
        let mut settings = Settings::new(known, flags, |name| std::env::var(name).ok(), said);
        settings.mistakes.extend(mistakes);
        settings.folder = data.to_owned();
        Ok(settings)
    }

    /// What the flags, the environment and the file say. `variable` looks one up.
    pub fn new(
        known: &[Setting],
        flags: Said,
        variable: impl Fn(&str) -> Option<String>,
        file: Said,
    ) -> Settings {
        let named = |name: &String| known.iter().any(|setting| setting.name == name.as_str());
        let mut mistakes = Vec::new();
        for name in file.keys().filter(|name| !named(name)) {
            let names: Vec<&str> = known.iter().map(|setting| setting.name).collect();
            let names = names.join(", ");
            mistakes.push(format!("the file has `{name}`, which is none of {names}"));
        }
        let environment = known.iter().filter_map(|setting| {
            let value = variable(&variable_name(setting.name))?;
            Some((setting.name.to_owned(), vec![value]))
        });
        let environment = environment.collect();
        Settings {
            places: [("flag", flags), (ENVIRONMENT, environment), (FILE, file)],
            folder: PathBuf::new(),
            mistakes,
        }
    }

    /// A setting that has one value; none when nobody says it, or what is said is wrong.
    pub fn one<T: FromStr>(&mut self, setting: Setting) -> Option<T> {
        let (place, values) = self.said(setting)?;
        let value = match values.as_slice() {
            [value] => value.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.wrong(setting, place);
        }
        value
    }

    /// A path; in the file a relative one leads on from the file's own folder, and elsewhere from
    /// where the command was given.
    pub fn path(&mut self, setting: Setting) -> Option<PathBuf> {
        let in_file = self.said(setting).is_some_and(|(place, _)| place == FILE);
        let path: PathBuf = self.one(setting)?;
        Some(if in_file {
            self.folder.join(path)
        } else {
            path
        })
    }

    /// A setting that may have several values; empty when nobody says it.
    pub fn many<T: FromStr>(&mut self, setting: Setting) -> Vec<T> {
        let Some((place, mut values)) = self.said(setting) else {
            return Vec::new();
        };
        if place == ENVIRONMENT {
            values = listed(&values);
        }
        let read: Result<Vec<T>, _> = values.iter().map(|value| value.parse()).collect();
        read.unwrap_or_else(|_| {
            self.wrong(setting, place);
            Vec::new()
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Everything that was wrong.
    pub fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() {
            Ok(())
        } else {
            Err(Mistakes(self.mistakes))
        }
    }

    fn said(&self, setting: Setting) -> Option<(&'static str, Vec<String>)> {
        self.places.iter().find_map(|(place, said)| {
            let values = said.get(setting.name)?;
            Some((*place, values.clone()))
        })
    }

    fn wrong(&mut self, setting: Setting, place: &'static str) {
        let Setting { name, form } = setting;
        let name = match place {
            "flag" => format!("--{}", name.replace('_', "-")),
            ENVIRONMENT => variable_name(name),
            _ => format!("`{name}` in the file"),
        };
        self.mistakes.push(format!("{name} must be {form}"));
    }
}

/// The values of a setting that may have several: a variable lists them with commas.
fn listed(values: &[String]) -> Vec<String> {
    let parts = values.iter().flat_map(|value| value.split(','));
    let named = parts.map(str::trim).filter(|value| !value.is_empty());
    named.map(str::to_owned).collect()
}

fn variable_name(name: &str) -> String {
    format!("RIDGEWAY_{}", name.to_ascii_uppercase())
}

/// Everything that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0
            .iter()
            .try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Where a peer is reached: `host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(pub String);

impl FromStr for Address {
    type Err = ();
    fn from_str(text: &str) -> Result<Address, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port: u16 = port.parse().map_err(|_| ())?;
        if host.is_empty() || port == 0 {
            Err(())
        } else {
            Ok(Address(text.to_owned()))
        }
    }
}

/// A filter of the log.
struct Filter(String);

impl FromStr for Filter {
    type Err = ();
    fn from_str(text: &str) -> Result<Filter, ()> {
        if log::is_filter(text) {
            Ok(Filter(text.to_owned()))
        } else {
            Err(())
        }
    }
}

const HOSTS: Setting = Setting {
    name: "hosts",
    form: "names without ports, as centre.example.org",
};
const KEY: Setting = Setting {
    name: "key",
    form: "the path of a key file",
};
const LOG: Setting = Setting {
    name: "log",
    form: "text or json",
};
const LOG_FILTER: Setting = Setting {
    name: "log_filter",
    form: "a filter, as info,ridgeway_runtime=debug",
};

/// What is configured alike for every node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct General {
    /// Names by which the HTTP surface may be asked, besides this machine's.
    pub hosts: Vec<String>,
    /// The key file, if it is not the usual one.
    pub key: Option<PathBuf>,
    /// The form of the log.
    pub log: Form,
    /// What is logged, if it was said.
    pub log_filter: Option<String>,
}

impl General {
    /// The settings that make it.
    pub const SETTINGS: [Setting; 4] = [HOSTS, KEY, LOG, LOG_FILTER];

    /// Takes it from what was said.
    pub fn of(settings: &mut Settings) -> General {
        General {
            hosts: settings.many(HOSTS),
            key: settings.path(KEY),
            log: settings.one(LOG).unwrap_or_default(),
            log_filter: settings.one(LOG_FILTER).map(|Filter(text)| text),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const HTTP: Setting = Setting {
        name: "http",
        form: "an address",
    };
    fn said(name: &str, values: &[&str]) -> Said {
        [(
            name.to_owned(),
            values.iter().map(|value| (*value).to_owned()).collect(),
        )]
        .into()
    }

    fn read(flags: Said, variable: Option<&str>, file: Said) -> Settings {
        let lookup = |name: &str| {
            variable
                .filter(|_| name == "RIDGEWAY_HTTP")
                .map(str::to_owned)
        };
        Settings::new(&[HTTP, HOSTS], flags, lookup, file)
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let all = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];
        let [flag, variable, file] = all;
        let port = |mut settings: Settings| {
            settings
                .one::<SocketAddr>(HTTP)
                .map(|address| address.port())
        };
        let in_file = || said("http", &[file]);
        assert_eq!(
            port(read(said("http", &[flag]), Some(variable), in_file())),
            Some(1)
        );
        assert_eq!(port(read(Said::new(), Some(variable), in_file())), Some(2));
        assert_eq!(port(read(Said::new(), None, in_file())), Some(3));
        assert_eq!(port(read(Said::new(), None, Said::new())), None);
    }

    #[test]
    fn a_path_in_the_file_leads_on_from_the_file() {
        let path = |flags: Said, file: Said| {
            let mut settings = Settings::new(&[KEY], flags, |_| None, file);
            settings.folder = PathBuf::from("/srv/site");
            settings.path(KEY)
        };
        let relative = || said("key", &["../x.key"]);
        let in_file = path(Said::new(), relative());
        assert_eq!(in_file, Some(PathBuf::from("/srv/site/../x.key")));
        let absolute = path(Said::new(), said("key", &["/etc/x.key"]));
        assert_eq!(absolute, Some(PathBuf::from("/etc/x.key")));
        let by_flag = path(relative(), said("key", &["other"]));
        assert_eq!(by_flag, Some(PathBuf::from("../x.key")));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut file = said("http", &["nowhere"]);
        file.extend(said("htpp", &["127.0.0.1:1"]));
        let mut settings = read(Said::new(), None, file);
        assert_eq!(settings.one::<SocketAddr>(HTTP), None);
        assert_eq!(settings.many::<String>(HOSTS), Vec::<String>::new());
        let mistakes = settings.finish().unwrap_err();
        assert_eq!(mistakes.0.len(), 2);
        let words = mistakes.to_string();
        assert!(words.contains("htpp") && words.contains("`http` in the file must be"));
        assert!(!words.contains("nowhere"));
    }

    #[test]
    fn a_variable_lists_with_commas_where_several_are_meant() {
        let lookup = |name: &str| match name {
            "RIDGEWAY_HOSTS" => Some("a, b,".to_owned()),
            "RIDGEWAY_LOG_FILTER" => Some("info,ridgeway_node=debug".to_owned()),
            _ => None,
        };
        let mut settings = Settings::new(&General::SETTINGS, Said::new(), lookup, Said::new());
        assert_eq!(settings.many::<String>(HOSTS), ["a", "b"]);
        let filter: Option<String> = settings.one(LOG_FILTER);
        assert_eq!(filter.as_deref(), Some("info,ridgeway_node=debug"));
        assert_eq!(settings.finish(), Ok(()));
    }
}
