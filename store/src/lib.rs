//! Muster's durable half.
