//! How far apart are two points?

use crate::expression::Error;
use crate::expression::functions::coordinate;
use crate::expression::value::Value;

/// The radius of the Earth that Redis reckons with, in metres.
const EARTH_RADIUS_M: f64 = 6_372_797.560856;

/// `geodistance(...)`, in metres. A point is a text `longitude,latitude` or two arguments.
pub(super) fn distance<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let points = match arguments {
        [a, b] => point(a).zip(point(b)),
        [a, b, c] if coordinate(a).is_some() => pair(a, b).zip(point(c)),
        [a, b, c] => point(a).zip(pair(b, c)),
        [a, b, c, d] => pair(a, b).zip(pair(c, d)),
        _ => None,
    };
    let metres = points.map_or(f64::NAN, |(a, b)| haversine(a, b));
    Ok(Value::Number((metres * 100.0).round() / 100.0))
}

fn pair(longitude: &Value<'_>, latitude: &Value<'_>) -> Option<(f64, f64)> {
    coordinate(longitude).zip(coordinate(latitude))
}

/// `longitude,latitude`, or with a blank between.
fn point(value: &Value<'_>) -> Option<(f64, f64)> {
    let text = match value {
        Value::Text(text) => text,
        Value::Several(several) => return point(several.items.first()?),
        _ => return None,
    };
    let text = std::str::from_utf8(text).ok()?.trim();
    let (longitude, latitude) = text.split_once([',', ' '])?;
    Some((longitude.trim().parse().ok()?, latitude.trim().parse().ok()?))
}

fn haversine((longitude_a, latitude_a): (f64, f64), (longitude_b, latitude_b): (f64, f64)) -> f64 {
    let half_chord = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin();
    let u = half_chord(latitude_a, latitude_b);
    let v = half_chord(longitude_a, longitude_b);
    let cosines = latitude_a.to_radians().cos() * latitude_b.to_radians().cos();
    2.0 * EARTH_RADIUS_M * (u * u + cosines * v * v).sqrt().asin()
}
