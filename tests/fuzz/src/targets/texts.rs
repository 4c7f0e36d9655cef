//! Names, days and codes as people and programs write them.

use std::{fmt::Display, str::FromStr};

use domain::{AlertCode, Attender, Day, Field, NhsNumber, Role, SessionForm, Slot, TimeOfDay};
use names::{ActorId, ChangeHash, DeviceId, DocumentId, ScopeId, SiteId, TransferReason, WorkerId};

/// What is taken is written as it is read: a name has one form, but for capitals of hexadecimal.
pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    exactly::<SiteId>(text);
    exactly::<WorkerId>(text);
    exactly::<ScopeId>(text);
    exactly::<Day>(text);
    exactly::<TimeOfDay>(text);
    exactly::<Role>(text);
    exactly::<AlertCode>(text);
    exactly::<Field>(text);
    exactly::<Slot>(text);
    exactly::<SessionForm>(text);
    again::<DocumentId>(text);
    again::<DeviceId>(text);
    again::<ActorId>(text);
    again::<ChangeHash>(text);
    again::<Attender>(text);
    if let Ok(reason) = text.parse::<TransferReason>() {
        assert_eq!(TransferReason::from_code(reason.code()), reason);
    }
    if let Ok(number) = NhsNumber::parse(text) {
        let digits = number.to_text();
        assert_eq!(digits.len(), 10);
        assert_eq!(NhsNumber::parse(digits.as_str()), Ok(number));
    }
}

fn exactly<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text, "it has two forms");
    }
}

fn again<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.eq_ignore_ascii_case(text), "it has two forms");
        let read = written.parse::<T>();
        assert!(read.is_ok_and(|read| read.to_string() == written));
    }
}

/// One of each form.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "directory",
        "site:bath/safeguarding",
        "caseload:w-17",
        "bath",
        "2026-11-22",
        "10:05",
        "recovery-worker",
        "person:04040404040404040404040404040404",
        "04040404040404040404040404040404",
        "9434765919",
        "943 476 5919",
    ];
    let reasons = TransferReason::ALL.iter().map(|reason| reason.name());
    texts
        .into_iter()
        .chain(reasons)
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
