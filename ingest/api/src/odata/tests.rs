//! Tests of the query options.
