//! How is a time written by a pattern, and read by one?

use super::calendar::{DAY_S, Time, days_from_date};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// Letters of a short name.
const SHORT: usize = 3;

/// What a compound conversion stands for.
fn compound(conversion: u8) -> Option<&'static [u8]> {
    Some(match conversion {
        b'c' => b"%a %b %e %H:%M:%S %Y",
        b'D' | b'x' => b"%m/%d/%y",
        b'F' => b"%Y-%m-%d",
        b'r' => b"%I:%M:%S %p",
        b'R' => b"%H:%M",
        b'T' | b'X' => b"%H:%M:%S",
        b'+' => b"%a %b %e %H:%M:%S GMT %Y",
        _ => return None,
    })
}

/// Writes a time; none if it would be longer than `bytes_max`.
pub fn show(time: &Time, pattern: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    append(time, pattern, &mut out, bytes_max)?;
    Some(out)
}

fn append(time: &Time, pattern: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Option<()> {
    let mut at = 0;
    while at < pattern.len() {
        let start = at;
        let byte = pattern[at];
        at += 1;
        if byte != b'%' {
            out.push(byte);
        } else {
            // E and O ask for the locale's other forms, which the C locale does not have.
            if matches!(pattern.get(at), Some(b'E' | b'O')) {
                at += 1;
            }
            let conversion = pattern.get(at).copied();
            at += 1;
            match conversion {
                Some(conversion) => match compound(conversion) {
                    Some(pattern) => append(time, pattern, out, bytes_max)?,
                    None => match simple(time, conversion) {
                        Some(text) => out.extend_from_slice(text.as_bytes()),
                        // Unknown ones stay as they are.
                        None => out.extend_from_slice(&pattern[start..at]),
                    },
                },
                None => out.extend_from_slice(&pattern[start..]),
            }
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    Some(())
}

fn simple(time: &Time, conversion: u8) -> Option<String> {
    let hour12 = (time.hour + 11) % 12 + 1;
    let half = if time.hour < 12 { "AM" } else { "PM" };
    let (year_day, week_day) = (i64::from(time.year_day), i64::from(time.week_day));
    let day = DAYS[usize::from(time.week_day)];
    let month = MONTHS[usize::from(time.month - 1)];
    Some(match conversion {
        b'a' => day[..SHORT].to_owned(),
        b'A' => day.to_owned(),
        b'b' | b'h' => month[..SHORT].to_owned(),
        b'B' => month.to_owned(),
        b'C' => format!("{:02}", time.year.div_euclid(100)),
        b'd' => format!("{:02}", time.day),
        b'e' => format!("{:2}", time.day),
        b'g' => format!("{:02}", time.iso_week().0.rem_euclid(100)),
        b'G' => time.iso_week().0.to_string(),
        b'H' => format!("{:02}", time.hour),
        b'I' => format!("{hour12:02}"),
        b'j' => format!("{:03}", time.year_day + 1),
        b'k' => format!("{:2}", time.hour),
        b'l' => format!("{hour12:2}"),
        b'm' => format!("{:02}", time.month),
        b'M' => format!("{:02}", time.minute),
        b'n' => "\n".to_owned(),
        b'p' => half.to_owned(),
        b'P' => half.to_ascii_lowercase(),
        b's' => time.seconds().to_string(),
        b'S' => format!("{:02}", time.second),
        b't' => "\t".to_owned(),
        b'u' => (if week_day == 0 { 7 } else { week_day }).to_string(),
        b'U' => format!("{:02}", (year_day + 7 - week_day) / 7),
        b'V' => format!("{:02}", time.iso_week().1),
        b'w' => week_day.to_string(),
        b'W' => format!("{:02}", (year_day + 7 - (week_day + 6) % 7) / 7),
        b'y' => format!("{:02}", time.year.rem_euclid(100)),
        b'Y' => time.year.to_string(),
        b'z' => "+0000".to_owned(),
        b'Z' => "GMT".to_owned(),
        b'%' => "%".to_owned(),
        _ => return None,
    })
}

/// What has been read so far. Parts that the pattern does not name are those of the beginning of 1900, as in C.
#[derive(Debug)]
struct Parts {
    year: i64,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    /// `%s`: the whole time.
    seconds: Option<i64>,
}

/// Reads a time by a pattern: seconds since 1970. What stands behind the end of the pattern is ignored.
pub fn read(text: &[u8], pattern: &[u8]) -> Option<i64> {
    let mut parts = Parts {
        year: 1900,
        century: None,
        month: None,
        day: None,
        year_day: None,
        hour: 0,
        afternoon: None,
        minute: 0,
        second: 0,
        seconds: None,
    };
    let mut rest = text;
    take(&mut parts, &mut rest, pattern)?;
    parts.finish()
}

impl Parts {
    fn finish(self) -> Option<i64> {
        if let Some(seconds) = self.seconds {
            return Some(seconds);
        }
        let year = match self.century {
            Some(century) => century * 100 + self.year.rem_euclid(100),
            None => self.year,
        };
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let days = match (self.year_day, self.month, self.day) {
            (Some(year_day), None, None) => days_from_date(year, 1, 1) + year_day,
            (_, month, day) => {
                // C's timegm() takes the day before the first where none was read.
                let month = u8::try_from(month.unwrap_or(0) + 1).ok()?;
                days_from_date(year, month, 1) + day.unwrap_or(0) - 1
            }
        };
        Some(days * DAY_S + hour * 3600 + self.minute * 60 + self.second)
    }
}

fn skip_blanks(rest: &mut &[u8]) {
    *rest = rest.trim_ascii_start();
}

fn take(parts: &mut Parts, rest: &mut &[u8], pattern: &[u8]) -> Option<()> {
    let mut pattern = pattern;
    while let Some((&byte, behind)) = pattern.split_first() {
        pattern = behind;
        if byte.is_ascii_whitespace() {
            skip_blanks(rest);
        } else if byte != b'%' {
            *rest = rest.strip_prefix(&[byte])?;
        } else {
            if let [b'E' | b'O' | b'-' | b'_' | b'0' | b'^' | b'#', behind @ ..] = pattern {
                pattern = behind;
            }
            let (&conversion, behind) = pattern.split_first()?;
            pattern = behind;
            match compound(conversion) {
                Some(pattern) => take(parts, rest, pattern)?,
                None => convert(parts, rest, conversion)?,
            }
        }
    }
    Some(())
}

fn convert(parts: &mut Parts, rest: &mut &[u8], conversion: u8) -> Option<()> {
    match conversion {
        b'a' | b'A' => {
            name(rest, &DAYS)?;
        }
        b'b' | b'B' | b'h' => parts.month = Some(name(rest, &MONTHS)?),
        b'C' => parts.century = Some(number(rest, 0, 99, 2)?),
        b'd' | b'e' => parts.day = Some(number(rest, 1, 31, 2)?),
        b'H' | b'k' => {
            parts.hour = number(rest, 0, 23, 2)?;
            parts.afternoon = None;
        }
        b'I' | b'l' => {
            parts.hour = number(rest, 1, 12, 2)? % 12;
            parts.afternoon.get_or_insert(false);
        }
        b'j' => parts.year_day = Some(number(rest, 1, 366, 3)? - 1),
        b'm' => parts.month = Some(number(rest, 1, 12, 2)? - 1),
        b'M' => parts.minute = number(rest, 0, 59, 2)?,
        b'n' | b't' => skip_blanks(rest),
        b'p' | b'P' => {
            let half = rest.get(..2)?.to_ascii_uppercase();
            parts.afternoon = Some(match half.as_slice() {
                b"AM" => false,
                b"PM" => true,
                _ => return None,
            });
            *rest = &rest[2..];
        }
        b's' => parts.seconds = Some(number(rest, 0, i64::MAX, 18)?),
        b'S' => parts.second = number(rest, 0, 61, 2)?,
        b'u' => drop(number(rest, 1, 7, 1)?),
        b'w' => drop(number(rest, 0, 6, 1)?),
        b'U' | b'W' | b'V' => drop(number(rest, 0, 53, 2)?),
        b'y' => {
            let year = number(rest, 0, 99, 2)?;
            parts.year = if year < 69 { 2000 + year } else { 1900 + year };
        }
        b'Y' => parts.year = number(rest, 0, 9999, 4)?,
        b'z' => zone(rest)?,
        b'Z' => {}
        b'%' => *rest = rest.strip_prefix(b"%")?,
        _ => return None,
    }
    Some(())
}

/// A number of at most so many digits, with blanks in front.
fn number(rest: &mut &[u8], min: i64, max: i64, digits_max: usize) -> Option<i64> {
    skip_blanks(rest);
    let mut value = 0i64;
    let mut digits = 0;
    while digits < digits_max
        && let Some(digit) = rest.get(digits).filter(|byte| byte.is_ascii_digit())
    {
        let next = value * 10 + i64::from(digit - b'0');
        // A digit that would leave the range belongs to what follows.
        if next > max {
            break;
        }
        value = next;
        digits += 1;
    }
    *rest = &rest[digits..];
    (digits > 0 && value >= min).then_some(value)
}

/// The number of a name, in full or by its first three letters.
fn name(rest: &mut &[u8], names: &[&str]) -> Option<i64> {
    for (at, name) in names.iter().enumerate() {
        for name in [name, &name[..SHORT]] {
            let found = rest.get(..name.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
                *rest = &rest[name.len()..];
                return i64::try_from(at).ok();
            }
        }
    }
    None
}

/// A time zone's distance is read and, as by C's timegm(), not reckoned with.
fn zone(rest: &mut &[u8]) -> Option<()> {
    skip_blanks(rest);
    if let [b'Z', behind @ ..] = rest {
        *rest = behind;
        return Some(());
    }
    let [b'+' | b'-', behind @ ..] = *rest else { return None };
    *rest = behind;
    let before = rest.len();
    number(rest, 0, 9999, 4)?;
    if before - rest.len() == 2 {
        if let [b':', behind @ ..] = rest {
            *rest = behind;
        }
        number(rest, 0, 59, 2)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: f64, pattern: &str) -> String {
        let time = Time::from_number(seconds).unwrap();
        String::from_utf8(show(&time, pattern.as_bytes(), 1000).unwrap()).unwrap()
    }

    #[test]
    fn conversions_are_those_of_strftime() {
        // What `date -u -d @1517417144 +...` prints.
        let cases = [
            ("%FT%TZ", "2018-01-31T16:45:44Z"),
            ("%c", "Wed Jan 31 16:45:44 2018"),
            ("%A %B %e %j %U %W %V %G %g", "Wednesday January 31 031 04 05 05 2018 18"),
            ("%I:%M %p %P %l %k|%r", "04:45 PM pm  4 16|04:45:44 PM"),
            ("%D %x %X %R", "01/31/18 01/31/18 16:45:44 16:45"),
            ("%C %y %u %w %s %z %Z", "20 18 3 3 1517417144 +0000 GMT"),
            ("100%% %q %", "100% %q %"),
            ("%Ey %Od", "18 31"),
        ];
        for (pattern, expected) in cases {
            assert_eq!(shown(1_517_417_144.0, pattern), expected, "{pattern}");
        }
        assert_eq!(shown(0.0, "%I %p"), "12 AM");
        let time = Time::from_number(0.0).unwrap();
        assert_eq!(show(&time, b"%A%A%A", 20), None);
    }

    #[test]
    fn what_was_written_is_read() {
        for seconds in [0.0, 951_782_400.0, 1_517_417_144.0, 4_102_444_799.0] {
            for pattern in ["%FT%TZ", "%d %B %Y %H:%M:%S", "%b %e %Y %I:%M:%S %p", "%Y-%j %T", "%s"]
            {
                let text = shown(seconds, pattern);
                let read = read(text.as_bytes(), pattern.as_bytes());
                assert_eq!(read, Some(seconds as i64), "{text} by {pattern}");
            }
        }
        assert_eq!(read(b"2018-13-01", b"%F"), None);
        assert_eq!(read(b"abc", b"%Y"), None);
        assert_eq!(read(b"01/02/99 rest", b"%D"), Some(915_235_200));
    }
}
