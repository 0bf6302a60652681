//! Tests of the endpoint with a fake backend.

mod changes;
mod documents;
mod errors;
mod fixture;
mod routes;
mod socket;
