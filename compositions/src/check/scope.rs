//! What a value may look at, where it stands; and what it did look at.

use std::collections::{BTreeMap, BTreeSet};

use isobar_config::Span;

use crate::{plan::Root, shape::Shape};

/// Names that are no steps.
pub(crate) const ROOTS: [&str; 4] = ["input", "run", "item", "index"];

/// A step as values of other steps see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) name: String,
    /// Its output when it ran.
    pub(crate) shape: Shape,
    /// Its condition as written: it may not have run.
    pub(crate) when: Option<String>,
}

/// What a value may look at.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'s> {
    /// An object of the inputs.
    pub(crate) inputs: &'s Shape,
    pub(crate) steps: &'s [Seen],
    /// The step that the value is of.
    pub(crate) own: Option<usize>,
    /// What that step's output is, where it may look at that.
    pub(crate) own_output: Option<Shape>,
    /// The item, within `each`.
    pub(crate) item: Option<Shape>,
    /// Whether it is of the answer, which may say which parts are degraded.
    pub(crate) answer: bool,
    /// What is known to be there: names from a root on.
    pub(crate) present: Vec<Vec<String>>,
    /// The condition under which the value is looked at, as written.
    pub(crate) when: Option<String>,
}

/// Why a name is no root here.
pub(crate) enum NoRoot {
    /// It is only within `each`.
    NoItem,
    /// It is the step that the value is of.
    Own,
    /// There is no step of this name.
    Unknown,
}

impl Scope<'_> {
    /// Whose value a name is, and its shape.
    pub(crate) fn root(&self, name: &str) -> Result<(Root, Shape), NoRoot> {
        match name {
            "input" => Ok((Root::Input, self.inputs.clone())),
            "run" => Ok((
                Root::Run,
                Shape::object([
                    ("id", Shape::text()),
                    ("key", Shape::text()),
                    ("degraded", Shape::List(Box::new(Shape::text()))),
                ]),
            )),
            "item" => match &self.item {
                Some(shape) => Ok((Root::Item, shape.clone())),
                None => Err(NoRoot::NoItem),
            },
            "index" => match self.item {
                Some(_) => Ok((Root::Index, Shape::Integer)),
                None => Err(NoRoot::NoItem),
            },
            _ => self.step(name),
        }
    }

    fn step(&self, name: &str) -> Result<(Root, Shape), NoRoot> {
        let index = self
            .steps
            .iter()
            .position(|step| step.name == name)
            .ok_or(NoRoot::Unknown)?;
        let step = self.steps.get(index).ok_or(NoRoot::Unknown)?;
        if self.own == Some(index) {
            return match &self.own_output {
                Some(shape) => Ok((Root::Step(index), shape.clone())),
                None => Err(NoRoot::Own),
            };
        }
        let shape = match &step.when {
            // A step with the same condition ran if this one does.
            Some(when) if self.when.as_ref() != Some(when) => {
                Shape::Optional(Box::new(step.shape.clone()))
            }
            _ => step.shape.clone(),
        };
        Ok((Root::Step(index), shape))
    }

    /// Whether what these names lead to is known to be there.
    pub(crate) fn is_present(&self, path: &[String]) -> bool {
        self.present.iter().any(|known| known == path)
    }

    /// Names that references may start with.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .steps
            .iter()
            .enumerate()
            .filter(|(index, _)| self.own != Some(*index))
            .map(|(_, step)| step.name.as_str())
            .collect();
        names.extend(["input", "run"]);
        if self.item.is_some() {
            names.extend(["item", "index"]);
        }
        names
    }
}

/// What values looked at.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Steps, each with the place of the first reference.
    pub(crate) steps: BTreeMap<usize, Span>,
    /// Inputs.
    pub(crate) inputs: BTreeSet<String>,
    /// Whether every input counts as used: `$.input` alone.
    pub(crate) all_inputs: bool,
    /// The item or its index.
    pub(crate) item: bool,
}

impl Uses {
    pub(crate) fn add(&mut self, root: Root, path: &[String], at: Span) {
        match root {
            Root::Step(index) => {
                self.steps.entry(index).or_insert(at);
            }
            Root::Input => match path.first() {
                Some(name) => {
                    self.inputs.insert(name.clone());
                }
                None => self.all_inputs = true,
            },
            Root::Item | Root::Index => self.item = true,
            Root::Run => {}
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (index, at) in &other.steps {
            self.steps.entry(*index).or_insert(*at);
        }
        self.inputs.extend(other.inputs.iter().cloned());
        self.all_inputs |= other.all_inputs;
        self.item |= other.item;
    }
}
