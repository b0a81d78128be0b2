//! Shapes of operations, from their contracts.

use isobar_adapters::Contract;

use super::{Shape, schema};

/// What an operation is given, blobs included.
pub(crate) fn operation_input(contract: &Contract) -> Shape {
    let mut shape = schema::shape(&contract.input_schema());
    if let Shape::Object { fields, others } = &mut shape {
        *others = None;
        for blob in contract.blobs {
            fields.insert((*blob).to_owned(), Shape::Blob);
        }
    }
    shape
}

/// What references find in an operation's answer: what its contract says, who answered, and what it used.
pub fn operation_output(contract: &Contract) -> Shape {
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
    use isobar_adapters::{CONTRACTS, contract};

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
