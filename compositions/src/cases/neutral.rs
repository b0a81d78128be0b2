//! Values that say nothing, for what a canned answer leaves out.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::shape::Shape;

/// Adds what is required and not there; what is there is filled likewise.
pub(crate) fn fill(members: &mut Map<String, Value>, shape: &Shape) {
    let Shape::Object { fields, .. } = shape.present() else {
        return;
    };
    for (name, shape) in fields {
        match members.get_mut(name) {
            Some(member) => fill_value(member, shape),
            None if shape.is_optional() || shape.is_blob() => {}
            None => {
                members.insert(name.clone(), neutral(shape));
            }
        }
    }
}

fn fill_value(value: &mut Value, shape: &Shape) {
    match (value, shape.present()) {
        (Value::Object(members), shape) => fill(members, shape),
        (Value::Array(items), Shape::List(item)) => {
            for value in items {
                fill_value(value, item);
            }
        }
        _ => {}
    }
}

fn neutral(shape: &Shape) -> Value {
    match shape {
        Shape::Any | Shape::Nothing | Shape::Optional(_) | Shape::Blob => Value::Null,
        Shape::Bool => Value::Bool(false),
        Shape::Integer => Value::from(0),
        Shape::Number => Value::from(0.0),
        Shape::Text(words) => {
            let word = words
                .iter()
                .find(|word| *word == "neutral")
                .or(words.first());
            Value::from(word.map_or("", String::as_str))
        }
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Object { .. } => {
            let mut members = Map::new();
            fill(&mut members, shape);
            Value::Object(members)
        }
    }
}

/// A tenth of a second in which nothing is said, as WAV.
pub(crate) fn silence() -> Bytes {
    const RATE: u32 = 8_000;
    const SAMPLES: u32 = RATE / 10;
    let mut wav = Vec::with_capacity(44 + SAMPLES as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + SAMPLES).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16_u32.to_le_bytes());
    // PCM, one channel.
    wav.extend_from_slice(&[1, 0, 1, 0]);
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&RATE.to_le_bytes());
    // One byte for each sample.
    wav.extend_from_slice(&[1, 0, 8, 0]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&SAMPLES.to_le_bytes());
    wav.resize(wav.len() + SAMPLES as usize, 0x80);
    wav.into()
}

#[cfg(test)]
mod tests {
    use isobar_adapters::{Blob, CONTRACTS};
    use serde_json::json;

    use super::*;
    use crate::{run::misfit, shape::operation_output};

    #[test]
    fn every_operations_answer_can_be_filled() {
        for contract in &CONTRACTS {
            let mut shape = operation_output(contract);
            if let Shape::Object { fields, .. } = &mut shape {
                fields.remove("audio");
            }
            let mut members = Map::new();
            fill(&mut members, &shape);
            let value = Value::Object(members);
            assert_eq!(misfit(&shape, &value, "it"), None, "{}", contract.name);
        }
    }

    #[test]
    fn what_is_given_stays_and_its_items_are_filled() {
        let contract = isobar_adapters::contract("text.sentiment").unwrap();
        let mut members = Map::new();
        members.insert("label".to_owned(), json!("positive"));
        fill(&mut members, &operation_output(contract));
        assert_eq!(members.get("label"), Some(&json!("positive")));
        assert_eq!(members.get("score"), Some(&json!(0.0)));
        let contract = isobar_adapters::contract("text.entities").unwrap();
        let mut members = Map::new();
        members.insert("entities".to_owned(), json!([{}]));
        fill(&mut members, &operation_output(contract));
        let value = Value::Object(members);
        assert!(
            value
                .pointer("/entities/0/name")
                .is_some_and(Value::is_string),
            "{value}"
        );
    }

    #[test]
    fn silence_is_a_recording() {
        let blob = Blob::of_bytes(silence(), "silence");
        assert_eq!(blob.media_type(), "audio/wav");
        assert!(
            blob.media()
                .duration
                .is_some_and(|seconds| (seconds - 0.1).abs() < 0.01)
        );
    }
}
