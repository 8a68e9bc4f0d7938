//! Canonical JSON with sorted keys: the same value always gives the same text. For digests that must stay valid when
//! the types they were made from change.

use serde::Serialize;
use serde_json::Value;

/// The canonical JSON of a value. Keys are sorted; empty values (`null`, an empty list, an empty map) are left out, so
/// a field that is added later does not change the text while it has its default. A new `bool` or number needs
/// `skip_serializing_if` for the same effect.
pub fn canonical(value: &impl Serialize) -> String {
    let mut text = String::new();
    // The types that are digested have string keys and no values that JSON cannot hold.
    write(&serde_json::to_value(value).unwrap_or_default(), &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().filter(|(_, value)| !is_nothing(value)).collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(&Value::from(key.as_str()), text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        // The shortest digits that read back the same, never with an exponent.
        Value::Number(number) if number.is_f64() => {
            text.push_str(&number.as_f64().unwrap_or_default().to_string());
        }
        other => text.push_str(&other.to_string()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_and_empty_values_do_not_matter() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let one = read(r#"{"b":1,"a":null,"d":[],"c":[3,{"q":2,"p":"é\n","r":{}}]}"#);
        let other = read(r#"{"c":[3,{"p":"é\n","q":2}],"b":1}"#);
        assert_eq!(canonical(&one), canonical(&other));
        assert_eq!(canonical(&one), r#"{"b":1,"c":[3,{"p":"é\n","q":2}]}"#);
        // A table with defaults is not the same as a missing table.
        assert_eq!(canonical(&read(r#"{"cors":{"origin":null}}"#)), r#"{"cors":{}}"#);
        assert_eq!(canonical(&[1e300, 0.1, -2.0]).len(), 1 + 301 + 1 + 3 + 1 + 2 + 1);
        assert_eq!(canonical(&serde_json::json!({"kept": false})), r#"{"kept":false}"#);
    }
}
