//! One case leaves real nodes as a file: by the programs' own commands, beside a running node and
//! on a stopped one, and by HTTP. All of them are the same document, and others can read it.

use std::{fs, path::PathBuf};

use automerge::Automerge;
use harness::service::{Service, host::Host};
use names::DocumentId;

use super::{MARKER, TOWN, begin_case, note};
use crate::{export::canonical_line, javascript};

/// What the program writes when it is asked to export a document.
fn by_command(service: &Service, host: &Host, case: DocumentId, name: &str) -> Vec<u8> {
    let file = service.folder.path().join(format!("{name}.automerge"));
    let out = file.to_str().unwrap();
    host.command(&["export", &case.to_string(), "--out", out])
        .unwrap();
    fs::read(file).unwrap()
}

/// What the node answers when it is asked for the file.
fn by_http(host: &Host, case: DocumentId) -> Vec<u8> {
    let path = format!("/api/v1/documents/{case}.automerge");
    host.client().unwrap().get(&path).unwrap().body
}

/// The canonical line of a file, by the public library; the same by the npm package.
fn read(service: &Service, exported: &[u8], name: &str) -> String {
    let auto = Automerge::load(exported).unwrap();
    assert_eq!(auto.get_heads().len(), 1, "everything has met");
    let line = canonical_line(&auto);
    let file: PathBuf = service.folder.path().join(format!("{name}.read"));
    fs::write(&file, exported).unwrap();
    if let Some(read) = javascript::read(&file) {
        assert_eq!(read, line, "the npm package reads the same of {name}");
    }
    line
}

#[test]
fn a_case_leaves_every_node_as_the_same_file() {
    let mut service = Service::begin("ridgeway-e2e-export", TOWN, 9, |_| {}).unwrap();
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let case = begin_case(&mut anna, "Iris");
    for number in 0..3 {
        anna.does(case, &note(&format!("note {number}"))).unwrap();
    }
    service.rest().unwrap();

    let mut lines = Vec::new();
    let nodes = ["centre", "kent-a", "kent-b"];
    for name in nodes {
        let host = service.hosts().find(|host| host.name() == name).unwrap();
        let (told, asked) = (by_command(&service, host, case, name), by_http(host, case));
        assert_eq!(told, asked, "{name} gives two files of one document");
        lines.push(read(&service, &told, name));
    }
    service.stop().unwrap();
    for name in nodes {
        let host = service.hosts().find(|host| host.name() == name).unwrap();
        let stopped = format!("{name}-stopped");
        let told = by_command(&service, host, case, &stopped);
        lines.push(read(&service, &told, &stopped));
    }
    assert!(lines[0].contains("note 2") && lines[0].contains(MARKER));
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let elsewhere = service.hosts().find(|host| host.name() == "bath").unwrap();
    let refused = elsewhere.command(&["export", &case.to_string()]);
    assert!(refused.is_err(), "Bath may not read Kent's case");
}
