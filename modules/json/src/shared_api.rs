//! How do other modules read values without going through JSON text?
//!
//! Modules written in C use the functions of `raw`. For those of this SDK, which need no pointers, the service [`SERVICE`]
//! answers what some paths find in the document of a key, typed; `questions` reads what is asked. Numbers are little-endian.
//!
//! ```text
//! request   string: the key; then questions
//! question  00 string: a path; all that it finds
//!           01 string: a path; the first value that it finds, arrays and objects as text
//!           02 string: a path; the text that JSON.GET answers for it
//!           03 string: a path, u32: n, then n questions (not 02), which are asked of each object that the path finds, `$` being that object
//! answer    one chunk with an answer per question, in order; no chunk if the key holds no document
//!           to 00, 01, 02  u32: number of values, then the values; a path that cannot be read finds nothing
//!           to 03  u32: number of objects, then for each of them the answers to the n questions
//! value     00 null · 01 false · 02 true · 03 f64: a number · 04 string · 05 u32, values: an array
//!           06 an object, or an array inside an array inside an array · 07 string: JSON text
//!           08 u32, f64s: an array that holds numbers and nothing else
//! string    u32: length, then the bytes
//! ```
//!
//! The name ends in a version: a change of the format gets a new name.

mod questions;
pub(crate) mod raw;

use mortise_module::{Context, Error, ServiceSpec};

use self::questions::{Ask, Question};
use crate::commands::get;
use crate::error::JsonError;
use crate::limits::reply_bytes;
use crate::path::{Query, TooCostly};
use crate::rdb::JSON;
use crate::value::{ArrayView, Value, View};
use crate::write::{Format, to_text};

/// The service by which another module can read the fields of a document at once.
pub(crate) const SERVICE: ServiceSpec = ServiceSpec { name: "json.values.2", handler: values };

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const ARRAY: u8 = 5;
const OTHER: u8 = 6;
const TEXT: u8 = 7;
const NUMBERS: u8 = 8;

/// How deep arrays are opened: several vectors at one path are arrays within an array.
const ARRAYS_DEEP: usize = 2;
/// Room for an answer to begin with: most are the few fields of an index.
const FIRST_BYTES: usize = 512;
/// Bytes that an answer may have if replies may have any number: lengths have 32 bits.
const ANSWER_BYTES_MAX: usize = 1 << 31;

fn values(
    ctx: &mut Context<'_>,
    mut request: &[u8],
    answer: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let key = questions::take_string(&mut request)?;
    let key = ctx.open_read(key);
    let Ok(Some(document)) = key.value(&JSON) else { return Ok(()) };
    let questions = questions::read(request)?;
    let mut chunk = Chunk {
        bytes: Vec::with_capacity(FIRST_BYTES),
        bytes_max: reply_bytes().min(ANSWER_BYTES_MAX),
    };
    chunk.answers(&questions, document.0.view())?;
    answer(&chunk.bytes);
    Ok(())
}

/// The answer as it is being written.
struct Chunk {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Chunk {
    fn answers(&mut self, questions: &[Question], root: View<'_>) -> Result<(), JsonError> {
        questions.iter().try_for_each(|question| match &question.query {
            Some(query) => self.answer(&question.ask, query, root),
            None => {
                self.len(0);
                Ok(())
            }
        })
    }

    fn answer(&mut self, ask: &Ask, query: &Query, root: View<'_>) -> Result<(), JsonError> {
        let at = self.bytes.len();
        self.len(0);
        let count = match ask {
            Ask::All => self.each(query, root, |chunk, view| {
                chunk.value(view, ARRAYS_DEEP);
                Ok(true)
            })?,
            Ask::First => self.first(query, root)?,
            Ask::Text => match get::text_of(query, root) {
                Ok(text) => {
                    self.string(TEXT, &text);
                    1
                }
                // One path of several that JSON.GET would refuse.
                Err(_) => 0,
            },
            Ask::Elements(questions) => self.each(query, root, |chunk, view| match view {
                View::Object(_) => chunk.answers(questions, view).map(|()| true),
                _ => Ok(false),
            })?,
        };
        if self.bytes.len() > self.bytes_max {
            return Err(JsonError::ReplyTooLarge);
        }
        self.bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }

    /// Hands everything that a query yields to `put`; counts what it says to count.
    fn each(
        &mut self,
        query: &Query,
        root: View<'_>,
        mut put: impl FnMut(&mut Chunk, View<'_>) -> Result<bool, JsonError>,
    ) -> Result<u32, JsonError> {
        let mut count = 0;
        match query {
            Query::Path(path) => {
                let mut failure = None;
                let walked = path.for_each(root, |view| {
                    match put(self, view) {
                        Ok(counts) => count += u32::from(counts),
                        Err(error) => failure = Some(error),
                    }
                    let stop = failure.is_some() || self.bytes.len() > self.bytes_max;
                    if stop { Err(TooCostly) } else { Ok(()) }
                });
                if let Some(error) = failure {
                    return Err(error);
                }
                walked?;
            }
            Query::Computed(computed) => {
                for value in &computed.values(root)? {
                    count += u32::from(put(self, value.view())?);
                }
            }
        }
        Ok(count)
    }

    fn first(&mut self, query: &Query, root: View<'_>) -> Result<u32, JsonError> {
        let computed;
        let first = match query {
            Query::Path(path) => path.first(root)?,
            Query::Computed(query) => {
                computed = query.values(root)?;
                computed.first().map(Value::view)
            }
        };
        match first {
            None => return Ok(0),
            Some(view @ (View::Array(_) | View::Object(_))) => {
                self.string(TEXT, &to_text(view, Format::COMPACT));
            }
            Some(scalar) => self.value(scalar, 0),
        }
        Ok(1)
    }

    /// A value in which arrays are opened so deep.
    fn value(&mut self, view: View<'_>, arrays_deep: usize) {
        match view {
            View::Null => self.bytes.push(NULL),
            View::Bool(false) => self.bytes.push(FALSE),
            View::Bool(true) => self.bytes.push(TRUE),
            View::Text(text) => self.string(STRING, text),
            View::Array(array) if arrays_deep > 0 => self.array(array, arrays_deep - 1),
            View::Array(_) | View::Object(_) => self.bytes.push(OTHER),
            View::Int(_) | View::Unsigned(_) | View::Float(_) => {
                self.bytes.push(NUMBER);
                self.number(view);
            }
        }
    }

    fn array(&mut self, array: ArrayView<'_>, arrays_deep: usize) {
        let is_number =
            |view: View<'_>| matches!(view, View::Int(_) | View::Unsigned(_) | View::Float(_));
        if !array.is_empty() && array.iter().all(is_number) {
            self.bytes.push(NUMBERS);
            self.len(array.len());
            array.iter().for_each(|number| self.number(number));
        } else {
            self.bytes.push(ARRAY);
            self.len(array.len());
            array.iter().for_each(|element| self.value(element, arrays_deep));
        }
    }

    fn number(&mut self, view: View<'_>) {
        let number = match view {
            View::Int(value) => value as f64,
            View::Unsigned(value) => value as f64,
            View::Float(value) => value,
            _ => unreachable!("only numbers are handed over"),
        };
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn string(&mut self, tag: u8, text: &[u8]) {
        self.bytes.push(tag);
        self.len(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn len(&mut self, len: usize) {
        let len = u32::try_from(len).expect("matches, elements and strings are fewer than 2^32");
        self.bytes.extend_from_slice(&len.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::parse;

    const DOCUMENT: &str = r#"{"a":[null,true,2,"x",{"y":1},[3,[4]]],"b":{"a":1.5},"v":[[1,2],[3.5]],
        "o":[{"p":1,"t":["x"]},7,{"t":[]}]}"#;

    /// A question with its path; `more` follows behind it.
    fn question(form: u8, path: &str, more: &[u8]) -> Vec<u8> {
        let len = u32::try_from(path.len()).unwrap().to_le_bytes();
        [&[form][..], &len, path.as_bytes(), more].concat()
    }

    fn answer(request: &[u8]) -> Vec<u8> {
        let document = parse(DOCUMENT).unwrap();
        let questions = questions::read(request).unwrap();
        let mut chunk = Chunk { bytes: Vec::new(), bytes_max: 1000 };
        chunk.answers(&questions, document.value.view()).unwrap();
        chunk.bytes
    }

    fn number(value: f64) -> Vec<u8> {
        [&[NUMBER][..], &value.to_le_bytes()].concat()
    }

    #[test]
    fn matches_are_typed_and_arrays_are_opened_twice() {
        let inner = [&[ARRAY, 2, 0, 0, 0][..], &number(3.0), &[OTHER]].concat();
        let array =
            [&[ARRAY, 6, 0, 0, 0, NULL, TRUE][..], &number(2.0), b"\x04\x01\0\0\0x\x06"].concat();
        let expected = [&[2, 0, 0, 0][..], &array, &inner, &number(1.5)].concat();
        assert_eq!(answer(&question(0, "$..a", b"")), expected);
        let vectors = [
            &[1, 0, 0, 0, ARRAY, 2, 0, 0, 0, NUMBERS, 2, 0, 0, 0][..],
            &1f64.to_le_bytes(),
            &2f64.to_le_bytes(),
            &[NUMBERS, 1, 0, 0, 0],
            &3.5f64.to_le_bytes(),
        ];
        assert_eq!(answer(&question(0, ".v", b"")), vectors.concat());
    }

    #[test]
    fn first_values_and_texts() {
        assert_eq!(answer(&question(1, "$.a[1:]", b"")), [1, 0, 0, 0, TRUE]);
        assert_eq!(answer(&question(1, "b", b"")), b"\x01\0\0\0\x07\x09\0\0\0{\"a\":1.5}");
        assert_eq!(
            answer(&question(1, "$.b.a + 1", b"")),
            [&[1, 0, 0, 0][..], &number(2.5)].concat()
        );
        assert_eq!(answer(&question(2, "$.a[2:4]", b"")), b"\x01\0\0\0\x07\x07\0\0\0[2,\"x\"]");
        assert_eq!(answer(&question(2, ".b.a", b"")), b"\x01\0\0\0\x07\x03\0\0\x001.5");
        for (form, path) in
            [(1, "$.none"), (2, ".none"), (0, "$["), (1, "$["), (2, "$["), (3, "$[")]
        {
            let more: &[u8] = if form == 3 { &[0, 0, 0, 0] } else { b"" };
            assert_eq!(answer(&question(form, path, more)), [0; 4], "{form} {path}");
        }
    }

    #[test]
    fn elements_are_asked_one_by_one() {
        let inner = [question(0, "$.p", b""), question(0, "$.t[*]", b"")].concat();
        let request = question(3, "$.o[*]", &[&[2, 0, 0, 0][..], &inner].concat());
        let expected = [
            &[2, 0, 0, 0, 1, 0, 0, 0][..],
            &number(1.0),
            &[1, 0, 0, 0, STRING, 1, 0, 0, 0, b'x'],
            &[0; 8],
        ];
        assert_eq!(answer(&request), expected.concat());
    }

    #[test]
    fn answers_are_bounded() {
        let document = parse(DOCUMENT).unwrap();
        let questions = questions::read(&question(0, "$..*", b"")).unwrap();
        let mut chunk = Chunk { bytes: Vec::new(), bytes_max: 100 };
        assert!(chunk.answers(&questions, document.value.view()).is_err());
    }
}
