//! How a device becomes known: the code that a person types, and the exchange it opens.

use names::{
    Moment, Reason,
    limits::{FRAME_BYTES_MAX, LINE_BYTES_MAX, LIST_ROWS_MAX, SIGNED_BYTES_MAX},
};
use protocol::{
    codec,
    enrol::{EnrolAnswer, EnrolReply, EnrolRequest, EnrolmentCode, Fingerprint, TenantKey, Token},
};

use crate::craft::{AUTHORITY, SITE, TENANT, TENANT_KEY, key, statements};

/// Crockford's alphabet, in which codes are written.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What is taken keeps its limits and reads back as it was, and a request that was altered is not
/// proved. The same bytes are tried as each thing, and as the body of a code whose checksum is right.
pub(super) fn run(bytes: &[u8]) {
    if let Ok(request) = EnrolRequest::decode(bytes) {
        check_request(request);
    }
    if let Ok(reply) = EnrolReply::decode(bytes) {
        if let EnrolReply::Enrolled(answer) = &reply {
            assert!(answer.ca.len() <= SIGNED_BYTES_MAX);
            assert!(answer.statements.len() <= LIST_ROWS_MAX);
        }
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        let again = EnrolReply::decode(&reply.encode());
        assert_eq!(again, Ok(reply), "it does not read back");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_code(text);
    }
    check_code(&as_text(bytes));
}

fn check_request(request: EnrolRequest) {
    assert!(request.name.len() <= LINE_BYTES_MAX, "a name without end");
    if request.verify().is_ok() {
        let mut other = request.clone();
        other.name.push('x');
        assert!(other.verify().is_err(), "proved by another name too");
    }
    let again = EnrolRequest::decode(&request.encode());
    assert_eq!(again, Ok(request), "it does not read back");
}

fn check_code(text: &str) {
    let Ok(code) = text.parse::<EnrolmentCode>() else {
        return;
    };
    assert!(!code.addresses.is_empty(), "a code that leads nowhere");
    let again = code.to_text();
    assert_eq!(again.parse(), Ok(code), "it does not read back");
}

/// Bytes as the body of a code, with the checksum that is theirs.
fn as_text(body: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"ridgeway enrolment code v1").update(body);
    let check = hasher.finalize();
    let bytes = check.as_bytes().iter().take(4).chain(body);
    let (mut text, mut held, mut bits) = ("RW1-".to_owned(), 0_u16, 0);
    let symbol = |five: u16| char::from(ALPHABET.get(usize::from(five & 31)).copied().unwrap_or(0));
    for byte in bytes {
        held = (held << 8) | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(symbol(held >> bits));
        }
    }
    if bits > 0 {
        text.push(symbol(held << (5 - bits)));
    }
    text
}

/// One of each; a code also as its body.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let code = EnrolmentCode {
        addresses: vec!["centre.example.org:7443".to_owned()],
        ca: Fingerprint([0xCA; 32]),
        token: Token([0x70; 16]),
        expires: Moment(1_790_000_000_000),
    };
    let answer = EnrolAnswer {
        chain: vec![vec![1, 2], vec![3]],
        ca: vec![4, 5],
        tenant: TENANT,
        tenant_key: TenantKey(TENANT_KEY),
        authority: key(AUTHORITY).public(),
        statements: statements().iter().take(2).cloned().collect(),
        site: SITE.parse().ok(),
    };
    vec![
        EnrolRequest::sign(&key(1), Token([7; 16]), "a laptop".to_owned()).encode(),
        EnrolReply::Enrolled(Box::new(answer)).encode(),
        EnrolReply::Refused(Reason::NotAllowed).encode(),
        codec::encode(&code),
        code.to_text().into_bytes(),
    ]
}
