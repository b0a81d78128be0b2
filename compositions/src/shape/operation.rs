//! Shapes of operations, from their contracts.

use std::sync::LazyLock;

use isobar_adapters::{CONTRACTS, Contract};
use serde_json::Value;

use super::{Shape, schema};

/// What is worked out of a contract, once.
struct Known {
    input: Shape,
    output: Shape,
    schema: Value,
}

static KNOWN: LazyLock<Vec<(&'static str, Known)>> = LazyLock::new(|| {
    let known = |contract: &'static Contract| {
        let schema = contract.input_schema();
        let known = Known {
            input: input(contract, &schema),
            output: output(contract),
            schema,
        };
        (contract.name, known)
    };
    CONTRACTS.iter().map(known).collect()
});

fn known(contract: &Contract) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|(name, _)| *name == contract.name)
        .map(|(_, known)| known)
}

/// What an operation is given, blobs included.
pub(crate) fn operation_input(contract: &Contract) -> Shape {
    known(contract).map_or(Shape::Any, |known| known.input.clone())
}

/// What references find in an operation's answer: what its contract says, who answered, and what it used.
pub fn operation_output(contract: &Contract) -> Shape {
    known(contract).map_or(Shape::Any, |known| known.output.clone())
}

/// What the schema of an operation's input says of a field.
pub(crate) fn operation_property(contract: &Contract, name: &str) -> Option<&'static Value> {
    known(contract)?.schema.get("properties")?.get(name)
}

fn input(contract: &Contract, schema: &Value) -> Shape {
    let mut shape = schema::shape(schema);
    if let Shape::Object { fields, others } = &mut shape {
        *others = None;
        for blob in contract.blobs {
            fields.insert((*blob).to_owned(), Shape::Blob);
        }
    }
    shape
}

fn output(contract: &Contract) -> Shape {
    let mut shape = schema::shape(&contract.output_schema());
    if let Shape::Object { fields, others } = &mut shape {
        *others = None;
        if contract.name == SPOKEN {
            // The facts of the recording are the recording's.
            fields.clear();
            fields.insert("audio".to_owned(), Shape::Blob);
        }
        fields.insert("vendor".to_owned(), Shape::text());
        fields.insert("model".to_owned(), Shape::text().optional());
        fields.insert("usage".to_owned(), Shape::any_object());
    }
    shape
}

/// The operation whose answer is a recording.
const SPOKEN: &str = "speech.synthesize";

#[cfg(test)]
mod tests {
    use isobar_adapters::contract;

    use super::*;

    #[test]
    fn every_operation_has_known_inputs_and_outputs() {
        for contract in &CONTRACTS {
            for shape in [operation_input(contract), operation_output(contract)] {
                let Shape::Object {
                    fields,
                    others: None,
                } = shape
                else {
                    panic!("{} is {shape}", contract.name);
                };
                assert!(
                    !fields.values().any(|shape| *shape == Shape::Any),
                    "{fields:?}"
                );
                assert!(fields.len() > 1);
            }
        }
    }

    #[test]
    fn transcripts_are_as_their_contract_says() {
        let contract = contract("speech.transcribe").unwrap();
        let input = operation_input(contract);
        assert_eq!(input.member("audio"), Ok(Shape::Blob));
        assert_eq!(input.member("language"), Ok(Shape::text().optional()));
        assert_eq!(input.member("speakers_max"), Ok(Shape::Integer.optional()));
        let output = operation_output(contract);
        assert_eq!(output.member("text"), Ok(Shape::text()));
        assert_eq!(output.member("language"), Ok(Shape::text().optional()));
        let word = output.member("words").unwrap().item().unwrap();
        assert_eq!(word.member("start"), Ok(Shape::Number));
        assert_eq!(word.member("speaker"), Ok(Shape::text().optional()));
        assert!(output.member("txt").is_err());
    }

    #[test]
    fn words_that_are_choices_are_known() {
        let output = operation_output(contract("text.sentiment").unwrap());
        let Ok(Shape::Text(words)) = output.member("label") else {
            panic!("{output:?}");
        };
        assert_eq!(words, ["positive", "negative", "neutral", "mixed"]);
        let input = operation_input(contract("translation.translate").unwrap());
        let Ok(Shape::Optional(format)) = input.member("format") else {
            panic!("{input:?}");
        };
        assert_eq!(
            *format,
            Shape::Text(vec!["text".to_owned(), "html".to_owned()])
        );
    }

    #[test]
    fn a_recording_is_a_blob_with_facts() {
        let output = operation_output(contract("speech.synthesize").unwrap());
        let audio = output.member("audio").unwrap();
        assert_eq!(audio, Shape::Blob);
        assert_eq!(audio.member("bytes"), Ok(Shape::Integer));
        assert!(audio.member("text").is_err());
    }
}
