//! Files: what callers upload, and what others get to see of it.

mod attachments;
mod avatars;
mod downloads;
mod forms;
mod quota;
mod s3;
mod types;
mod unused;
mod uploads;
