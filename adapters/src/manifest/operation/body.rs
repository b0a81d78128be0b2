//! What a request carries.

use isobar_config::{Node, Value};

use super::{
    super::reading::{Place, Reading},
    BODY,
};
use crate::{
    template::Template,
    vendor::{BodyTemplate, PartTemplate},
};

impl Reading<'_> {
    pub(super) fn pairs(
        &mut self,
        node: Option<&Node>,
        what: &str,
        place: Place<'_>,
    ) -> Option<Vec<(String, Template)>> {
        let Some(node) = node else {
            return Some(Vec::new());
        };
        let entries = self.map(node, what);
        entries
            .into_iter()
            .map(|(key, node)| Some((key.text.clone(), self.flat(node, place)?)))
            .collect()
    }

    pub(super) fn body(&mut self, node: &Node, place: Place<'_>) -> Option<BodyTemplate> {
        let entries = self.record(node, "`body`", &BODY);
        let [(key, value)] = entries[..] else {
            self.error(
                "E0208",
                node,
                "`body` is exactly one of json, form, multipart, raw and text",
                "for a JSON body write `body: { json: { … } }`",
            );
            return None;
        };
        match key.text.as_str() {
            "json" => self.template(value, place).map(BodyTemplate::Json),
            "form" => self
                .pairs(Some(value), "`form`", place)
                .map(BodyTemplate::Form),
            "multipart" => {
                let mut parts = Vec::new();
                for (key, node) in self.map(value, "`multipart`") {
                    parts.push((key.text.clone(), self.part(node, place)?));
                }
                Some(BodyTemplate::Multipart(parts))
            }
            "raw" => {
                let blob = Self::blob_alone(value, place);
                if blob.is_none() {
                    self.not_a_blob(value, "raw", place);
                }
                blob.map(BodyTemplate::Raw)
            }
            _ => {
                self.record(value, "`text`", &["type", "content"]);
                let help = "write `text: { type: application/ssml+xml, content: \"<speak>{$.text | xml}</speak>\" }`";
                let [media_type, content] = self.needed(value, ["type", "content"], help)?;
                let media_type = self.text(media_type)?.to_owned();
                let pieces: Vec<&Node> = if let Value::List(items) = &content.value {
                    items.iter().collect()
                } else {
                    vec![content]
                };
                let pieces = pieces
                    .into_iter()
                    .map(|piece| self.template(piece, place))
                    .collect::<Option<Vec<_>>>()?;
                Some(BodyTemplate::Text(pieces, media_type))
            }
        }
    }

    fn part(&mut self, node: &Node, place: Place<'_>) -> Option<PartTemplate> {
        if let Some(json) = node.get("json") {
            self.record(node, "a part", &["json"]);
            return self.template(json, place).map(PartTemplate::Json);
        }
        if let Some(blob) = Self::blob_alone(node, place) {
            return Some(PartTemplate::File(blob));
        }
        self.flat(node, place).map(PartTemplate::Field)
    }

    pub(super) fn not_a_blob(&mut self, node: &Node, key: &str, place: Place<'_>) {
        let blobs = place
            .contract
            .map(|contract| contract.blobs)
            .unwrap_or_default();
        let help = match blobs {
            [] => "the operation has no recording; its text goes in `json`, `form` or `text`"
                .to_owned(),
            [blob, ..] => format!("write `{key}: $.{blob}`"),
        };
        self.error(
            "E0202",
            node,
            "this should be a recording of the input, as it is",
            help,
        );
    }
}
