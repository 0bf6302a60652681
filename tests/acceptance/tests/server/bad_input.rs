//! Bad input of every kind: refused with a code or reason of its own, counted in its own metric, logged
//! once for each cause, and without any effect; and afterwards the server is as good as before.

mod certificates;
mod frames;
mod limits;
mod records;
mod times;
