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
