//! Unit tests of the bench of requests: of its parts that need no servers. The bench itself has no test harness.

#[path = "../../benches/requests/curve.rs"]
mod curve;
#[path = "../../benches/requests/figures.rs"]
mod figures;
#[path = "../../benches/requests/open_loop.rs"]
mod open_loop;
#[path = "../../benches/requests/pictures.rs"]
mod pictures;
#[path = "../../benches/requests/svg.rs"]
mod svg;

mod comparison;
mod drawing;
mod picture;
mod points;
mod schedule;
