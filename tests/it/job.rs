//! Jobs and what comes by the clock: whatever dies in the middle, each is done, and as far as anybody can see once.

mod places;
mod schedule;
