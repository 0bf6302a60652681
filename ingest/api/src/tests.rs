//! Tests of the endpoint with a fake backend.

mod access;
mod accesses;
mod changes;
mod documents;
mod errors;
mod exports;
pub(crate) mod fixture;
mod groups;
mod issued_tokens;
mod machines;
mod names;
mod openapi;
mod operator;
mod page;
mod reports;
mod routes;
mod shapes;
mod socket;
mod tenants;
mod users;
