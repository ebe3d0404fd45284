//! Project rules that are easy to forget, enforced by tests.

mod catalogue;
mod early_ends;
mod layers;
mod methods;
mod migrations;
mod mutations;
mod readme;
mod release;
mod responses;
mod schema;
mod scripts;
mod seams;
mod texts;
