//! Vendor's answer → the fields that a mapping names, in one pass over the bytes.
//!
//! The paths of a mapping are compiled into a trie; deserialisation walks it and skips everything else. A document is
//! built only below a node that needs one (a filter, or a value wanted whole and in parts).

use std::{borrow::Cow, fmt};

use isobar_config::{Step, Template};
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use crate::{
    transform::{Transform, Unfit},
    tree::{Rows, Tree},
};

/// A mapping from one JSON value to one record.
#[derive(Debug)]
pub(crate) struct Program {
    /// Makes the value that everything else is read from.
    root: Option<Box<Program>>,
    /// Slots and their paths: without a value in one of them the answer is not the one documented.
    needs: Vec<(usize, String)>,
    trie: Trie,
    slots: usize,
    eaches: Vec<Each>,
    /// Paths that only a document can answer.
    queries: Vec<(usize, Template)>,
    expression: Expression,
}

/// What a field's value is made of.
#[derive(Debug)]
pub(crate) enum Expression {
    Literal(Value),
    /// A slot's value, and the path to blame when it does not fit.
    Slot {
        slot: usize,
        transforms: Vec<Transform>,
        path: String,
    },
    /// A value that is not in the body.
    Outside {
        source: Outside,
        transforms: Vec<Transform>,
        path: String,
    },
    /// The first that is there.
    Any(Vec<Expression>),
    /// Fields by position; `None` where the mapping says nothing.
    Record(Vec<Option<Expression>>),
    Items(Vec<Expression>),
    /// What an each has gathered.
    Each(usize),
}

/// Where a value outside the body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    Status,
    Header(http::HeaderName),
    Kept(String),
    Input(Vec<Step>),
}

/// What a mapping can see beside the body.
pub(crate) trait Surroundings {
    /// The value there, if any.
    fn outside(&self, source: &Outside) -> Tree<'static>;
}

/// One mapping of every item of an array.
#[derive(Debug)]
struct Each {
    slot: usize,
    /// Slot of the item and the words it may hold.
    only: Option<(usize, Vec<String>)>,
    item: Program,
    /// Of a record's fields, those that the mapping fills.
    cells: Vec<Cell>,
}

/// Where a field of a row comes from. Most come as they are, and a long answer has thousands.
#[derive(Debug)]
enum Cell {
    /// From a slot.
    Slot(usize),
    /// From the first of these slots that has a value.
    First(Vec<usize>),
    /// From what the field at this position says.
    Made(usize),
}

#[derive(Debug, Default)]
struct Trie {
    /// What the node does with a value; known when the trie is whole.
    way: Way,
    capture: Vec<Capture>,
    names: Vec<(String, Trie)>,
    indexes: Vec<(usize, Trie)>,
    every: Option<Box<Trie>>,
    each: Vec<usize>,
}

/// A slot that a value goes to.
#[derive(Debug, Clone, Copy)]
struct Capture {
    slot: usize,
    /// Whether it keeps all that its path finds, which has `[*]` in it, or the last of it.
    gathers: bool,
}

/// How a value is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing of it is wanted.
    Skip,
    /// One pass gives all that is wanted.
    #[default]
    Walk,
    /// Only a document can give everything that is wanted.
    Document,
}

/// Why an answer could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misread {
    #[error("the answer is not JSON")]
    NotJson,
    #[error("`{path}` is not {wanted}")]
    Unfit { path: String, wanted: &'static str },
    #[error("`{0}` is missing")]
    Missing(String),
}

/// Collects paths while a mapping is compiled.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    trie: Trie,
    slots: usize,
    eaches: Vec<Each>,
    queries: Vec<(usize, Template)>,
    needs: Vec<(usize, String)>,
}

impl Builder {
    /// One of the places of which at least one must be there.
    pub(crate) fn need(&mut self, path: Path, text: &str) {
        let slot = self.slot(path);
        self.needs.push((slot, text.to_owned()));
    }

    /// A slot for the value at a path below the value that is mapped.
    pub(crate) fn slot(&mut self, path: Path) -> usize {
        let slot = self.next();
        match path {
            Path::Steps(steps) => {
                let gathers = steps.contains(&Step::Every);
                let capture = Capture { slot, gathers };
                self.trie.at(&steps).capture.push(capture);
            }
            Path::Query(template) => self.queries.push((slot, template)),
        }
        slot
    }

    /// Maps every item of the array at a path; `only` keeps those whose field is one of some words.
    pub(crate) fn each(
        &mut self,
        steps: &[Step],
        only: Option<(Vec<Step>, Vec<String>)>,
        item: impl FnOnce(&mut Self) -> Expression,
    ) -> Expression {
        let slot = self.next();
        // `items` and `items[*]` are the same array here.
        let array = steps.strip_suffix(&[Step::Every]).unwrap_or(steps);
        let mut inner = Self::default();
        let only = only.map(|(steps, words)| (inner.slot(Path::Steps(steps)), words));
        let expression = item(&mut inner);
        let number = self.eaches.len();
        self.eaches.push(Each {
            slot,
            only,
            cells: cells(&expression),
            item: inner.finish(expression),
        });
        self.trie.at(array).each.push(number);
        Expression::Each(slot)
    }

    pub(crate) fn finish(mut self, expression: Expression) -> Program {
        self.trie.settle();
        Program {
            root: None,
            needs: self.needs,
            trie: self.trie,
            slots: self.slots,
            eaches: self.eaches,
            queries: self.queries,
            expression,
        }
    }

    fn next(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }
}

/// A path as a mapping may have it.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    Steps(Vec<Step>),
    Query(Template),
}

impl Capture {
    /// Of what a path finds, the last.
    const fn last(slot: usize) -> Self {
        Self {
            slot,
            gathers: false,
        }
    }
}

impl Trie {
    fn at(&mut self, steps: &[Step]) -> &mut Self {
        let Some((step, rest)) = steps.split_first() else {
            return self;
        };
        let child = match step {
            Step::Name(name) => below(&mut self.names, name),
            Step::Index(index) => {
                // Negative indexes are compiled as queries; see `manifest`.
                let index = usize::try_from(*index).unwrap_or_default();
                below(&mut self.indexes, &index)
            }
            Step::Every => self.every.get_or_insert_default(),
        };
        child.at(rest)
    }

    fn is_leaf(&self) -> bool {
        self.names.is_empty()
            && self.indexes.is_empty()
            && self.every.is_none()
            && self.each.is_empty()
    }

    /// Decides once how every node reads its values.
    fn settle(&mut self) {
        self.way = if self.needs_document() {
            Way::Document
        } else if self.capture.is_empty() && self.is_leaf() {
            Way::Skip
        } else {
            Way::Walk
        };
        let named = self.names.iter_mut().map(|(_, child)| child);
        let counted = self.indexes.iter_mut().map(|(_, child)| child);
        for child in named.chain(counted).chain(self.every.as_deref_mut()) {
            child.settle();
        }
    }

    /// Whether one pass cannot give everything that is wanted here.
    fn needs_document(&self) -> bool {
        let ways = usize::from(!self.indexes.is_empty())
            + usize::from(self.every.is_some())
            + self.each.len();
        !self.capture.is_empty() && !self.is_leaf() || ways > 1
    }

    fn name(&self, name: &str) -> Option<&Self> {
        self.names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, child)| child)
    }
}

/// Where the fields come from that a record's description fills.
fn cells(record: &Expression) -> Vec<Cell> {
    let Expression::Record(fields) = record else {
        return Vec::new();
    };
    let as_it_is = |expression: &Expression| match expression {
        Expression::Slot {
            slot, transforms, ..
        } if transforms.is_empty() => Some(*slot),
        _ => None,
    };
    let cell = |(at, field): (usize, &Option<Expression>)| {
        let field = field.as_ref()?;
        let slots = match field {
            Expression::Any(choices) => choices.iter().map(as_it_is).collect(),
            one => as_it_is(one).map(|slot| vec![slot]),
        };
        Some(match slots.as_deref() {
            Some([slot]) => Cell::Slot(*slot),
            Some(slots) => Cell::First(slots.to_vec()),
            None => Cell::Made(at),
        })
    };
    fields.iter().enumerate().filter_map(cell).collect()
}

/// The child under a key, made if it is not there.
fn below<'t, K: PartialEq + Clone>(children: &'t mut Vec<(K, Trie)>, key: &K) -> &'t mut Trie {
    let at = match children.iter().position(|(known, _)| known == key) {
        Some(at) => at,
        None => {
            children.push((key.clone(), Trie::default()));
            children.len() - 1
        }
    };
    #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
    &mut children[at].1
}

/// The values found so far.
struct Found<'de> {
    slots: Vec<Tree<'de>>,
    misread: Option<Misread>,
}

impl<'de> Found<'de> {
    #[inline]
    fn put(&mut self, to: Capture, value: Tree<'de>) {
        let Some(place) = self.slots.get_mut(to.slot) else {
            return;
        };
        if to.gathers {
            place.gather(value);
        } else {
            std::mem::replace(place, value).discard();
        }
    }

    /// What a field's expression makes of the slots; says so where it cannot.
    fn make(
        &mut self,
        field: Option<&Option<Expression>>,
        outside: &dyn Surroundings,
    ) -> Tree<'de> {
        let Some(Some(field)) = field else {
            return Tree::Absent;
        };
        field
            .evaluate(&mut self.slots, outside)
            .unwrap_or_else(|misread| {
                self.misread.get_or_insert(misread);
                Tree::Absent
            })
    }

    /// A slot's value. A slot belongs to one expression, so that it can be moved out.
    #[inline]
    fn take(&mut self, slot: usize) -> Tree<'de> {
        self.slots
            .get_mut(slot)
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

impl Program {
    /// The same mapping, of what another makes of the answer.
    pub(crate) fn below(self, root: Option<Self>) -> Self {
        Self {
            root: root.map(Box::new),
            ..self
        }
    }

    /// Maps a JSON text.
    pub(crate) fn read<'de>(
        &self,
        body: &'de [u8],
        outside: &dyn Surroundings,
    ) -> Result<Tree<'de>, Misread> {
        if let Some(root) = &self.root {
            return self.map_within(&root.value(root.read(body, outside)?)?, outside);
        }
        if !self.queries.is_empty() {
            let value: Value = serde_json::from_slice(body).map_err(|_| Misread::NotJson)?;
            return self.map(&value, outside);
        }
        // Looked at once in all, not for each text in it.
        let body = std::str::from_utf8(body).map_err(|_| Misread::NotJson)?;
        let mut pass = self.pass(outside);
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let walk = Walk {
            trie: &self.trie,
            pass: &mut pass,
        };
        walk.deserialize(&mut deserializer)
            .map_err(|_| Misread::NotJson)?;
        deserializer.end().map_err(|_| Misread::NotJson)?;
        self.finish(&mut pass.found, outside)
    }

    /// Maps a document.
    pub(crate) fn map(
        &self,
        value: &Value,
        outside: &dyn Surroundings,
    ) -> Result<Tree<'static>, Misread> {
        match &self.root {
            Some(root) => self.map_within(&root.value(root.map(value, outside)?)?, outside),
            None => self.map_within(value, outside),
        }
    }

    /// What a root has made, which must be something.
    fn value(&self, made: Tree<'_>) -> Result<Value, Misread> {
        match (made, &self.expression) {
            (Tree::Absent, Expression::Slot { path, .. } | Expression::Outside { path, .. }) => {
                Err(Misread::Missing(path.clone()))
            }
            (made, _) => Ok(made.json()),
        }
    }

    fn map_within(
        &self,
        value: &Value,
        outside: &dyn Surroundings,
    ) -> Result<Tree<'static>, Misread> {
        let mut found = self.empty();
        self.walk(&self.trie, value, outside, &mut found);
        for (slot, query) in &self.queries {
            if let Ok(Some(value)) = query.render(value) {
                found.put(Capture::last(*slot), Tree::owned(value));
            }
        }
        self.finish(&mut found, outside)
    }

    fn empty<'de>(&self) -> Found<'de> {
        Found {
            slots: vec![Tree::Absent; self.slots],
            misread: None,
        }
    }

    fn pass<'a, 'de>(&'a self, outside: &'a dyn Surroundings) -> Pass<'a, 'de> {
        Pass {
            program: self,
            outside,
            found: self.empty(),
        }
    }

    fn walk(
        &self,
        trie: &Trie,
        value: &Value,
        outside: &dyn Surroundings,
        found: &mut Found<'static>,
    ) {
        for capture in &trie.capture {
            found.put(*capture, Tree::owned(value.clone()));
        }
        match value {
            Value::Object(members) => {
                for (name, child) in &trie.names {
                    if let Some(value) = members.get(name) {
                        self.walk(child, value, outside, found);
                    }
                }
            }
            Value::Array(items) => {
                for (index, child) in &trie.indexes {
                    if let Some(value) = items.get(*index) {
                        self.walk(child, value, outside, found);
                    }
                }
                if let Some(child) = &trie.every {
                    for value in items {
                        self.walk(child, value, outside, found);
                    }
                }
                for each in trie
                    .each
                    .iter()
                    .filter_map(|number| self.eaches.get(*number))
                {
                    each.begin(found);
                    let mut inner = each.item.empty();
                    for value in items {
                        each.map(value, outside, &mut inner);
                        each.gather(&mut inner, outside, found);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn finish<'de>(
        &self,
        found: &mut Found<'de>,
        outside: &dyn Surroundings,
    ) -> Result<Tree<'de>, Misread> {
        self.look(found)?;
        self.expression.evaluate(&mut found.slots, outside)
    }

    /// Whether all was read, and what must be there is.
    fn look(&self, found: &mut Found<'_>) -> Result<(), Misread> {
        if let Some(misread) = found.misread.take() {
            return Err(misread);
        }
        let missing =
            |(slot, _): &(usize, String)| found.slots.get(*slot).is_none_or(Tree::is_absent);
        match self.needs.first() {
            Some((_, first)) if self.needs.iter().all(missing) => {
                Err(Misread::Missing(first.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl Each {
    /// The list is there as soon as the array is, though it be empty.
    fn begin(&self, found: &mut Found<'_>) {
        if let Some(place @ Tree::Absent) = found.slots.get_mut(self.slot) {
            *place = match &self.item.expression {
                Expression::Record(fields) => {
                    Tree::Rows(Box::new(Rows::of(fields.iter().map(Option::is_some))))
                }
                _ => Tree::List(Box::default()),
            };
        }
    }

    /// Finds what is wanted in one item of a document.
    fn map(&self, value: &Value, outside: &dyn Surroundings, inner: &mut Found<'static>) {
        self.item.walk(&self.item.trie, value, outside, inner);
        for (slot, query) in &self.item.queries {
            if let Ok(Some(value)) = query.render(value) {
                inner.put(Capture::last(*slot), Tree::owned(value));
            }
        }
    }

    /// Adds what was found in an item to the list, unless the item is left out. What was found is used up: the next item
    /// begins with nothing.
    fn gather<'item: 'de, 'de>(
        &self,
        inner: &mut Found<'item>,
        outside: &dyn Surroundings,
        found: &mut Found<'de>,
    ) {
        if let Err(misread) = self.add(inner, outside, found.slots.get_mut(self.slot)) {
            found.misread.get_or_insert(misread);
        }
        for slot in &mut inner.slots {
            if !slot.is_absent() {
                std::mem::take(slot).discard();
            }
        }
        inner.misread = None;
    }

    fn add<'item: 'de, 'de>(
        &self,
        inner: &mut Found<'item>,
        outside: &dyn Surroundings,
        list: Option<&mut Tree<'de>>,
    ) -> Result<(), Misread> {
        if let Some((slot, words)) = &self.only {
            let word = inner.slots.get(*slot).cloned().and_then(Tree::text);
            if !word.is_some_and(|word| words.iter().any(|known| *known == word)) {
                return Ok(());
            }
        }
        match (list, &self.item.expression) {
            (Some(Tree::Rows(rows)), Expression::Record(fields)) => {
                self.item.look(inner)?;
                rows.extend(self.cells.iter().map(|cell| match cell {
                    Cell::Slot(slot) => inner.take(*slot),
                    Cell::First(slots) => {
                        let mut values = slots.iter().map(|slot| inner.take(*slot));
                        let found = values.find(|value| !value.is_absent());
                        found.unwrap_or_default()
                    }
                    Cell::Made(at) => inner.make(fields.get(*at), outside),
                }));
                inner.misread.take().map_or(Ok(()), Err)?;
            }
            (Some(Tree::List(items)), _) => items.push(self.item.finish(inner, outside)?),
            _ => {}
        }
        Ok(())
    }
}

impl Expression {
    fn evaluate<'de>(
        &self,
        slots: &mut [Tree<'de>],
        outside: &dyn Surroundings,
    ) -> Result<Tree<'de>, Misread> {
        match self {
            Self::Literal(value) => Ok(Tree::owned(value.clone())),
            Self::Slot {
                slot,
                transforms,
                path,
            } => {
                // A slot belongs to one expression, so that its value can be moved out.
                let value = slots.get_mut(*slot).map(std::mem::take);
                let value = value.unwrap_or_default();
                transformed(value, transforms, path)
            }
            Self::Outside {
                source,
                transforms,
                path,
            } => transformed(outside.outside(source), transforms, path),
            Self::Any(choices) => {
                for choice in choices {
                    let value = choice.evaluate(slots, outside)?;
                    if !value.is_absent() {
                        return Ok(value);
                    }
                }
                Ok(Tree::Absent)
            }
            Self::Record(fields) => {
                let mut record = Vec::with_capacity(fields.len());
                for field in fields {
                    record.push(match field {
                        Some(expression) => expression.evaluate(slots, outside)?,
                        None => Tree::Absent,
                    });
                }
                Ok(Tree::Record(record.into_boxed_slice()))
            }
            Self::Items(items) => {
                let items = items.iter().map(|item| item.evaluate(slots, outside));
                Ok(Tree::List(Box::new(items.collect::<Result<_, _>>()?)))
            }
            Self::Each(slot) => Ok(slots.get_mut(*slot).map(std::mem::take).unwrap_or_default()),
        }
    }
}

pub(crate) fn transformed<'a>(
    mut value: Tree<'a>,
    transforms: &[Transform],
    path: &str,
) -> Result<Tree<'a>, Misread> {
    for transform in transforms {
        value = transform
            .apply(value)
            .map_err(|Unfit(wanted)| Misread::Unfit {
                path: path.to_owned(),
                wanted,
            })?;
    }
    Ok(value)
}

/// One pass over one value and all below it.
struct Pass<'a, 'de> {
    program: &'a Program,
    outside: &'a dyn Surroundings,
    found: Found<'de>,
}

/// Deserialises one value, keeping what the trie wants of it.
struct Walk<'p, 'a, 'de> {
    trie: &'a Trie,
    pass: &'p mut Pass<'a, 'de>,
}

impl<'de> Pass<'_, 'de> {
    /// A value of which several copies are wanted, or none.
    #[cold]
    fn spread(&mut self, to: &[Capture], value: &Tree<'de>) {
        for capture in to {
            self.found.put(*capture, value.clone());
        }
    }
}

impl<'de> Walk<'_, '_, 'de> {
    #[inline]
    fn scalar(self, value: Tree<'de>) {
        match self.trie.capture.as_slice() {
            [capture] => self.pass.found.put(*capture, value),
            many => self.pass.spread(many, &value),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.trie.way == Way::Walk {
            return deserializer.deserialize_any(self);
        }
        if self.trie.way == Way::Skip {
            IgnoredAny::deserialize(deserializer)?;
        } else {
            let value = Value::deserialize(deserializer)?;
            let Pass {
                program,
                outside,
                found: kept,
            } = self.pass;
            let mut found = Found {
                slots: std::mem::take(&mut kept.slots)
                    .into_iter()
                    .map(owned)
                    .collect(),
                misread: kept.misread.take(),
            };
            program.walk(self.trie, &value, *outside, &mut found);
            *kept = Found {
                slots: found.slots,
                misread: found.misread,
            };
        }
        Ok(())
    }
}

/// The same value, borrowing nothing.
fn owned(tree: Tree<'_>) -> Tree<'static> {
    match tree {
        Tree::Absent => Tree::Absent,
        Tree::Bool(value) => Tree::Bool(value),
        Tree::Number(value) => Tree::Number(value),
        Tree::Text(text) => Tree::Text(Cow::Owned(text.into_owned())),
        Tree::List(items) => Tree::List(Box::new(items.into_iter().map(owned).collect())),
        Tree::Rows(rows) => Tree::Rows(Box::new(rows.map(owned))),
        Tree::Record(fields) => Tree::Record(fields.into_iter().map(owned).collect()),
        Tree::Bytes(bytes) => Tree::Bytes(bytes),
        Tree::Json(value) => Tree::Json(value),
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(Tree::Absent);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(Tree::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "JSON numbers are doubles to their readers"
        )]
        self.scalar(Tree::Number(value as f64));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "JSON numbers are doubles to their readers"
        )]
        self.scalar(Tree::Number(value as f64));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(Tree::Number(value));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.scalar(Tree::Text(Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(Tree::Text(Cow::Owned(value.to_owned())));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if !self.trie.capture.is_empty() {
            let whole = Value::deserialize(serde::de::value::MapAccessDeserializer::new(members))?;
            self.scalar(Tree::owned(whole));
            return Ok(());
        }
        while let Some(child) = members.next_key_seed(Member(self.trie))? {
            match child {
                Some(trie) => members.next_value_seed(Walk {
                    trie,
                    pass: &mut *self.pass,
                })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.trie.capture.is_empty() {
            let whole = Value::deserialize(serde::de::value::SeqAccessDeserializer::new(items))?;
            self.scalar(Tree::owned(whole));
            return Ok(());
        }
        if let Some(each) = self
            .trie
            .each
            .first()
            .and_then(|number| self.pass.program.eaches.get(*number))
        {
            let Pass { outside, found, .. } = self.pass;
            each.begin(found);
            if !each.item.queries.is_empty() {
                let mut inner = each.item.empty();
                while let Some(value) = items.next_element::<Value>()? {
                    each.map(&value, *outside, &mut inner);
                    each.gather(&mut inner, *outside, found);
                }
                return Ok(());
            }
            let mut inner = each.item.pass(*outside);
            loop {
                let walk = Walk {
                    trie: &each.item.trie,
                    pass: &mut inner,
                };
                if items.next_element_seed(walk)?.is_none() {
                    return Ok(());
                }
                each.gather(&mut inner.found, *outside, found);
            }
        }
        if let Some(trie) = &self.trie.every {
            while items
                .next_element_seed(Walk {
                    trie,
                    pass: &mut *self.pass,
                })?
                .is_some()
            {}
            return Ok(());
        }
        let mut at = 0;
        loop {
            let wanted = self
                .trie
                .indexes
                .iter()
                .find(|(index, _)| *index == at)
                .map(|(_, trie)| trie);
            let more = match wanted {
                Some(trie) => items
                    .next_element_seed(Walk {
                        trie,
                        pass: &mut *self.pass,
                    })?
                    .is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }
}

/// Finds the trie below a key without keeping the key.
struct Member<'a>(&'a Trie);

impl<'de, 'a> DeserializeSeed<'de> for Member<'a> {
    type Value = Option<&'a Trie>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Member<'a> {
    type Value = Option<&'a Trie>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.name(name))
    }
}

#[cfg(test)]
mod tests;
