//! What stands behind the question mark of an address, and pages of long lists.

use std::{collections::BTreeMap, str::FromStr};

use serde::Serialize;

use crate::problem::Problem;

/// Rows of a page when nobody says how many.
pub const LIMIT_DEFAULT: usize = 50;

/// Rows of the longest page.
pub const LIMIT_MAX: usize = 500;

/// The parameters of one request. Those a route does not know are refused: an address is no place
/// for a name somebody is searched by.
#[derive(Debug)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// The parameters, all of which must be among `known`.
    pub(crate) fn new(
        said: BTreeMap<String, String>,
        known: &[&'static str],
    ) -> Result<Query, Problem> {
        if said.keys().all(|name| known.contains(&name.as_str())) {
            Ok(Query(said))
        } else {
            let list = known.join(", ");
            Err(Problem::bad_request(format!(
                "This address takes these parameters only: {list}."
            )))
        }
    }

    /// One parameter, if it is there. `form` says what it must look like.
    pub(crate) fn optional<T: FromStr>(
        &self,
        name: &'static str,
        form: &'static str,
    ) -> Result<Option<T>, Problem> {
        let read = |text: &String| {
            text.parse()
                .map_err(|_| Problem::bad_request(format!("The parameter {name} must be {form}.")))
        };
        self.0.get(name).map(read).transpose()
    }

    /// How many rows are asked for.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let limit: Option<usize> = self.optional("limit", "a number from 1 to 500")?;
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::bad_request(
                "The parameter limit must be a number from 1 to 500.",
            ))
        }
    }

    /// After which row the page begins.
    pub(crate) fn after(&self) -> Option<&str> {
        self.0.get("after").map(String::as_str)
    }
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    /// The rows.
    pub(crate) rows: Vec<T>,
    /// What to send as `after` for the next page; null when this is the last.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of the rows behind `after`. `mark` gives a row's place; rows are sorted by
    /// it, and it stays the same for as long as the row is there.
    pub(crate) fn of(
        mut rows: Vec<T>,
        after: Option<&str>,
        limit: usize,
        mark: impl Fn(&T) -> String,
    ) -> Page<T> {
        let start = after.map_or(0, |after| {
            rows.partition_point(|row| mark(row).as_str() <= after)
        });
        rows.drain(..start);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(mark);
        Page { rows, next }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_together_are_the_list() {
        let mark = |row: &u32| format!("{row:04}");
        let list: Vec<u32> = (0..10).collect();
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        for _ in 0..4 {
            let page = Page::of(list.clone(), after.as_deref(), 3, mark);
            seen.extend(page.rows);
            after = page.next;
        }
        assert_eq!((seen, after), (list, None));
    }

    #[test]
    fn what_a_route_does_not_know_is_refused_and_not_repeated() {
        let said = [("name".to_owned(), "Anna".to_owned())].into();
        let refused = Query::new(said, &["after", "limit"]).unwrap_err();
        let words = serde_json::to_string(&refused).unwrap();
        assert!(words.contains("after, limit") && !words.contains("Anna"));
    }

    #[test]
    fn a_limit_has_a_limit() {
        for (said, limit) in [
            ("1", Some(1)),
            ("500", Some(500)),
            ("0", None),
            ("501", None),
        ] {
            let said = [("limit".to_owned(), said.to_owned())].into();
            assert_eq!(Query::new(said, &["limit"]).unwrap().limit().ok(), limit);
        }
    }
}
