//! Compositions that answer the same requests.

use std::sync::Arc;

use isobar_config::{Segment, matcher};

use super::{File, reading::Reading};
use crate::plan::Plan;

impl Reading<'_> {
    /// Says which compositions answer the same requests.
    pub(super) fn routes(&mut self, files: &[File], plans: &[Option<Arc<Plan>>]) {
        type Route = (Vec<String>, Vec<Option<String>>, bool);
        let anonymous = |matcher: &isobar_config::Matcher| -> Route {
            let segments = matcher.path.segments.iter().map(|segment| match segment {
                Segment::Literal(text) => Some(text.clone()),
                Segment::Parameter(_) => None,
            });
            (
                matcher.methods.clone(),
                segments.collect(),
                matcher.path.rest,
            )
        };
        let mut taken: Vec<(Route, String)> = self
            .known
            .routes
            .iter()
            .filter_map(|text| {
                Some((
                    anonymous(&matcher(text).ok()?),
                    format!("the route `{text}`"),
                ))
            })
            .collect();
        for (file, plan) in files.iter().zip(plans) {
            let (Some(expose), Some(node)) = (
                plan.as_ref().and_then(|plan| plan.expose.as_ref()),
                file.node.get("expose"),
            ) else {
                continue;
            };
            let own = anonymous(&expose.matcher);
            let clash = taken.iter().find(|((methods, segments, rest), _)| {
                (methods.is_empty() || methods.iter().any(|method| own.0.contains(method)))
                    && *segments == own.1
                    && *rest == own.2
            });
            if let Some((_, who)) = clash {
                let help = format!("{who} answers them; choose another path or method");
                self.error(
                    "E1018",
                    node.at,
                    format!("`{}` is taken", expose.text),
                    help,
                );
            }
            taken.push((own, format!("the composition `{}`", file.name)));
        }
    }
}
