//! What an answer is made of.

use isobar_config::{Node, Value};

use super::{
    super::reading::{Place, Reading},
    Entries, ROOTS,
};
use crate::{
    capability::Contract,
    draft::{Draft, Kind},
    projection::Builder,
    vendor::Returns,
};

/// An error of one document of a batch.
static ERROR: Draft = Draft {
    fields: &[
        ("index", Kind::Value),
        ("id", Kind::Value),
        ("code", Kind::Value),
        ("message", Kind::Value),
    ],
};

impl Reading<'_> {
    pub(super) fn returns(
        &mut self,
        contract: &'static Contract,
        node: &Node,
        batch: bool,
        place: Place<'_>,
    ) -> Option<Returns> {
        let draft = contract.draft;
        if !batch {
            self.promised(contract, node);
            // The whole body is a recording, and nothing else is.
            let whole = draft.fields.iter().position(|(name, _)| {
                *name == "audio" && node.get(name).and_then(Node::text) == Some("$.body")
            });
            if let Some(at) = whole {
                let fields: Vec<&str> = draft.fields.iter().map(|(name, _)| *name).collect();
                self.record(node, "`returns`", &fields);
                return Some(Returns::Whole(at, draft.fields.len()));
            }
            let mut builder = Builder::default();
            let (root, place) = self.roots(node, &mut builder, place);
            let expression = self.mapping(node, draft, "`returns`", &mut builder, place, &ROOTS);
            return Some(Returns::Json(Box::new(
                builder.finish(expression).below(root),
            )));
        }
        let [root, needs] = ROOTS;
        let entries = Entries(self.record(
            node,
            "`returns` of a batch",
            &["results", "errors", root, needs],
        ));
        let Some(results) = entries.get("results") else {
            self.missing(
                node,
                "results",
                "a batch returns `results: { each: …, as: { … } }`",
            );
            return None;
        };
        if let Some(item) = results.get("as") {
            self.promised(contract, item);
        }
        let mut builder = Builder::default();
        let (root, place) = self.roots(node, &mut builder, place);
        let results = self.mapped_items(results, draft, "`results`", &mut builder, place)?;
        let errors = match entries.get("errors") {
            Some(node) => Some(self.mapped_items(node, &ERROR, "`errors`", &mut builder, place)?),
            None => None,
        };
        let expression = crate::projection::Expression::Record(vec![Some(results), errors]);
        Some(Returns::Json(Box::new(
            builder.finish(expression).below(root),
        )))
    }

    /// An answer is made of something.
    fn promised(&mut self, contract: &Contract, node: &Node) {
        let promised = contract.promised;
        if matches!(node.value, Value::Map(_))
            && !promised.iter().any(|name| node.get(name).is_some())
        {
            self.missing(
                node,
                promised.first().copied().unwrap_or_default(),
                &format!(
                    "an answer of `{}` is made of {}",
                    contract.name,
                    promised.join(" or ")
                ),
            );
        }
    }
}
