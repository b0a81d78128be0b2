//! Types as compositions write them.

use isobar_config::{Node, Value};

use super::reading::Reading;
use crate::shape::{Shape, notation};

impl Reading<'_> {
    /// A type: a text, or a map of fields. `blobs` says whether it may be one.
    pub(crate) fn kind_of(&mut self, node: &Node, blobs: bool) -> Option<(Shape, Option<u64>)> {
        match &node.value {
            Value::Text(text) => match notation(text) {
                Ok(noted) if noted.most.is_some() && !blobs => {
                    self.error(
                        "E1028",
                        node.at,
                        "a field of an object cannot be a blob",
                        "take the blob by an input of its own",
                    );
                    None
                }
                Ok(noted) => Some((noted.shape, noted.most)),
                Err(wrong) => {
                    let at = self.part(node, wrong.at, wrong.length);
                    match wrong.word.filter(|word| !word.is_empty()) {
                        Some(word) => {
                            let alias = match word.as_str() {
                                "text" | "str" => Some("string"),
                                "int" | "long" => Some("integer"),
                                "float" | "double" => Some("number"),
                                "bool" => Some("boolean"),
                                "array" => Some("list"),
                                "file" | "audio" | "binary" | "bytes" => Some("blob"),
                                "map" | "dict" => Some("object"),
                                _ => None,
                            };
                            if let Some(alias) = alias {
                                self.error(
                                    "E1026",
                                    at,
                                    wrong.message,
                                    format!("did you mean `{alias}`?"),
                                );
                            } else {
                                self.unknown(
                                    "E1026",
                                    at,
                                    wrong.message,
                                    &word,
                                    crate::shape::TYPES,
                                    "choose one",
                                );
                            }
                        }
                        None => self.error("E1026", at, wrong.message, wrong.help),
                    }
                    None
                }
            },
            Value::Map(entries) => {
                let mut fields = std::collections::BTreeMap::new();
                for (key, node) in entries {
                    let (shape, _) = self.kind_of(node, false)?;
                    fields.insert(key.text.clone(), shape);
                }
                Some((
                    Shape::Object {
                        fields,
                        others: None,
                    },
                    None,
                ))
            }
            _ => {
                self.error(
                    "E1026",
                    node.at,
                    format!("this is {}, and should be a type", node.kind()),
                    "write one, such as `string`, `list(string)`, or `{ name: string }` for an object",
                );
                None
            }
        }
    }
}
