//! Days and times of day: values that were handed in, and the calendar's arithmetic.

use std::{fmt, str::FromStr};

use names::Moment;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A text that is not a date or a time of day. Names the form, not the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidTime {
    /// The form it should have.
    pub form: &'static str,
}

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid time: expected {}", self.form)
    }
}

impl std::error::Error for InvalidTime {}

const DAY_FORM: InvalidTime = InvalidTime {
    form: "a date as 2026-03-31, years 1800 to 9999",
};
const TIME_FORM: InvalidTime = InvalidTime {
    form: "a time of day as 09:30",
};
/// The earliest year that can be written: nobody in a record was born before it.
const YEAR_MIN: i64 = 1800;
/// The last year of four digits.
const YEAR_MAX: i64 = 9999;
const DAY_MS: i64 = 86_400_000;

/// A day of the Gregorian calendar, written `2026-03-31`. Ordered as the calendar is.
///
/// Its text names it the same everywhere; whose midnight begins it is not its concern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: i16,
    month: u8,
    day: u8,
}

impl Day {
    /// The day with these numbers.
    ///
    /// # Errors
    /// [`InvalidTime`] if the calendar has no such day, or the year is not 1800 to 9999.
    pub fn new(year: i64, month: u8, day: u8) -> Result<Day, InvalidTime> {
        let known = (YEAR_MIN..=YEAR_MAX).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        match (known, i16::try_from(year)) {
            (true, Ok(year)) => Ok(Day { year, month, day }),
            _ => Err(DAY_FORM),
        }
    }

    /// The year.
    pub fn year(self) -> i64 {
        i64::from(self.year)
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        self.day
    }

    /// The day on which a moment falls in UTC. Moments outside the years 1800 to 9999 fall on
    /// the first or the last day that can be written.
    pub fn of(moment: Moment) -> Day {
        Day::from_number(moment.0.div_euclid(DAY_MS))
    }

    /// Days since 1970-01-01, which is 0.
    pub fn number(self) -> i64 {
        // The civil calendar shifted to begin in March, so that the leap day comes last
        // (H. Hinnant, "chrono-compatible low-level date algorithms").
        let month = i64::from(self.month);
        let year = self.year() - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The day this many days later, or earlier if negative; stops at the first and the last day
    /// that can be written.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Day {
        Day::from_number(self.number().saturating_add(days))
    }

    /// Whole years from this day to `later`: an age. Somebody born on 29 February turns a year
    /// older on 1 March of a common year.
    pub fn years_until(self, later: Day) -> i64 {
        let before_birthday = (later.month, later.day) < (self.month, self.day);
        later.year() - self.year() - i64::from(before_birthday)
    }

    fn from_number(number: i64) -> Day {
        let first = Day {
            year: 1800,
            month: 1,
            day: 1,
        };
        let last = Day {
            year: 9999,
            month: 12,
            day: 31,
        };
        let number = number.clamp(first.number(), last.number());
        let shifted = number + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // The clamp above keeps every part in its type's range.
        Day {
            year: year as i16,
            month: month as u8,
            day: day as u8,
        }
    }
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Decimal digits only: `parse` alone would take a sign.
fn digits(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

impl FromStr for Day {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Day, InvalidTime> {
        let mut parts = text.split('-');
        let (Some(year), Some(month), Some(day), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(DAY_FORM);
        };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return Err(DAY_FORM);
        }
        match (digits(year), digits(month), digits(day)) {
            (Some(year), Some(month), Some(day)) => {
                Day::new(i64::from(year), month as u8, day as u8)
            }
            _ => Err(DAY_FORM),
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Day({self})")
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A time of day as a clock on the venue's wall shows it, written `09:30`. No time zone: a
/// session's times are the venue's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    minutes: u16,
}

impl TimeOfDay {
    /// The time with this hour (0 to 23) and minute (0 to 59).
    ///
    /// # Errors
    /// [`InvalidTime`] if no clock shows it.
    pub fn new(hour: u16, minute: u16) -> Result<TimeOfDay, InvalidTime> {
        if hour < 24 && minute < 60 {
            Ok(TimeOfDay {
                minutes: hour * 60 + minute,
            })
        } else {
            Err(TIME_FORM)
        }
    }

    /// Minutes since midnight, 0 to 1,439.
    pub fn minutes(self) -> u16 {
        self.minutes
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<TimeOfDay, InvalidTime> {
        let (hour, minute) = text.split_once(':').ok_or(TIME_FORM)?;
        if (hour.len(), minute.len()) != (2, 2) {
            return Err(TIME_FORM);
        }
        match (digits(hour), digits(minute)) {
            (Some(hour), Some(minute)) => TimeOfDay::new(hour, minute),
            _ => Err(TIME_FORM),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeOfDay({self})")
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeOfDay, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_goes_round_for_four_hundred_years() {
        let mut day: Day = "1800-01-01".parse().expect("a day");
        for _ in 0..=146_097 {
            assert_eq!(Day::from_number(day.number()), day);
            assert_eq!(day.to_string().parse(), Ok(day));
            let next = day.plus_days(1);
            assert!(next > day);
            assert_eq!(next.number(), day.number() + 1);
            day = next;
        }
        assert_eq!(day.to_string(), "2200-01-02");
    }

    #[test]
    fn moments_fall_on_their_day() {
        for (ms, day) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000, "2000-02-29"),
            (1_774_915_199_999, "2026-03-30"),
            (1_774_915_200_000, "2026-03-31"),
            (i64::MIN, "1800-01-01"),
            (i64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Day::of(Moment(ms)).to_string(), day);
        }
    }

    #[test]
    fn what_no_calendar_or_clock_shows_is_refused() {
        for text in [
            "",
            "2026",
            "2026-3-31",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "1799-12-31",
            "+026-01-01",
            "2026-01-01 ",
            "2026-01-01-01",
            "26-01-0001",
            "1900-02-29",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text} was taken");
        }
        for text in [
            "", "9:30", "24:00", "12:60", "12-30", "-1:30", "12:3a", "012:30",
        ] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text} was taken");
        }
        assert_eq!(
            "23:59".parse::<TimeOfDay>().map(TimeOfDay::minutes),
            Ok(1_439)
        );
    }

    #[test]
    fn ages_turn_on_the_birthday() {
        let born: Day = "2004-02-29".parse().expect("a day");
        for (on, age) in [
            ("2005-02-28", 0),
            ("2005-03-01", 1),
            ("2024-02-28", 19),
            ("2024-02-29", 20),
        ] {
            assert_eq!(born.years_until(on.parse().expect("a day")), age, "{on}");
        }
    }
}
