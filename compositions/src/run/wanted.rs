//! The part of a step's output that the rest of its plan looks at. Nothing else of an HTTP answer is kept.

use std::fmt;

use isobar_config::{Expression, Hop};
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};

use crate::plan::Reference;

/// A part of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    #[default]
    Nothing,
    /// These members of an object.
    Members(Vec<(String, Wanted)>),
    /// This of every item of a list, or of every member of an object.
    Items(Box<Wanted>),
    All,
}

impl Wanted {
    /// Adds what a reference looks at.
    pub(crate) fn add_reference(&mut self, reference: &Reference) {
        let path = &reference.path;
        // What a filter looks at, its hops do not tell.
        if path.source().contains('?') {
            *self = Self::All;
        } else {
            self.add_hops(&path.hops());
        }
    }

    fn add_hops(&mut self, hops: &[Hop]) {
        match hops {
            [] => *self = Self::All,
            [Hop::Name(name), rest @ ..] => match self.member_mut(name) {
                Some(member) => member.add_hops(rest),
                None => *self = Self::All,
            },
            [Hop::Index(_) | Hop::Several, rest @ ..] => match self.items_mut() {
                Some(items) => items.add_hops(rest),
                None => *self = Self::All,
            },
            [Hop::Deep, ..] => *self = Self::All,
        }
    }

    /// Adds what an expression looks at of a name.
    pub(crate) fn add_expression(&mut self, expression: &Expression, name: &str) {
        for way in expression.looks_at(name) {
            self.add_way(&way);
        }
    }

    fn add_way(&mut self, way: &[&str]) {
        match way {
            [] => *self = Self::All,
            [name, rest @ ..] => match self.member_mut(name) {
                Some(member) => member.add_way(rest),
                None => *self = Self::All,
            },
        }
    }

    /// Adds all that another part has.
    pub(crate) fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Nothing) | (Self::All, _) => {}
            (Self::Nothing, other) => *self = other.clone(),
            (Self::Items(own), Self::Items(other)) => own.add(other),
            (Self::Members(_), Self::Members(others)) => {
                for (name, other) in others {
                    if let Some(own) = self.member_mut(name) {
                        own.add(other);
                    }
                }
            }
            _ => *self = Self::All,
        }
    }

    /// What is wanted of a member.
    pub(crate) fn member(&self, name: &str) -> &Self {
        match self {
            Self::Nothing => &Self::Nothing,
            Self::Items(items) => items,
            Self::All => &Self::All,
            Self::Members(members) => members
                .iter()
                .find(|(known, _)| known == name)
                .map_or(&Self::Nothing, |(_, member)| member),
        }
    }

    /// What is wanted of one item, of a value that is a list.
    pub(crate) fn of_item(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Items(items) => *items,
            Self::Members(_) | Self::All => Self::All,
        }
    }

    /// The member's part, to add to; `None` where the value is wanted as a list.
    fn member_mut(&mut self, name: &str) -> Option<&mut Self> {
        if *self == Self::Nothing {
            *self = Self::Members(Vec::new());
        }
        match self {
            Self::Members(members) => {
                if !members.iter().any(|(known, _)| known == name) {
                    members.push((name.to_owned(), Self::Nothing));
                }
                members
                    .iter_mut()
                    .find(|(known, _)| known == name)
                    .map(|(_, member)| member)
            }
            all @ Self::All => Some(all),
            Self::Nothing | Self::Items(_) => None,
        }
    }

    /// The part of every item, to add to; `None` where the value is wanted as an object.
    fn items_mut(&mut self) -> Option<&mut Self> {
        if *self == Self::Nothing {
            *self = Self::Items(Box::default());
        }
        match self {
            Self::Items(items) => Some(items),
            all @ Self::All => Some(all),
            Self::Nothing | Self::Members(_) => None,
        }
    }

    /// Reads this part of a JSON text; the rest is checked and left out.
    pub(crate) fn read(&self, text: &[u8]) -> serde_json::Result<Value> {
        // Looked at once in all, not for each text in it.
        let text = std::str::from_utf8(text).map_err(serde::de::Error::custom)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Part(self).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

/// Reads a part of a value.
struct Part<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.0 {
            Wanted::All => Value::deserialize(deserializer),
            Wanted::Nothing => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
            Wanted::Members(_) | Wanted::Items(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is too large"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(member) = members.next_key_seed(Member(self.0))? {
            match member {
                Some((name, wanted)) => {
                    map.insert(name, members.next_value_seed(Part(wanted))?);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(map.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let Wanted::Items(wanted) = self.0 else {
            // Looked at as an object, which it is not: there is nothing in it to find.
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(list.into());
        };
        while let Some(item) = items.next_element_seed(Part(wanted))? {
            list.push(item);
        }
        Ok(list.into())
    }
}

/// A member's name, where the member is wanted.
struct Member<'w>(&'w Wanted);

impl<'de, 'w> DeserializeSeed<'de> for Member<'w> {
    type Value = Option<(String, &'w Wanted)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Member<'w> {
    type Value = Option<(String, &'w Wanted)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let member = self.0.member(name);
        Ok((*member != Wanted::Nothing).then(|| (name.to_owned(), member)))
    }
}

#[cfg(test)]
mod tests {
    use isobar_config::JsonPath;
    use serde_json::json;

    use super::*;
    use crate::plan::Root;

    fn reference(path: &str) -> Reference {
        Reference {
            root: Root::Step(0),
            path: JsonPath::parse(path).unwrap(),
            blob: None,
            text: path.to_owned(),
        }
    }

    fn wanted(paths: &[&str], expressions: &[&str]) -> Wanted {
        let mut wanted = Wanted::default();
        for path in paths {
            wanted.add_reference(&reference(path));
        }
        for expression in expressions {
            wanted.add_expression(&Expression::parse_free(expression).unwrap(), "x");
        }
        wanted
    }

    #[test]
    fn what_is_looked_at_is_found_as_in_the_whole_document() {
        let document = json!({
            "a": { "b": [ { "c": 1, "d": [1, 2] }, { "c": "two", "e": null }, 3 ], "f": { "g": true, "h": -1.5 } },
            "list": [ [1, 2], { "a": 1 } ], "text": "t", "none": null, "big": u64::MAX,
        });
        let all = [
            "$",
            "$.a",
            "$.a.b",
            "$.a.b[*].c",
            "$.a.b[1].c",
            "$.a.b[-1]",
            "$.a.b[0:2].d",
            "$.a.f.g",
            "$.a.f.*",
            "$.a.*",
            "$..c",
            "$.a.b[?@.c == 1].d",
            "$.list[0][1]",
            "$.list[*]",
            "$.text",
            "$.text.more",
            "$.none",
            "$.big",
            "$.missing",
            "$['a']['f']",
            "$.a['b','f']",
            "$.a.f[0]",
            "$.a.b.c",
        ];
        let text = document.to_string();
        for first in all {
            for second in all {
                let part = wanted(&[first, second], &[]).read(text.as_bytes()).unwrap();
                for path in [first, second] {
                    let path = JsonPath::parse(path).unwrap();
                    assert_eq!(
                        path.select(&part),
                        path.select(&document),
                        "{first} and {second}: {part}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_but_what_is_looked_at_is_kept() {
        let text = br#"{"a":{"b":1,"c":2},"d":[{"e":1,"f":2}],"g":3}"#;
        let check = |wanted: &Wanted, kept: Value| assert_eq!(wanted.read(text).unwrap(), kept);
        check(
            &wanted(&["$.a.b", "$.d[*].e"], &[]),
            json!({ "a": { "b": 1 }, "d": [{ "e": 1 }] }),
        );
        check(
            &wanted(&[], &["x.a.c == 2 && has(x.g)"]),
            json!({ "a": { "c": 2 }, "g": 3 }),
        );
        check(&wanted(&[], &[]), Value::Null);
        let mut both = wanted(&["$.a.b"], &[]);
        both.add(&wanted(&["$.g"], &[]));
        check(&both, json!({ "a": { "b": 1 }, "g": 3 }));
    }

    #[test]
    fn what_is_left_out_must_be_json_all_the_same() {
        let part = wanted(&["$.a"], &[]);
        for broken in [r#"{"a":1,"b":[1,}"#, r#"{"a":1} x"#, r#"{"a":1,"b":}"#, ""] {
            assert!(part.read(broken.as_bytes()).is_err(), "{broken}");
        }
        // What is kept is as deep as any document may be; what is skipped costs nothing.
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(part.read(format!(r#"{{"a":{deep}}}"#).as_bytes()).is_err());
        assert!(
            part.read(format!(r#"{{"a":1,"b":{deep}}}"#).as_bytes())
                .is_ok()
        );
    }
}
