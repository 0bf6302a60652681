//! Bad input of every kind: refused with its code or reason, counted in its metric, logged once per cause, and without
//! any effect; afterwards the server works as before.

mod certificates;
mod frames;
mod limits;
mod records;
mod times;
