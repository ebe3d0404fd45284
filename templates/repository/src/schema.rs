//! The tables as diesel sees them; `migrations/` has the columns' meaning.
