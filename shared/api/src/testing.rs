//! A record without a node, for the router's tests.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::record::{
    Answer, CopiedStore, Exception, LaneTally, Listed, Opened, PageOf, Proof, Reach, Record, Role,
    ScopeSync, SyncView, Tally, Who,
};
use node::{
    NotDone, Request, Saved, Target, Transfer, Transferred,
    domain::{Command, Conflict, Refusal, Role as WorkRole, Subject, Text, Version},
    names::{
        ChangeHash, DeviceId, DocumentId, EntryId, Incarnation, Kind, Moment, Reason, ScopeId,
        SiteId, StoreId, TenantId, TransferReason,
    },
    protocol::{
        DeviceKey, Digest, Directory, PlacementId, Rights, SignedStatement, Statement,
        directory::{Device, DeviceKind, Grant, Issue, Site, Worker},
    },
    views::HandedOver,
};

/// A folder of its own for one test; gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let name = StoreId(runtime::shell::entropy());
        let path = env::temp_dir().join(format!("ridgeway-{name}"));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) const TENANT: TenantId = TenantId([1; 16]);
pub(crate) const DOCUMENT: DocumentId = DocumentId([2; 16]);

/// Answers like an edge at Devizes with one document.
pub(crate) struct Fake {
    pub(crate) directory: Arc<Directory>,
    pub(crate) role: Role,
    pub(crate) asked: Mutex<BTreeMap<EntryId, Request>>,
    pub(crate) device: DeviceId,
    /// Documents that cannot be opened.
    pub(crate) damaged: Vec<DocumentId>,
    /// Whether the node's thread answers nothing.
    pub(crate) stuck: bool,
}

impl Fake {
    pub(crate) fn new() -> Fake {
        let (directory, device) = directory();
        Fake {
            directory: Arc::new(directory),
            role: Role::Edge,
            asked: Mutex::default(),
            device,
            damaged: Vec::new(),
            stuck: false,
        }
    }

    fn answer(&self, request: Request) -> Result<Saved, NotDone> {
        let document = match &request.target {
            Target::Document(DOCUMENT) => DOCUMENT,
            Target::Document(_) => return Err(NotDone::Reason(Reason::NotFound)),
            Target::New(scopes) if *scopes == [scope("devizes")] => DocumentId(request.entry.0),
            Target::New(_) => return Err(NotDone::Reason(Reason::NotAllowed)),
        };
        let mut asked = self.asked.lock().unwrap();
        let entry = request.entry;
        let change = match asked.get(&entry) {
            None => Some(ChangeHash([3; 32])),
            Some(before) if before.command == request.command => None,
            Some(_) => return Err(NotDone::Refused(Refusal::EntryIdUsed)),
        };
        if matches!(request.command, Command::CompleteTask { .. }) {
            return Err(NotDone::Refused(Refusal::UnknownEntry));
        }
        asked.insert(entry, request);
        Ok(Saved {
            document,
            entry,
            change,
        })
    }
}

impl Record for Fake {
    fn who(&self) -> Who {
        Who {
            role: self.role,
            device: self.device,
            store: StoreId([5; 16]),
            incarnation: Incarnation([6; 16]),
            site: (self.role == Role::Edge).then(|| site("devizes")),
        }
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    fn perform(&self, request: Request) -> Answer<'_, Result<Saved, NotDone>> {
        Box::pin(async move { self.answer(request) })
    }

    fn transfer(&self, transfer: Transfer) -> Answer<'_, Result<Transferred, NotDone>> {
        Box::pin(async move {
            match transfer.document {
                DOCUMENT if transfer.to == site("bath") => Ok(Transferred {
                    document: DOCUMENT,
                    placement: PlacementId([8; 16]),
                    waiting: 2,
                }),
                DOCUMENT => Err(NotDone::Refused(Refusal::NoSuchSite)),
                _ => Err(NotDone::Reason(Reason::Transferred)),
            }
        })
    }

    fn handed_over(&self) -> Answer<'_, Result<Vec<HandedOver>, Reason>> {
        let row = |n: u8, to: &[&str], waiting| HandedOver {
            document: DocumentId([n; 16]),
            kind: Kind::CASE,
            to: to.iter().copied().map(scope).collect(),
            reason: Some(TransferReason::MovedHome),
            by: None,
            at: Moment(i64::from(n)),
            waiting,
            awaits_backup: n == 1,
            is_gone: n == 2,
            refused: (n == 4).then_some(Reason::WrongSequence),
        };
        let rows = vec![
            row(4, &["bath"], 2),
            row(3, &[], 1),
            row(2, &["bath", "kent"], 0),
            row(1, &["bath"], 0),
        ];
        Box::pin(async move { Ok(rows) })
    }

    fn reach(&self, entry: EntryId) -> Answer<'_, Result<Option<Reach>, Reason>> {
        let known = self.asked.lock().unwrap().contains_key(&entry);
        Box::pin(async move { Ok(known.then_some(Reach::SavedHere)) })
    }

    fn rows(&self, scope: Option<ScopeId>) -> Answer<'_, Result<Vec<Listed>, Reason>> {
        Box::pin(async move {
            match scope {
                Some(scope) if scope != self::scope("devizes") => Err(Reason::NotFound),
                Some(_) | None => Ok((0..5).map(listed).collect()),
            }
        })
    }

    fn page(&self, of: PageOf) -> Answer<'_, Result<Vec<Listed>, Reason>> {
        Box::pin(async move {
            let mut rows = self.rows(of.scope).await?;
            rows.retain(|row| of.after.is_none_or(|after| row.document > after));
            rows.retain(of.keep);
            rows.truncate(of.limit);
            Ok(rows)
        })
    }

    fn document(&self, document: DocumentId) -> Answer<'_, Result<Opened, Reason>> {
        Box::pin(async move {
            if self.damaged.contains(&document) {
                return Err(Reason::CannotOpen);
            }
            if document.0[1..] != [2; 15] {
                return Err(Reason::NotFound);
            }
            let conflicts = vec![conflict()];
            Ok(Opened {
                document,
                kind: Kind::CASE,
                scopes: vec![scope("devizes")],
                state: serde_json::json!({ "kind": "case", "conflicts": conflicts }),
                conflicts,
                flaws: Vec::new(),
                marks: BTreeMap::new(),
                reach: [(EntryId([7; 16]), Reach::AtTheCentre)].into(),
            })
        })
    }

    fn export(&self, document: DocumentId) -> Answer<'_, Result<Vec<u8>, Reason>> {
        let known = document == DOCUMENT;
        Box::pin(async move { known.then(|| b"automerge".to_vec()).ok_or(Reason::NotFound) })
    }

    fn sync(&self) -> Answer<'_, Result<SyncView, Reason>> {
        let proof = Proof {
            digest: Digest([9; 32]),
            count: 5,
        };
        Box::pin(async move {
            Ok(SyncView {
                node: self.who(),
                waiting: 1,
                scopes: vec![ScopeSync {
                    scope: scope("devizes"),
                    proof,
                    cursor: BTreeMap::new(),
                    proved: None,
                    waiting: 1,
                    peers: Vec::new(),
                }],
                links: Vec::new(),
                exceptions: vec![Exception::new(Reason::BadSignature, 2)],
                unreached: None,
                copies: vec![CopiedStore {
                    device: DeviceId([8; 16]),
                    how: "older-copy",
                    from: None,
                    until: Moment(5),
                    words: "ask",
                }],
            })
        })
    }

    fn ready(&self) -> Result<(), Reason> {
        Ok(())
    }

    fn tally(&self) -> Answer<'_, Result<Tally, Reason>> {
        Box::pin(async {
            if self.stuck {
                return Err(Reason::Busy);
            }
            Ok(Tally {
                turns: 3,
                commits: 2,
                lanes: vec![LaneTally {
                    lane: "live",
                    direction: "in",
                    frames: 4,
                    bytes: 400,
                }],
                refusals: [(Reason::BadSignature, 2)].into(),
                waiting: 1,
                documents: [(scope("devizes"), 5), ("caseload:w-1".parse().unwrap(), 2)].into(),
                links: 1,
            })
        })
    }
}

pub(crate) fn site(id: &str) -> SiteId {
    id.parse().unwrap()
}

pub(crate) fn scope(id: &str) -> ScopeId {
    ScopeId::Site(site(id))
}

/// A list row; every second one is a case in conflict, with one task.
fn listed(number: u8) -> Listed {
    let document = DocumentId(std::array::from_fn(
        |place| if place == 0 { number } else { 2 },
    ));
    let kind = if number.is_multiple_of(2) {
        Kind::CASE
    } else {
        Kind::SESSION
    };
    let conflicts = u32::from(kind == Kind::CASE);
    let task = serde_json::json!({
        "task": EntryId([number; 16]), "what": "ring back", "whom": null,
        "due": if number == 0 { None } else { Some(format!("2026-03-0{}", 9 - number)) },
    });
    let mut summary = serde_json::json!({
        "version": 1, "kind": kind, "site": "devizes", "title": ["Marker Person"],
        "contested": false, "conflicts": conflicts, "attended": 0, "cash_pence": 0, "entries": 1,
        "flaws": 0, "unread_alerts": 0, "tasks": if conflicts == 1 { vec![task] } else { vec![] },
    });
    for list in [
        "known_as",
        "date_of_birth",
        "nhs_number",
        "lead",
        "alerts",
        "alert_reviews",
    ] {
        summary[list] = serde_json::json!([]);
    }
    if number == 4 {
        let raise = EntryId([0x44; 16]);
        summary["alert_reviews"] =
            serde_json::json!([{ "code": "weapons", "due": "2026-02-01", "raise": raise }]);
    }
    Listed {
        document,
        kind,
        stale: false,
        summary,
    }
}

fn conflict() -> Conflict {
    let version = |entry: u8, value: &str| Version {
        entry: EntryId([entry; 16]),
        value: Text::from(value),
        by: "w-1".parse().unwrap(),
        site: site("devizes"),
        at: Moment(1),
    };
    Conflict {
        about: Subject::Lead,
        values: vec![version(1, "w-1"), version(2, "w-2")],
        operational: Text::from(""),
    }
}

/// Two sites; a worker in each, and a disabled one; one edge at Devizes.
fn directory() -> (Directory, DeviceId) {
    let authority = DeviceKey::from_seed(&[1; 32]);
    let edge = DeviceKey::from_seed(&[2; 32]);
    let worker = |id: &str, at: &str| {
        let roles = [WorkRole::RecoveryWorker.as_str(), "role-of-tomorrow"];
        Statement::Worker(Worker {
            id: id.parse().unwrap(),
            name: "Marker Worker".to_owned(),
            site: site(at),
            roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        })
    };
    let place = |id: &str| {
        Statement::Site(Site {
            id: site(id),
            name: id.to_owned(),
        })
    };
    let rights = Rights::READ.with(Rights::WRITE).with(Rights::PLACE);
    let statements = [
        place("devizes"),
        place("bath"),
        worker("w-1", "devizes"),
        worker("w-gone", "devizes"),
        worker("w-bath", "bath"),
        Statement::WorkerDisabled {
            worker: "w-gone".parse().unwrap(),
        },
        Statement::Device(Device {
            key: edge.public(),
            kind: DeviceKind::Edge,
            name: "office".to_owned(),
            grants: vec![Grant {
                scope: scope("devizes"),
                rights,
            }],
            site: Some(site("devizes")),
            worker: None,
        }),
    ];
    let mut directory = Directory::new(TENANT, authority.public());
    for (number, statement) in (1..).zip(statements) {
        let at = Moment(i64::try_from(number).unwrap());
        let issue = Issue {
            authority: Incarnation([1; 16]),
            number,
            at,
            statement,
        };
        let signed = SignedStatement::sign(&authority, &TENANT, &issue).unwrap();
        directory.admit(&signed).unwrap();
    }
    (directory, edge.device_id())
}
