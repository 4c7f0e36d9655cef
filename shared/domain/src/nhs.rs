//! NHS numbers.

use std::fmt;

use crate::text::Text;

/// A ten-digit NHS number whose check digit fits. That it is *this* person's it does not say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NhsNumber([u8; 10]);

/// Why a text is not an NHS number that can be recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NhsProblem {
    /// Not ten digits (spaces and hyphens between them are no matter).
    NotTenDigits,
    /// One digit ten times: passes the arithmetic but is nobody's number.
    Repeated,
    /// The check digit does not fit: a digit is wrong or two are swapped.
    WrongCheckDigit,
}

impl NhsNumber {
    /// Reads a number as people write it: ten digits, perhaps with spaces or hyphens.
    ///
    /// The check is modulus 11: digits one to nine weighted 10 down to 2; eleven less the
    /// remainder is the tenth digit, where 11 counts as 0 and 10 cannot be.
    ///
    /// # Errors
    /// [`NhsProblem`] says which check failed, without the digits.
    pub fn parse(text: &str) -> Result<NhsNumber, NhsProblem> {
        let mut digits = [0u8; 10];
        let mut slots = digits.iter_mut();
        for character in text.trim().chars().filter(|c| !matches!(c, ' ' | '-')) {
            let value = character.to_digit(10).ok_or(NhsProblem::NotTenDigits)?;
            *slots.next().ok_or(NhsProblem::NotTenDigits)? = value as u8;
        }
        if slots.next().is_some() {
            return Err(NhsProblem::NotTenDigits);
        }
        let [first, .., last] = digits;
        if digits.iter().all(|digit| *digit == first) {
            return Err(NhsProblem::Repeated);
        }
        let weights = (2..=10u32).rev();
        let sum: u32 = digits
            .iter()
            .zip(weights)
            .map(|(d, w)| u32::from(*d) * w)
            .sum();
        let expected = match 11 - sum % 11 {
            11 => 0,
            check => check,
        };
        if u32::from(last) == expected {
            Ok(NhsNumber(digits))
        } else {
            Err(NhsProblem::WrongCheckDigit)
        }
    }

    /// The ten digits, as they are kept.
    pub fn to_text(self) -> Text {
        let digits: String = self
            .0
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        Text::from(digits)
    }

    /// Whether it lies in the range that is never issued (999 000 0000 and above): test data.
    pub fn is_test(self) -> bool {
        matches!(self.0, [9, 9, 9, ..])
    }
}

impl fmt::Debug for NhsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NhsNumber(10 digits)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_can_be_recorded() {
        for (text, test) in [
            ("943 476 5919", false),
            ("9876543210", false),
            ("4010232137", false),
            ("9912003888", false),
            ("999 100 0003", true),
            ("9990123454", true),
            ("9991158383", true),
            ("9991237577", true),
            ("9991316760", true),
            ("9991395954", true),
            ("9991475141", true),
            (" 943-476-5919 ", false),
        ] {
            let number = NhsNumber::parse(text).expect(text);
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(number.to_text().as_str(), digits);
            assert_eq!(number.is_test(), test, "{text}");
        }
    }

    #[test]
    fn numbers_that_cannot() {
        use NhsProblem::{NotTenDigits, WrongCheckDigit};
        for (text, problem) in [
            ("943 476 5918", WrongCheckDigit),
            ("8449303649", WrongCheckDigit),
            ("943476591", NotTenDigits),
            ("94347659190", NotTenDigits),
            ("943 476 591X", NotTenDigits),
            ("", NotTenDigits),
            ("٩٤٣٤٧٦٥٩١٩", NotTenDigits),
        ] {
            assert_eq!(NhsNumber::parse(text), Err(problem), "{text}");
        }
        for last in 0..10 {
            for stem in ["999000000", "123456789"] {
                let parsed = NhsNumber::parse(&format!("{stem}{last}"));
                assert_eq!(parsed, Err(WrongCheckDigit), "{stem}{last}");
            }
            let repeated = last.to_string().repeat(10);
            assert_eq!(NhsNumber::parse(&repeated), Err(NhsProblem::Repeated));
        }
    }

    #[test]
    fn every_single_slip_is_caught() {
        let right = b"9434765919";
        for place in 0..10 {
            for digit in b'0'..=b'9' {
                let mut typed = *right;
                if let Some(slot) = typed.get_mut(place) {
                    *slot = digit;
                }
                let taken = NhsNumber::parse(&String::from_utf8_lossy(&typed)).is_ok();
                assert_eq!(taken, typed == *right);
            }
        }
        for place in 0..9 {
            let mut typed = *right;
            typed.swap(place, place + 1);
            let taken = NhsNumber::parse(&String::from_utf8_lossy(&typed)).is_ok();
            assert_eq!(taken, typed == *right);
        }
    }
}
