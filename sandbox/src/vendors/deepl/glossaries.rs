//! Glossaries: terms that are always translated the same way.

use serde_json::{Value, json};

use super::{DeepL, Fields, bad, languages, missing, not_supported};
use crate::{
    answer::Answer,
    call::Call,
    vendor::{Class, Vendor as _},
};

/// One glossary. Version 2 knows those with one dictionary.
#[derive(Debug, Clone)]
pub(super) struct Glossary {
    name: String,
    dictionaries: Vec<Dictionary>,
    created: String,
    account: String,
}

/// Terms of one pair of languages.
#[derive(Debug, Clone)]
struct Dictionary {
    source: &'static str,
    target: &'static str,
    entries: Vec<(String, String)>,
}

impl DeepL {
    pub(super) fn glossaries(&self, call: &Call) -> Result<Answer, Answer> {
        let segments = call.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", [version, _]) => self.create(call, version),
            ("GET", [version, _]) => Ok(self.list(call, version)),
            ("GET", [version, _, id]) => {
                let glossary = self.glossary(call, id)?;
                let shown = glossary.shown(version, id);
                shown
                    .map(|shown| Answer::json(200, &shown))
                    .ok_or_else(|| self.unknown(call))
            }
            ("GET", [_, _, id, _]) => {
                let glossary = self.glossary(call, id)?;
                Ok(Answer::text(
                    200,
                    "text/tab-separated-values; charset=UTF-8",
                    glossary.table(),
                ))
            }
            ("DELETE", [_, _, id]) => {
                self.glossary(call, id)?;
                self.glossaries.remove(id);
                Ok(Answer::empty(204))
            }
            _ => Err(self.unknown(call)),
        }
    }

    /// The terms that a translation is to use.
    pub(super) fn terms(
        &self,
        call: &Call,
        fields: &Fields,
        source: Option<&str>,
        target: &str,
    ) -> Result<Vec<(String, String)>, Answer> {
        let several = fields.texts("glossary_ids").unwrap_or_default();
        let several = several.iter().flat_map(|ids| ids.split(','));
        let ids: Vec<_> = several
            .map(str::to_owned)
            .chain(fields.text("glossary_id"))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let Some(source) = source else {
            return Err(bad(
                "Use of a glossary requires the source_lang parameter to be specified",
            ));
        };
        if ids.len() > 5 {
            return Err(not_supported("glossary_ids"));
        }
        let mut terms = Vec::new();
        for id in ids {
            let glossary = self.glossary(call, &id)?;
            let matches = |dictionary: &&Dictionary| {
                Some(dictionary.source) == languages::of_glossary(source)
                    && Some(dictionary.target) == languages::of_glossary(target)
            };
            let dictionary = glossary.dictionaries.iter().find(matches);
            let dictionary = dictionary
                .ok_or_else(|| bad("The glossary has no dictionary for the given languages"))?;
            terms.extend(dictionary.entries.iter().cloned());
        }
        Ok(terms)
    }

    fn create(&self, call: &Call, version: &str) -> Result<Answer, Answer> {
        let fields = Fields::read(call)?;
        let name = fields.text("name").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| missing("name"))?;
        let dictionaries = if version == "v2" {
            vec![dictionary(&|name| fields.text(name))?]
        } else {
            let Fields::Json(fields) = &fields else {
                return Err(missing("dictionaries"));
            };
            let given = fields.get("dictionaries").and_then(Value::as_array);
            let given = given.filter(|given| !given.is_empty());
            let given = given.ok_or_else(|| missing("dictionaries"))?.iter();
            let one = |one: &Value| dictionary(&|name| Some(one.get(name)?.as_str()?.to_owned()));
            given.map(one).collect::<Result<Vec<_>, _>>()?
        };
        let glossary = Glossary {
            name,
            dictionaries,
            created: call.timestamp(),
            account: call.account.clone(),
        };
        let id = call.uuid("glossary");
        let shown = glossary.shown(version, &id);
        self.glossaries.submit(&id, glossary, false);
        Ok(Answer::json(201, &shown.unwrap_or_default()))
    }

    fn list(&self, call: &Call, version: &str) -> Answer {
        let all = self.glossaries.all().into_iter();
        let own = all.filter(|(_, _, glossary)| glossary.account == call.account);
        let shown: Vec<_> = own
            .filter_map(|(id, _, glossary)| glossary.shown(version, &id))
            .collect();
        Answer::json(200, &json!({ "glossaries": shown }))
    }

    /// A glossary of the account that asks.
    fn glossary(&self, call: &Call, id: &str) -> Result<Glossary, Answer> {
        let found = self.glossaries.peek(id).map(|(_, glossary)| glossary);
        found
            .filter(|glossary| glossary.account == call.account)
            .ok_or_else(|| self.unknown(call))
    }

    fn unknown(&self, call: &Call) -> Answer {
        self.error(call, Class::NotFound, "there is no such glossary")
    }
}

impl Glossary {
    /// As this version shows it, if it can.
    fn shown(&self, version: &str, id: &str) -> Option<Value> {
        if version == "v2" {
            let [only] = self.dictionaries.as_slice() else {
                return None;
            };
            return Some(json!({
                "glossary_id": id,
                "ready": true,
                "name": self.name,
                "source_lang": only.source,
                "target_lang": only.target,
                "creation_time": self.created,
                "entry_count": only.entries.len(),
            }));
        }
        let dictionaries = self.dictionaries.iter().map(|one| {
            json!({ "source_lang": one.source, "target_lang": one.target, "entry_count": one.entries.len() })
        });
        Some(json!({
            "glossary_id": id,
            "name": self.name,
            "dictionaries": dictionaries.collect::<Vec<_>>(),
            "creation_time": self.created,
        }))
    }

    /// Its entries, a line each.
    fn table(&self) -> String {
        let entries = self.dictionaries.iter().flat_map(|one| &one.entries);
        let lines: Vec<_> = entries.map(|(from, to)| format!("{from}\t{to}")).collect();
        lines.join("\n")
    }
}

fn dictionary(field: &dyn Fn(&str) -> Option<String>) -> Result<Dictionary, Answer> {
    let language = |name: &str| {
        let code = field(name).ok_or_else(|| missing(name))?;
        languages::of_glossary(&code).ok_or_else(|| not_supported(name))
    };
    let (source, target) = (language("source_lang")?, language("target_lang")?);
    if source == target {
        return Err(not_supported("target_lang"));
    }
    let text = field("entries").ok_or_else(|| missing("entries"))?;
    let format = field("entries_format").unwrap_or_else(|| "tsv".to_owned());
    let split: fn(&str) -> Option<(String, String)> = match format.as_str() {
        "tsv" => tabbed,
        "csv" => comma_separated,
        _ => return Err(not_supported("entries_format")),
    };
    let mut entries: Vec<(String, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let entry = split(line).filter(|(from, to)| !from.is_empty() && !to.is_empty());
        let Some((from, to)) = entry else {
            let detail = format!("line {} is not a term and its translation", number + 1);
            return Err(broken(&detail));
        };
        if entries.iter().any(|(known, _)| *known == from) {
            return Err(broken(&format!("line {} repeats a term", number + 1)));
        }
        entries.push((from, to));
    }
    if entries.is_empty() {
        return Err(broken("there are none"));
    }
    Ok(Dictionary {
        source,
        target,
        entries,
    })
}

fn broken(detail: &str) -> Answer {
    let body = json!({ "message": "Invalid glossary entries provided", "detail": detail });
    Answer::json(400, &body)
}

fn tabbed(line: &str) -> Option<(String, String)> {
    let (from, to) = line.split_once('\t')?;
    Some((from.trim().to_owned(), to.trim().to_owned()))
}

/// The first two fields; languages may follow.
fn comma_separated(line: &str) -> Option<(String, String)> {
    let (from, rest) = cell(line)?;
    let (to, _) = cell(rest.strip_prefix(',')?)?;
    Some((from, to))
}

/// One cell and what follows it; in quotes it may hold commas, and quotes written twice.
fn cell(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return Some((text.get(..end)?.trim().to_owned(), text.get(end..)?));
    };
    let mut content = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter != '"' {
            content.push(letter);
            continue;
        }
        let rest = quoted.get(at + 1..)?;
        if !rest.starts_with('"') {
            return Some((content, rest));
        }
        content.push('"');
        letters.next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_be_quoted() {
        let pair = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(comma_separated("a, b"), pair("a", "b"));
        assert_eq!(
            comma_separated("\"a, \"\"b\"\"\",c,en,de"),
            pair("a, \"b\"", "c")
        );
        assert_eq!(comma_separated("a"), None);
        assert_eq!(comma_separated("\"a,b"), None);
    }
}
