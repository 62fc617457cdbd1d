//! What do GEO, GEOSHAPE and VECTOR fields take out of a document?
//!
//! Points and shapes become values of columns. Vectors are put aside as bytes, one behind the other: they get slots in
//! the field's store once the document has a number, and the slots become the value.

use std::sync::Arc;

use crate::columns::Value;
use crate::geo::Point;
use crate::index::analysis::FieldValue;
use crate::shape::{Shape, Surface};
use crate::vector::Options;

/// Vectors of one document for one document: more would be one document that fills the index.
const VECTORS_MAX: usize = 100_000;

/// The vectors of one field of a document.
#[derive(Debug)]
pub struct Vectors {
    /// Number of the field among the VECTOR fields.
    pub id: u16,
    /// The column of their slots.
    pub column: u16,
    /// The vectors, one behind the other.
    pub bytes: Vec<u8>,
}

/// The places of a GEO field.
pub fn points(value: &FieldValue<'_>) -> Result<Value, String> {
    let mut codes = Vec::new();
    let mut add = |text: &[u8]| Point::parse(text).map(|point| codes.push(point.code()));
    match value {
        FieldValue::Missing => return Ok(Value::Absent),
        FieldValue::Bytes(text) | FieldValue::Text(text) => add(text)?,
        FieldValue::Array(elements) => {
            for element in elements {
                match element {
                    FieldValue::Missing => {}
                    FieldValue::Text(text) => add(text)?,
                    _ => return Err(super::analysis::mismatch("GEO")),
                }
            }
        }
        _ => return Err(super::analysis::mismatch("GEO")),
    }
    Ok(if codes.is_empty() { Value::Absent } else { Value::Points(codes) })
}

/// The shape of a GEOSHAPE field.
pub fn shape(value: &FieldValue<'_>, surface: Surface) -> Result<Value, String> {
    match value {
        FieldValue::Missing => Ok(Value::Absent),
        FieldValue::Bytes(text) | FieldValue::Text(text) => match Shape::parse(text, surface) {
            Ok(shape) => Ok(Value::Shape(Arc::new(shape))),
            Err(why) => Err(format!("Error indexing geoshape: {why}")),
        },
        _ => Err(super::analysis::mismatch("GEOSHAPE")),
    }
}

/// The vectors of a VECTOR field, one behind the other; empty if there are none.
pub fn vectors(value: &FieldValue<'_>, options: &Options) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match value {
        FieldValue::Missing => {}
        FieldValue::Bytes(blob) => {
            let (given, wanted) = (blob.len(), options.blob_bytes());
            if given != wanted {
                return Err(format!(
                    "Could not add vector with blob size {given} (expected size {wanted})"
                ));
            }
            bytes.extend_from_slice(blob);
        }
        FieldValue::Numbers(numbers) => vector_of_numbers(numbers, options, &mut bytes)?,
        FieldValue::Array(elements) => {
            let nested = |element: &FieldValue<'_>| {
                matches!(element, FieldValue::Array(_) | FieldValue::Numbers(_))
            };
            if !elements.iter().any(nested) {
                vector(elements, options, &mut bytes)?;
                return Ok(bytes);
            }
            if elements.len() > VECTORS_MAX {
                return Err(format!("a document may have at most {VECTORS_MAX} vectors"));
            }
            for element in elements {
                match element {
                    FieldValue::Missing => {}
                    FieldValue::Array(numbers) => vector(numbers, options, &mut bytes)?,
                    FieldValue::Numbers(numbers) => {
                        vector_of_numbers(numbers, options, &mut bytes)?;
                    }
                    _ => return Err(super::analysis::mismatch("VECTOR")),
                }
            }
        }
        _ => return Err(super::analysis::mismatch("VECTOR")),
    }
    Ok(bytes)
}

fn check_length(given: usize, options: &Options) -> Result<(), String> {
    let wanted = options.dimensions;
    if given != wanted {
        return Err(format!("Invalid vector length. Expected {wanted}, got {given}"));
    }
    Ok(())
}

fn invalid_element(at: usize) -> String {
    format!("Invalid vector element at index {at}")
}

fn vector_of_numbers(
    numbers: &[f64],
    options: &Options,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    check_length(numbers.len(), options)?;
    let refused = numbers.iter().position(|number| !options.element.write(*number, bytes));
    refused.map_or(Ok(()), |at| Err(invalid_element(at)))
}

/// As above, of values among which others are that are refused.
fn vector(
    numbers: &[FieldValue<'_>],
    options: &Options,
    bytes: &mut Vec<u8>,
) -> Result<(), String> {
    check_length(numbers.len(), options)?;
    for (at, number) in numbers.iter().enumerate() {
        let written = match number {
            FieldValue::Number(number) => options.element.write(*number, bytes),
            _ => false,
        };
        if !written {
            return Err(invalid_element(at));
        }
    }
    Ok(())
}
