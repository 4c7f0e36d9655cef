//! How the centre is configured: by flags, by variables, and by `ridgeway.toml` in its folder.

use std::{net::SocketAddr, path::Path};

use api::program::{
    Failure,
    settings::{Address, General, Mistakes, Said, Setting, Settings},
};

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

/// How the centre is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// Where edges are answered, by UDP.
    pub(crate) quic: SocketAddr,
    /// Where HTTP is answered.
    pub(crate) http: SocketAddr,
    /// Where edges reach the centre, as codes tell them; empty when nobody said.
    pub(crate) addresses: Vec<String>,
    /// What every node has.
    pub(crate) general: General,
}

impl AsRef<General> for Config {
    fn as_ref(&self) -> &General {
        &self.general
    }
}

fn known() -> Vec<Setting> {
    [[QUIC, HTTP, ADDRESSES].as_slice(), &General::SETTINGS].concat()
}

impl Config {
    /// The configuration of the centre in `data`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub(crate) fn read(data: &Path, flags: Said) -> Result<Config, Failure> {
        Config::of(Settings::read(data, &known(), flags)?).map_err(Failure::usage)
    }

    fn of(mut settings: Settings) -> Result<Config, Mistakes> {
        let (quic, http) = (settings.one(QUIC), settings.one(HTTP));
        let addresses = settings.many(ADDRESSES).into_iter();
        let config = Config {
            quic: quic.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 7443))),
            http: http.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7480))),
            addresses: addresses.map(|Address(text)| text).collect(),
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
        assert_eq!((config.quic.port(), config.http.port()), (7443, 7480));
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
