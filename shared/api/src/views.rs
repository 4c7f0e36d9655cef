//! `GET /api/v1/views/...`: what a screen shows. Lists come from summary rows and open nothing;
//! only what is asked for by its id, and the documents of one page of conflicts, are opened.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use node::{
    domain::{AlertCode, AlertReview, Conflict, Day, Summary, TaskRow, Text},
    names::{DocumentId, EntryId, Kind, Reason, ScopeId, WorkerId},
};
use serde::{Deserialize as _, Serialize};

use crate::{
    Api,
    problem::Problem,
    query::{Page, Query},
    record::{Listed, Opened, PageOf},
};

/// Documents with conflicts on one page: each of them is opened.
const CONFLICTS_LIMIT_MAX: usize = 50;

/// The form of a scope.
const SCOPE: &str = "directory, site:<id>, caseload:<worker> or site:<id>/<compartment>";

/// The parameters of a request, as axum reads them.
pub(crate) type Said = axum::extract::Query<BTreeMap<String, String>>;

/// The rows of documents, by id.
pub(crate) async fn documents(
    State(api): State<Api>,
    Said { 0: said }: Said,
) -> Result<Json<Page<Listed>>, Problem> {
    let query = Query::new(said, &["scope", "kind", "after", "limit"])?;
    let kind: Option<KindName> = query.optional("kind", "case or session")?;
    let limit = query.limit()?;
    let after: Option<DocumentId> = query.optional("after", "the `next` of the page before")?;
    let keep = move |row: &Listed| kind.as_ref().is_none_or(|kind| row.kind == kind.0);
    let rows = page(&api, &query, after, limit, keep).await?;
    Ok(Json(Page::of(rows, None, limit, |row| {
        row.document.to_string()
    })))
}

/// The rows of one page, and one more if there are more.
async fn page(
    api: &Api,
    query: &Query,
    after: Option<DocumentId>,
    limit: usize,
    keep: impl Fn(&Listed) -> bool + Send + 'static,
) -> Result<Vec<Listed>, Problem> {
    let of = PageOf {
        scope: scope(query)?,
        after,
        limit: limit + 1,
        keep: Box::new(keep),
    };
    Ok(api.record().page(of).await?)
}

/// One document, with all it says and how far each entry got.
pub(crate) async fn document(
    State(api): State<Api>,
    Path(document): Path<String>,
) -> Result<Json<Opened>, Problem> {
    let document: DocumentId = document.parse().map_err(|_| Problem::not_found())?;
    Ok(Json(api.record().document(document).await?))
}

/// What waits for a person in one document.
#[derive(Serialize)]
pub(crate) struct Waiting {
    document: DocumentId,
    kind: &'static str,
    title: Vec<Text>,
    conflicts: Vec<Conflict>,
    /// Why they cannot be shown, when the document cannot be opened.
    flaw: Option<Reason>,
}

/// Documents in which something waits for a person, with every value, who, where and when.
pub(crate) async fn conflicts(
    State(api): State<Api>,
    Said { 0: said }: Said,
) -> Result<Json<Page<Waiting>>, Problem> {
    let query = Query::new(said, &["scope", "after", "limit"])?;
    let limit = query.limit()?.min(CONFLICTS_LIMIT_MAX);
    let after: Option<DocumentId> = query.optional("after", "the `next` of the page before")?;
    let in_conflict = |row: &Listed| summary(row).is_some_and(|summary| summary.conflicts > 0);
    let rows = page(&api, &query, after, limit, in_conflict).await?;
    let page = Page::of(rows, None, limit, |row| row.document.to_string());
    let mut waiting = Vec::new();
    for row in page.rows {
        let (conflicts, flaw) = match api.record().document(row.document).await {
            Ok(opened) => (opened.conflicts, None),
            // One document that cannot be opened hides no other.
            Err(reason @ (Reason::CannotOpen | Reason::SetAside | Reason::NotFound)) => {
                (Vec::new(), Some(reason))
            }
            Err(reason) => return Err(reason.into()),
        };
        // Somebody may have settled it since the row was made.
        if conflicts.is_empty() && flaw.is_none() {
            continue;
        }
        waiting.push(Waiting {
            document: row.document,
            kind: row.kind.name(),
            title: summary(&row)
                .map(|summary| summary.title)
                .unwrap_or_default(),
            conflicts,
            flaw,
        });
    }
    Ok(Json(Page {
        rows: waiting,
        next: page.next,
    }))
}

/// One open task, or an alert that is to be reviewed.
#[derive(Serialize)]
pub(crate) struct Task {
    document: DocumentId,
    title: Vec<Text>,
    /// The alert to be reviewed, if it is that and no task.
    alert: Option<AlertCode>,
    #[serde(flatten)]
    task: TaskRow,
}

/// A review that is due, in the form of a task: it is everybody's, and goes by its raise.
fn review(review: AlertReview) -> TaskRow {
    TaskRow {
        task: review.raise,
        due: Some(review.due),
        what: Text::from(format!("Review the alert: {}", review.code.words())),
        whom: None,
    }
}

/// Open tasks and the reviews of alerts, those due first in front; what has no date comes last.
pub(crate) async fn tasks(
    State(api): State<Api>,
    Said { 0: said }: Said,
) -> Result<Json<Page<Task>>, Problem> {
    let query = Query::new(said, &["scope", "worker", "after", "limit"])?;
    let limit = query.limit()?;
    let worker: Option<WorkerId> = query.optional("worker", "a worker's code")?;
    let rows = api.record().rows(scope(&query)?).await?;
    let mut tasks = Vec::new();
    for row in rows {
        let Some(summary) = summary(&row) else {
            continue;
        };
        let (document, title) = (row.document, summary.title);
        // An overdue review of somebody's safety is in everybody's list.
        let reviews = summary.alert_reviews.into_iter();
        let reviews = reviews.map(|due| (Some(due.code), review(due)));
        let own = summary.tasks.into_iter();
        let own = own.filter(|task| worker.is_none() || task.whom == worker);
        for (alert, task) in reviews.chain(own.map(|task| (None, task))) {
            tasks.push(Task {
                document,
                title: title.clone(),
                alert,
                task,
            });
        }
    }
    let mark = |task: &Task| mark(task.task.due, task.task.task);
    tasks.sort_by_cached_key(mark);
    Ok(Json(Page::of(tasks, query.after(), limit, mark)))
}

/// A task's place in the list. `~` comes after every digit.
fn mark(due: Option<Day>, task: EntryId) -> String {
    let due = due.map_or_else(|| "~".to_owned(), |day| day.to_string());
    format!("{due}.{task}")
}

/// One document as a file that the public Automerge libraries load.
pub(crate) async fn export(
    State(api): State<Api>,
    Path(file): Path<String>,
) -> Result<Response, Problem> {
    let document = file
        .strip_suffix(".automerge")
        .and_then(|id| id.parse::<DocumentId>().ok());
    let document = document.ok_or_else(Problem::not_found)?;
    let bytes = api.record().export(document).await?;
    let name = format!("attachment; filename=\"{document}.automerge\"");
    let name = HeaderValue::try_from(name).map_err(|_| Problem::not_found())?;
    let headers: [(HeaderName, HeaderValue); 2] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/vnd.automerge"),
        ),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bytes).into_response())
}

/// The row as `domain` wrote it; `None` while there is none, or it is of another version.
fn summary(row: &Listed) -> Option<Summary> {
    Summary::deserialize(&row.summary).ok()
}

fn scope(query: &Query) -> Result<Option<ScopeId>, Problem> {
    query.optional("scope", SCOPE)
}

/// A kind by its name.
struct KindName(Kind);

impl std::str::FromStr for KindName {
    type Err = ();
    fn from_str(text: &str) -> Result<KindName, ()> {
        let kinds = [Kind::CASE, Kind::SESSION];
        kinds
            .into_iter()
            .find(|kind| kind.name() == text)
            .map(KindName)
            .ok_or(())
    }
}
