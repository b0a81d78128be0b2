//! JSON of clients, read strictly: a name that stands twice in an object is refused, for two readers may take different
//! ones for the value. How deep it may be and how large its numbers is the parser's own limit.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads a value.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice::<Strict>(bytes)
        .map(|strict| strict.0)
        .map_err(|error| error.to_string())
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Strict;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
                Number::from_f64(value)
                    .map(|number| Strict(Value::Number(number)))
                    .ok_or_else(|| E::custom("a number is not finite"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }

            fn visit_string<E>(self, value: String) -> Result<Strict, E> {
                Ok(Strict(Value::String(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Strict(Value::Array(list)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
                let mut map = Map::new();
                while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
                    if map.contains_key(&name) {
                        let name: String = name.chars().take(64).collect();
                        return Err(A::Error::custom(format!("`{name}` stands there twice")));
                    }
                    map.insert(name, value);
                }
                Ok(Strict(Value::Object(map)))
            }
        }

        deserializer.deserialize_any(Anything)
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
        ] {
            assert!(value(hostile.as_bytes()).is_err(), "{hostile}");
        }
    }
}
