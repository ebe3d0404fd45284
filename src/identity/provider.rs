//! Sign-in with providers: OpenID Connect (authorization code with PKCE), and GitHub's OAuth.

pub mod client;
mod discovery;
mod documents;
mod github;
pub mod model;
pub mod ops;
mod places;
