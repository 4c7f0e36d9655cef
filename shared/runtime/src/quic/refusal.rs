//! Why a handshake was refused, by the alert that TLS ended it with.
//!
//! The alert's number is all that is told apart; of an alert's text only one phrase counts, the one
//! by which this very TLS library tells a certificate that is not valid yet from one that has
//! expired. Nothing that a peer sent is repeated.

/// Where QUIC puts the alerts of TLS among its own codes (RFC 9001, section 4.8).
const CRYPTO: u64 = 0x100;
/// What the TLS library calls a certificate whose time has not come.
const NOT_YET: &[u8] = b"not valid yet";

/// What a conversation ended with when the other side was stopped in order.
pub(super) const STOPPED: &str = "it was stopped, or is restarting";

/// What TLS objects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alert {
    Expired,
    NotValidYet,
    Unknown,
    WrongKind,
    Missing,
    NoProtocol,
    Other,
}

/// The alert in a code of the transport, by the numbers of RFC 8446, section 6.
fn alert(code: u64, text: &[u8]) -> Option<Alert> {
    let number = u8::try_from(code.checked_sub(CRYPTO)?).ok()?;
    let not_yet = text.windows(NOT_YET.len()).any(|part| part == NOT_YET);
    Some(match number {
        45 if not_yet => Alert::NotValidYet,
        45 => Alert::Expired,
        // An unknown authority, or a known name with another key behind it.
        48 | 51 => Alert::Unknown,
        42 | 43 | 46 => Alert::WrongKind,
        116 => Alert::Missing,
        120 => Alert::NoProtocol,
        _ => Alert::Other,
    })
}

/// Why this side ended the handshake.
pub(super) fn by_us(code: u64, text: &[u8]) -> &'static str {
    match alert(code, text) {
        Some(Alert::Expired) => "the peer's certificate has expired, or this clock is fast",
        Some(Alert::NotValidYet) => {
            "the peer's certificate is not valid yet, or this clock is slow"
        }
        Some(Alert::Unknown) => "the peer belongs to another organisation",
        Some(Alert::WrongKind | Alert::Missing) => "the peer's certificate is of the wrong kind",
        Some(Alert::NoProtocol) => "the peer speaks no protocol of ours",
        Some(Alert::Other) => "the handshake failed",
        None => "the transport failed",
    }
}

/// Why the other side ended it.
pub(super) fn by_them(code: u64, text: &[u8]) -> &'static str {
    match alert(code, text) {
        Some(Alert::Expired) => {
            "the peer says that our certificate has expired: enrol this device again with a new \
             code, or check the clocks"
        }
        Some(Alert::NotValidYet) => {
            "the peer says that our certificate is not valid yet: check the clocks of both"
        }
        Some(Alert::Unknown) => {
            "the peer says that our certificate is another organisation's: check its address"
        }
        Some(Alert::WrongKind | Alert::Missing) => "the peer does not take our certificate",
        Some(Alert::NoProtocol) => "the peer speaks no protocol of ours: update the older side",
        Some(Alert::Other) | None => "the peer refused the connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_told_apart_and_nothing_is_repeated() {
        let expired = by_them(CRYPTO + 45, b"certificate expired");
        let early = by_them(CRYPTO + 45, b"certificate not valid yet: Marker");
        let stranger = by_them(CRYPTO + 48, b"");
        assert!(expired.contains("has expired") && early.contains("not valid yet"));
        assert!(stranger.contains("another organisation"));
        assert!(!early.contains("Marker"));
        assert_eq!(by_them(0, b"Marker"), "the peer refused the connection");
        assert_eq!(by_us(CRYPTO + 51, b""), by_us(CRYPTO + 48, b""));
        assert_eq!(by_us(7, b""), "the transport failed");
    }
}
