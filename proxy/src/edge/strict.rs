//! JSON of clients, read strictly: a name that stands twice in an object is refused, for two readers may take different
//! ones for the value, and so is a text with so many values that they would take many times its length in memory. How deep
//! it may be and how large its numbers is the parser's own limit.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Values that one text may have, names not counted.
const MOST: usize = 100_000;

/// Reads a value.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, String> {
    let told = |error: serde_json::Error| error.to_string();
    // Looked at once in all, not for each text in it.
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let left = Cell::new(MOST);
    let value = Strict(&left).deserialize(&mut reader).map_err(told)?;
    reader.end().map_err(told)?;
    Ok(value)
}

/// Reads one value, and counts it.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.0.get().checked_sub(1) else {
            return Err(D::Error::custom(format!("it has more than {MOST} values")));
        };
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                let name: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format!("`{name}` stands there twice")));
            }
            let value = members.next_value_seed(self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_it_takes_is_what_the_parser_takes_but_for_names_that_stand_twice() {
        let text = r#"{"a":[1,-2,3.5,null,true,"x",{"b":18446744073709551615}]}"#;
        assert_eq!(
            value(text.as_bytes()).unwrap(),
            json!({ "a": [1, -2, 3.5, null, true, "x", { "b": u64::MAX }] })
        );
        for hostile in [
            r#"{"a":1,"a":2}"#.to_owned(),
            r#"{"a":[{"b":1,"b":1}]}"#.to_owned(),
            "[".repeat(10_000),
            format!("{}1{}", "[".repeat(500), "]".repeat(500)),
            "1e999".to_owned(),
            "{\"a\":1} x".to_owned(),
            "\"\\ud800\"".to_owned(),
            format!("[{}0]", "0,".repeat(MOST)),
            format!("[{}[]]", "[],".repeat(MOST)),
        ] {
            assert!(value(hostile.as_bytes()).is_err(), "{hostile}");
        }
    }
}
