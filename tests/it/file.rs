//! Files: uploads, and what they expose to other callers.

mod attachments;
mod avatars;
mod downloads;
mod forms;
mod quota;
mod s3;
mod types;
mod unused;
mod uploads;
