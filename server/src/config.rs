//! How the centre is configured: by flags, by variables, and by `ridgeway.toml` in its folder.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use api::program::{
    Failure,
    settings::{Said, Setting, Settings},
};

use crate::log::{self, Form};

/// The file's name in the folder.
const FILE: &str = "ridgeway.toml";
/// A configuration is a few lines; what is longer is something else.
const FILE_BYTES_MAX: u64 = 64 << 10;

const QUIC: Setting = Setting {
    name: "quic",
    form: "an address and a port, as 0.0.0.0:7443",
};
const HTTP: Setting = Setting {
    name: "http",
    form: "an address and a port, as 127.0.0.1:7480",
};
const ADDRESSES: Setting = Setting {
    name: "addresses",
    form: "names or addresses with ports, as centre.example.org:7443",
};
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
const ALL: [Setting; 7] = [QUIC, HTTP, ADDRESSES, HOSTS, KEY, LOG, LOG_FILTER];

/// How the centre is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// Where edges are answered, by UDP.
    pub(crate) quic: SocketAddr,
    /// Where HTTP is answered.
    pub(crate) http: SocketAddr,
    /// Where edges reach the centre, as codes tell them; empty when nobody said.
    pub(crate) addresses: Vec<String>,
    /// Names by which the HTTP surface may be asked, besides this machine's.
    pub(crate) hosts: Vec<String>,
    /// The key file, if it is not the usual one.
    pub(crate) key: Option<PathBuf>,
    /// The form of the log.
    pub(crate) log: Form,
    /// What is logged, if it was said.
    pub(crate) log_filter: Option<String>,
}

/// `host:port`.
struct Address(String);

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

impl Config {
    /// The configuration of the centre in `data`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub(crate) fn read(data: &Path, flags: Said) -> Result<Config, Failure> {
        let lookup = |name: &str| std::env::var(name).ok();
        Config::of(flags, lookup, file(data)?).map_err(Failure::usage)
    }

    fn of(
        flags: Said,
        variable: impl Fn(&str) -> Option<String>,
        (file, mistakes): (Said, Vec<String>),
    ) -> Result<Config, api::program::settings::Mistakes> {
        let mut settings = Settings::new(&ALL, flags, variable, file);
        mistakes
            .into_iter()
            .for_each(|mistake| settings.mistake(mistake));
        let config = Config {
            quic: settings
                .one(QUIC)
                .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 7443))),
            http: settings
                .one(HTTP)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7480))),
            addresses: settings
                .many(ADDRESSES)
                .into_iter()
                .map(|Address(text)| text)
                .collect(),
            hosts: settings.many(HOSTS),
            key: settings.one(KEY),
            log: settings.one(LOG).unwrap_or_default(),
            log_filter: settings.one(LOG_FILTER).map(|Filter(text)| text),
        };
        settings.finish().map(|()| config)
    }
}

/// What the file says, and what in it cannot be understood. A file that is missing says nothing.
fn file(data: &Path) -> Result<(Said, Vec<String>), Failure> {
    let path = data.join(FILE);
    let about = |what: &str| Failure::usage(format!("{} {what}", path.display()));
    match fs::metadata(&path) {
        Err(_) => return Ok((Said::new(), Vec::new())),
        Ok(about_it) if about_it.len() > FILE_BYTES_MAX => return Err(about("is too long")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|_| about("cannot be read"))?;
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return Err(about(&format!("is not TOML: {}", error.message()))),
    };
    let (mut said, mut mistakes) = (Said::new(), Vec::new());
    for (name, value) in table {
        match values(&value) {
            Some(values) => {
                said.insert(name, values);
            }
            None => mistakes.push(format!(
                "`{name}` in the file must be a text, a number or a list"
            )),
        }
    }
    Ok((said, mistakes))
}

fn values(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect()
        }
        toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(file: &[(&str, &[&str])]) -> Result<Config, api::program::settings::Mistakes> {
        let said = file.iter().map(|(name, values)| {
            (
                (*name).to_owned(),
                values.iter().map(|value| (*value).to_owned()).collect(),
            )
        });
        Config::of(Said::new(), |_| None, (said.collect(), Vec::new()))
    }

    #[test]
    fn nothing_said_is_a_configuration() {
        let config = of(&[]).unwrap();
        assert_eq!(config.quic.port(), 7443);
        assert!(config.http.ip().is_loopback() && config.addresses.is_empty());
    }

    #[test]
    fn every_mistake_is_named() {
        let wrong: [(&str, &[&str]); 5] = [
            ("quic", &["here"]),
            ("addresses", &["centre.example.org"]),
            ("log", &["loud"]),
            ("log_filter", &["=="]),
            ("qiuc", &["0.0.0.0:1"]),
        ];
        let words = of(&wrong).unwrap_err().to_string();
        for name in ["quic", "addresses", "log", "log_filter", "qiuc"] {
            assert!(
                words.contains(&format!("`{name}`")),
                "{name} is not in {words}"
            );
        }
        assert!(of(&[("addresses", &["centre.example.org:7443", "192.0.2.1:7443"])]).is_ok());
    }
}
