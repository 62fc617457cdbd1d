//! Which day is a number of seconds?
//!
//! The proleptic Gregorian calendar, by counting in 400-year cycles from a March (after Howard Hinnant's "chrono-compatible
//! low-level date algorithms").

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;
/// Days of 400 years.
const CYCLE_DAYS: i64 = 146_097;
/// Days from the first of March of year 0 to 1970.
const EPOCH_DAYS: i64 = 719_468;
/// Seconds further from 1970 than this are refused; they are some 300 million years away.
const SECONDS_MAX: f64 = 1e16;

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub year: i64,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// Sunday is 0.
    pub week_day: u8,
    /// From 0.
    pub year_day: u16,
}

impl Time {
    /// The moment that is so many seconds behind the beginning of 1970; fractions are dropped.
    pub fn from_number(number: f64) -> Option<Time> {
        (number.abs() <= SECONDS_MAX).then(|| Time::from_seconds(number as i64))
    }

    fn from_seconds(seconds: i64) -> Time {
        let days = seconds.div_euclid(DAY_S);
        let rest = seconds.rem_euclid(DAY_S);
        let (year, month, day) = date(days);
        let year_start = days_from_date(year, 1, 1);
        let small = |number: i64| u8::try_from(number).expect("a part of a day, a week or a year");
        Time {
            year,
            month,
            day,
            hour: small(rest / 3600),
            minute: small(rest / 60 % 60),
            second: small(rest % 60),
            week_day: small((days + 4).rem_euclid(7)),
            year_day: u16::try_from(days - year_start).expect("a year has 366 days at most"),
        }
    }

    /// The seconds again.
    pub fn seconds(&self) -> i64 {
        days_from_date(self.year, self.month, self.day) * DAY_S
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }

    /// Year and week by ISO 8601: week 1 has the year's first Thursday.
    pub fn iso_week(&self) -> (i64, i64) {
        let week_day = i64::from((self.week_day + 6) % 7);
        let thursday = i64::from(self.year_day) - week_day + 3;
        let year_days = |year: i64| if is_leap(year) { 366 } else { 365 };
        if thursday < 0 {
            return (self.year - 1, (thursday + year_days(self.year - 1)) / 7 + 1);
        }
        match thursday - year_days(self.year) {
            rest if rest >= 0 => (self.year + 1, rest / 7 + 1),
            _ => (self.year, thursday / 7 + 1),
        }
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The date that lies so many days behind the beginning of 1970.
fn date(days: i64) -> (i64, u8, u8) {
    let days = days + EPOCH_DAYS;
    let cycle = days.div_euclid(CYCLE_DAYS);
    let in_cycle = days.rem_euclid(CYCLE_DAYS);
    let year_in_cycle = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_in_cycle + cycle * 400 + i64::from(month <= 2);
    let small = |number: i64| u8::try_from(number).expect("a month or a day");
    (year, small(month), small(day))
}

/// How many days a date lies behind the beginning of 1970.
pub fn days_from_date(year: i64, month: u8, day: u8) -> i64 {
    let year = year - i64::from(month <= 2);
    let cycle = year.div_euclid(400);
    let year_in_cycle = year.rem_euclid(400);
    let march_month = (i64::from(month) + 9) % 12;
    let in_year = (153 * march_month + 2) / 5 + i64::from(day) - 1;
    let in_cycle = year_in_cycle * 365 + year_in_cycle / 4 - year_in_cycle / 100 + in_year;
    cycle * CYCLE_DAYS + in_cycle - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        let time = Time::from_number(1_706_294_258.9).unwrap();
        let expected = Time {
            year: 2024,
            month: 1,
            day: 26,
            hour: 18,
            minute: 37,
            second: 38,
            week_day: 5,
            year_day: 25,
        };
        assert_eq!(time, expected);
        assert_eq!(Time::from_seconds(-1).year, 1969);
        assert_eq!((Time::from_number(f64::NAN), Time::from_number(1e17)), (None, None));
    }

    #[test]
    fn iso_weeks_at_the_ends_of_years() {
        let week = |year, month, day| {
            Time::from_seconds(days_from_date(year, month, day) * DAY_S).iso_week()
        };
        assert_eq!(week(2021, 1, 3), (2020, 53));
        assert_eq!(week(2021, 1, 4), (2021, 1));
        assert_eq!(week(2018, 12, 31), (2019, 1));
        assert_eq!(week(2020, 12, 31), (2020, 53));
    }

    proptest! {
        #[test]
        fn seconds_come_back(seconds in -1_000_000_000_000i64..1_000_000_000_000) {
            let time = Time::from_seconds(seconds);
            prop_assert_eq!(time.seconds(), seconds);
            let next = Time::from_seconds(seconds + DAY_S);
            prop_assert_eq!((time.week_day + 1) % 7, next.week_day);
            prop_assert!(next.year_day == time.year_day + 1 || next.year_day == 0);
        }
    }
}
