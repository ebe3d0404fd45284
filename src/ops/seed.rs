//! Generated tickets, for trying out lists and limits at size.
