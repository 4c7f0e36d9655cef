//! The file in a node's folder that configures it: `ridgeway.toml`.

use std::{fs, path::Path};

use super::{Failure, settings::Said};

/// The file's name in the folder.
const NAME: &str = "ridgeway.toml";
/// A configuration is a few lines; what is longer is something else.
const BYTES_MAX: u64 = 64 << 10;

/// What the file says, and what in it cannot be understood. A file that is missing says nothing.
///
/// # Errors
/// When there is a file and it is no configuration: what is wrong with it.
pub(super) fn read(data: &Path) -> Result<(Said, Vec<String>), Failure> {
    let path = data.join(NAME);
    let about = |what: &str| Failure::usage(format!("{} {what}", path.display()));
    match fs::metadata(&path) {
        Err(_) => return Ok((Said::new(), Vec::new())),
        Ok(about_it) if about_it.len() > BYTES_MAX => return Err(about("is too long")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|_| about("cannot be read"))?;
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let place = error.span().map_or(0, |span| span.start);
            let line = 1 + text
                .bytes()
                .take(place)
                .filter(|byte| *byte == b'\n')
                .count();
            let what = error.message();
            return Err(about(&format!("is not TOML at line {line}: {what}")));
        }
    };
    let (mut said, mut mistakes) = (Said::new(), Vec::new());
    for (name, value) in table {
        match values(&value) {
            Some(values) => {
                said.insert(name, values);
            }
            None => mistakes.push(format!(
                "`{name}` in the file must be a text, a whole number, or a list of texts"
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

    #[test]
    fn mistakes_are_where_they_are_said_to_be() {
        let data = std::env::temp_dir().join(format!("ridgeway-file-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join(NAME), "http = \"127.0.0.1:1\"\n\nhosts = [\n").unwrap();
        let words = read(&data).unwrap_err().words;
        assert!(
            words.contains("line 3") || words.contains("line 4"),
            "{words}"
        );
        fs::write(data.join(NAME), "hosts = [1]\n").unwrap();
        let (said, mistakes) = read(&data).unwrap();
        assert!(said.is_empty());
        assert!(
            mistakes
                .iter()
                .any(|words| words.contains("a list of texts"))
        );
        fs::remove_dir_all(&data).unwrap();
    }
}
