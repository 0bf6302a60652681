//! Nothing but its tests: they hold which crate may name which, how sources look, and that the documents are true.
