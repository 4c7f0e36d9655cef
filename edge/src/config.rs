//! How an edge is configured: by flags, by variables, and by `ridgeway.toml` in its folder.

use std::{net::SocketAddr, path::Path};

use api::program::{
    Failure,
    settings::{Address, General, Mistakes, Said, Setting, Settings},
};

const HTTP: Setting = Setting {
    name: "http",
    form: "an address and a port, as 127.0.0.1:7481",
};
const CENTRE: Setting = Setting {
    name: "centre",
    form: "names or addresses with ports, as centre.example.org:7443",
};

/// How an edge is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// Where HTTP is answered.
    pub(crate) http: SocketAddr,
    /// Where the centre is reached; empty: where it was when this edge was enrolled.
    pub(crate) centre: Vec<String>,
    /// What every node has.
    pub(crate) general: General,
}

impl AsRef<General> for Config {
    fn as_ref(&self) -> &General {
        &self.general
    }
}

fn known() -> Vec<Setting> {
    [[HTTP, CENTRE].as_slice(), &General::SETTINGS].concat()
}

impl Config {
    /// The configuration of the edge in `data`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub(crate) fn read(data: &Path, flags: Said) -> Result<Config, Failure> {
        Config::of(Settings::read(data, &known(), flags)?).map_err(Failure::usage)
    }

    fn of(mut settings: Settings) -> Result<Config, Mistakes> {
        let http = settings.one(HTTP);
        let centre = settings.many(CENTRE).into_iter();
        let config = Config {
            http: http.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7481))),
            centre: centre.map(|Address(text)| text).collect(),
            general: General::of(&mut settings),
        };
        settings.finish().map(|()| config)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(file: &[(&str, &[&str])]) -> Result<Config, Mistakes> {
        let said = file.iter().map(|(name, values)| {
            let values = values.iter().map(|value| (*value).to_owned());
            ((*name).to_owned(), values.collect())
        });
        let settings = Settings::new(&known(), Said::new(), |_| None, said.collect());
        Config::of(settings)
    }

    #[test]
    fn nothing_said_is_a_configuration() {
        let config = of(&[]).unwrap();
        assert_eq!(config.http.port(), 7481);
        assert!(config.http.ip().is_loopback() && config.centre.is_empty());
    }

    #[test]
    fn every_mistake_is_named() {
        let wrong: [(&str, &[&str]); 5] = [
            ("http", &["here"]),
            ("centre", &["centre.example.org"]),
            ("log", &["loud"]),
            ("log_filter", &["=="]),
            ("htpp", &["0.0.0.0:1"]),
        ];
        let words = of(&wrong).unwrap_err().to_string();
        for name in ["http", "centre", "log", "log_filter", "htpp"] {
            assert!(
                words.contains(&format!("`{name}`")),
                "{name} is not in {words}"
            );
        }
        assert!(of(&[("centre", &["centre.example.org:7443", "192.0.2.1:7443"])]).is_ok());
    }
}
