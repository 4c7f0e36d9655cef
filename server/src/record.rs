//! The merged record: every site's figures, each the sum of rows that can be listed.

use std::collections::BTreeMap;

use api::{Problem, Record};
use node::{
    domain::{Status, Summary},
    names::{Kind, SiteId},
};
use serde::{Deserialize as _, Serialize};

/// Figures of one site, or of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Figures {
    cases: u64,
    open_cases: u64,
    sessions: u64,
    attended: u64,
    cash_pence: i64,
    open_tasks: u64,
    standing_alerts: u64,
    conflicts: u64,
    entries: u64,
    /// Documents whose row is older than what has arrived, or is still to be made: as long as
    /// there are any, the other figures are behind.
    stale: u64,
}

/// One site and its figures.
#[derive(Debug, Serialize)]
pub(crate) struct SiteFigures {
    /// Null for documents of which the first entry has not arrived.
    site: Option<SiteId>,
    #[serde(flatten)]
    figures: Figures,
}

/// The whole record in figures.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    sites: Vec<SiteFigures>,
    all: Figures,
}

/// Adds every document up, from its row; none is opened.
pub(crate) async fn overview(record: &dyn Record) -> Result<Overview, Problem> {
    let mut all = Figures::default();
    let mut sites: BTreeMap<Option<SiteId>, Figures> = record
        .directory()
        .sites()
        .map(|site| (Some(site.id.clone()), all))
        .collect();
    for row in record.rows(None).await? {
        let summary = Summary::deserialize(&row.summary).ok();
        let site = summary.as_ref().and_then(|summary| summary.site.clone());
        for figures in [&mut all, sites.entry(site).or_default()] {
            figures.add(summary.as_ref(), row.stale);
        }
    }
    let sites = sites
        .into_iter()
        .map(|(site, figures)| SiteFigures { site, figures });
    Ok(Overview {
        sites: sites.collect(),
        all,
    })
}

impl Figures {
    fn add(&mut self, summary: Option<&Summary>, stale: bool) {
        self.stale += u64::from(stale || summary.is_none());
        let Some(summary) = summary else { return };
        self.cases += u64::from(summary.kind == Kind::CASE);
        self.open_cases += u64::from(summary.status == Some(Status::Open));
        self.sessions += u64::from(summary.kind == Kind::SESSION);
        self.attended += u64::from(summary.attended);
        self.cash_pence += summary.cash_pence;
        self.open_tasks += summary.tasks.len() as u64;
        // One that this version cannot read stands all the same.
        self.standing_alerts += summary.alerts.len() as u64 + u64::from(summary.unread_alerts);
        self.conflicts += u64::from(summary.conflicts);
        self.entries += summary.entries;
    }
}
