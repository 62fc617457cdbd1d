//! What does a query ask for?
//!
//! `lexer` cuts the text into tokens, `parser` makes the tree of `ast` out of them, and `plan` resolves the tree
//! against a schema: fields become numbers, words grow their stems. Nothing here has seen a document.

pub mod ast;
pub mod expand;
pub mod explain;
pub mod fuzzy;
pub mod lexer;
pub mod nested;
pub mod parser;
pub mod pattern;
pub mod plan;
mod tags;
