//! OData: the query options of a Graph-shaped API, over any type that has a [`Schema`].
//!
//! [`Options`] splits a query string; [`Filter`], [`OrderBy`] and [`Select`] resolve their texts against a schema, and
//! [`TokenKey`] authenticates what continues a list.
//!
//! Owner: the task of the request that parses; filters and orders are immutable and can be shared by threads. Bounded by
//! the limits of its parts: no text of a client costs more than a few milliseconds or overflows the stack. Pure: no IO,
//! no clock, no HTTP. It does not plan: it only shows what a filter requires, so that a planner can.

mod ast;
mod error;
mod filter;
mod fold;
mod instant;
mod json;
mod lexer;
mod options;
mod orderby;
mod parser;
mod resolve;
mod row;
mod schema;
mod search;
mod select;
mod split;
mod token;

#[cfg(test)]
mod tests;

pub use error::{QueryError, Quoted, Reason};
pub use filter::{Comparison, Exact, Filter, MemberSet, Test, Text};
pub(crate) use fold::folded as fold_text;
pub use instant::{TICKS_PER_SECOND, ticks_from_seconds};
pub use json::JsonRow;
pub use options::{Expand, Options, PAGE_MAX, QUERY_BYTES_MAX};
pub use orderby::{KEY_BYTES_MAX, KEYS_MAX, Key, KeyTooLong, OrderBy, Position};
pub use parser::{CONDITIONS_MAX, DEPTH_MAX, FILTER_BYTES_MAX};
pub use row::{Element, Row, Value};
pub use schema::{Kind, MEMBERS_MAX, Members, Property, Schema};
pub use search::{SEARCH_BYTES_MAX, TERMS_MAX};
pub use select::{SELECTED_MAX, Select};
pub use token::{PAYLOAD_BYTES_MAX, Purpose, TOKEN_BYTES_MAX, TokenError, TokenKey, TokenScope};
