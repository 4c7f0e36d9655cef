//! The code itself: everything a new device must be told, as text that survives being typed.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};
use names::Moment;

use super::{Fingerprint, Token};
use crate::{
    codec,
    hash::{self, label},
};

/// What a code begins with; the figure is the version of its form.
const PREFIX: &str = "RW1";
/// Crockford's alphabet: no I, L, O or U, so that nothing is misread or offends.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters between two dashes.
const GROUP: usize = 5;
/// Bytes of the checksum: one mistyped code in four thousand million passes.
const CHECK: usize = 4;
/// Characters that a code may have; a longer text is not read at all.
const TEXT_MAX: usize = 4_096;
/// Addresses of one centre.
const ADDRESSES_MAX: usize = 8;

/// What an administrator gives to a person who sets up a device.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnrolmentCode {
    /// Where the centre can be reached, as `host:port`, best first: 1 to 8.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<ADDRESSES_MAX, _, _>"
    )]
    pub addresses: Vec<String>,
    /// SHA-256 of the CA's certificate: nobody else can pass for the centre.
    #[cbor(n(1), with = "codec::wire")]
    pub ca: Fingerprint,
    /// The right to enrol one device, once.
    #[cbor(n(2), with = "codec::wire")]
    pub token: Token,
    /// When the right ends.
    #[cbor(n(3), with = "codec::wire")]
    pub expires: Moment,
}

impl EnrolmentCode {
    /// The code as a person is given it: groups of five letters and digits. It is a secret, so
    /// there is no `Display` that might find its way into a log.
    pub fn to_text(&self) -> String {
        let body = codec::encode(self);
        let mut bytes = check(&body).to_vec();
        bytes.extend(body);
        let symbols = to_symbols(&bytes);
        symbols
            .chunks(GROUP)
            .fold(PREFIX.to_owned(), |mut text, group| {
                text.push('-');
                text.extend(group.iter().map(|symbol| char::from(*symbol)));
                text
            })
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentCode")
            .field("addresses", &self.addresses)
            .field("ca", &self.ca)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why a text is not an enrolment code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InvalidCode {
    /// It does not look like one.
    NotACode,
    /// It is one of a newer program.
    Newer,
    /// A letter or digit is wrong, missing or too many.
    Damaged,
}

impl fmt::Display for InvalidCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidCode::NotACode => "this is not an enrolment code: one begins with RW1-",
            InvalidCode::Newer => "this enrolment code is of a newer version; update this program",
            InvalidCode::Damaged => {
                "the enrolment code was not copied correctly: a character is wrong, missing or \
                 too many; copy it again, whole"
            }
        })
    }
}

impl std::error::Error for InvalidCode {}

impl FromStr for EnrolmentCode {
    type Err = InvalidCode;

    /// Takes small letters for capitals, `o` for `0`, `i` and `l` for `1`, and ignores dashes and
    /// white space.
    fn from_str(text: &str) -> Result<EnrolmentCode, InvalidCode> {
        if text.len() > TEXT_MAX {
            return Err(InvalidCode::NotACode);
        }
        let plain: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect::<String>();
        let plain = plain.to_ascii_uppercase();
        let Some(symbols) = plain.strip_prefix(PREFIX) else {
            let newer = plain
                .strip_prefix("RW")
                .and_then(|rest| rest.bytes().next());
            let newer = newer.is_some_and(|version| version.is_ascii_digit());
            return Err(if newer {
                InvalidCode::Newer
            } else {
                InvalidCode::NotACode
            });
        };
        let bytes = from_symbols(symbols).ok_or(InvalidCode::Damaged)?;
        let (said, body) = bytes
            .split_first_chunk::<CHECK>()
            .ok_or(InvalidCode::Damaged)?;
        if *said != check(body) {
            return Err(InvalidCode::Damaged);
        }
        let code: EnrolmentCode = codec::decode(body).map_err(|_| InvalidCode::NotACode)?;
        if code.addresses.is_empty() {
            Err(InvalidCode::NotACode)
        } else {
            Ok(code)
        }
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let mut short = [0; CHECK];
    hash::hasher(label::CODE, &[body])
        .finalize_xof()
        .fill(&mut short);
    short
}

/// Five bits a symbol; the last is filled up with zeros.
fn to_symbols(bytes: &[u8]) -> Vec<u8> {
    let mut symbols = Vec::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0u16, 0u32);
    let mut push = |five: u16| symbols.extend(ALPHABET.get(usize::from(five & 31)));
    for byte in bytes {
        held = (held << 8) | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(held >> bits);
        }
    }
    if bits > 0 {
        push(held << (5 - bits));
    }
    symbols
}

fn from_symbols(symbols: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(symbols.len() * 5 / 8);
    let (mut held, mut bits) = (0u16, 0u32);
    for symbol in symbols.bytes() {
        let meant = match symbol {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        let five = ALPHABET.iter().position(|letter| *letter == meant)?;
        held = (held << 5) | u16::try_from(five).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).ok()?);
        }
    }
    // What is left over is less than a symbol, and zero.
    let rest = held & ((1 << bits) - 1);
    (bits < 5 && rest == 0).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn code() -> EnrolmentCode {
        EnrolmentCode {
            addresses: vec![
                "centre.example.org:7443".to_owned(),
                "192.0.2.7:7443".to_owned(),
            ],
            ca: Fingerprint([0xCA; 32]),
            token: Token([0x70; 16]),
            expires: Moment(1_790_000_000_000),
        }
    }

    #[test]
    fn a_code_reads_back_however_it_was_copied() {
        let text = code().to_text();
        let wrapped = text.replace("-", " \n");
        for copy in [
            &text,
            &text.to_lowercase(),
            &wrapped,
            &text.replace("-", ""),
        ] {
            assert_eq!(copy.parse(), Ok(code()));
        }
        let misread = text.replacen("RW1", "rwl", 1);
        assert_eq!(misread.parse::<EnrolmentCode>(), Err(InvalidCode::NotACode));
        let misread = format!("RW1{}", text[3..].replace('0', "o").replace('1', "L"));
        assert_eq!(misread.parse(), Ok(code()));
    }

    #[test]
    fn a_code_keeps_its_form_for_ever() {
        let golden = "RW1-BMGYV-V44G9-VP6SB-EEHS6-ABK5F-1GPTW-3CCMQ-6YWK7-78VK8-D1KDR-RKJCH-\
            E60Q3-4BHQ7-8VK8D-1KB0G-CNJPA-SB5CN-JPASB-5CNJP-ASB5C-NJPAS-B5CNJ-PASB5-CNJPA-SB5CN-\
            JJGE1-R70W3-GE1R7-0W3GE-1R70W-3GE0D-G0001-M3250-V00";
        assert_eq!(code().to_text(), golden);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = code().to_text();
        for (wrong, why) in [
            (String::new(), InvalidCode::NotACode),
            ("hello".to_owned(), InvalidCode::NotACode),
            ("RW2-ABCDE".to_owned(), InvalidCode::Newer),
            ("RW1".to_owned(), InvalidCode::Damaged),
            ("RW1-!".to_owned(), InvalidCode::Damaged),
            (text[..text.len() - 1].to_owned(), InvalidCode::Damaged),
            (format!("{text}0"), InvalidCode::Damaged),
            (text.repeat(2), InvalidCode::Damaged),
            ("RW1".repeat(2_000), InvalidCode::NotACode),
        ] {
            assert_eq!(wrong.parse::<EnrolmentCode>(), Err(why), "{wrong}");
        }
        let nowhere = EnrolmentCode {
            addresses: vec![],
            ..code()
        };
        assert_eq!(
            nowhere.to_text().parse::<EnrolmentCode>(),
            Err(InvalidCode::NotACode)
        );
    }

    #[test]
    fn the_token_is_not_printed() {
        assert!(!format!("{:?}", code()).contains("70"));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_as_symbols(bytes in vec(any::<u8>(), 0..40)) {
            let symbols = String::from_utf8(to_symbols(&bytes)).unwrap();
            prop_assert_eq!(from_symbols(&symbols), Some(bytes));
        }

        #[test]
        fn any_text_gives_an_answer(text in "(RW1)?.{0,60}") {
            prop_assert!(text.parse::<EnrolmentCode>().is_err());
        }

        #[test]
        fn one_wrong_character_is_found(place in any::<prop::sample::Index>(), with in 0usize..32) {
            let text = code().to_text();
            let mut wrong = text.clone().into_bytes();
            let place = 4 + place.index(wrong.len() - 4);
            if wrong[place] != b'-' && wrong[place] != ALPHABET[with] {
                wrong[place] = ALPHABET[with];
                let wrong = String::from_utf8(wrong).unwrap();
                prop_assert_eq!(wrong.parse::<EnrolmentCode>(), Err(InvalidCode::Damaged));
            }
        }
    }
}
