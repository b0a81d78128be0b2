//! What a value can be: of inputs, of operations' inputs and outputs, of references and expressions.
//!
//! Shapes are made from JSON Schemas of contracts and from the notation of composition files (`string?`, `blob(25MB)`,
//! `list(string)`), and compared to find mistakes before anything runs. What is not known is [`Shape::Any`], which fits
//! everywhere: a check never refuses what could be right.

use std::collections::BTreeMap;

/// What a value can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Not known.
    Any,
    /// Nothing: absent or null.
    Nothing,
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text; one of these if there are any.
    Text(Vec<String>),
    /// A recording or another large body.
    Blob,
    /// A list.
    List(Box<Shape>),
    /// An object.
    Object {
        /// Members that are known.
        fields: BTreeMap<String, Shape>,
        /// What other members are, if there may be any.
        others: Option<Box<Shape>>,
    },
    /// Something, or nothing.
    Optional(Box<Shape>),
}
