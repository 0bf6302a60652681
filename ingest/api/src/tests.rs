//! The endpoint over a backend that answers as told.

mod documents;
mod errors;
mod fixture;
mod routes;
mod socket;
