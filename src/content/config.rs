//! The settings of the feed of posts.

use mainstay_kernel::config::{Reader, Section, Variable};

#[derive(Debug, Clone)]
pub struct ContentConfig {
    pub feed_title: String,
    /// The public address of a post, in which `{slug}` stands for its slug.
    pub post_url: String,
    /// The URL of this server as its callers see it, without a trailing slash; `None` to use the URL of each request.
    pub public_url: Option<String>,
}

impl Section for ContentConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("FEED_TITLE", "Posts", "Title of the feed of posts"),
        Variable::plain(
            "POST_URL",
            "/api/v1/post-slugs/{slug}",
            "Address of a post on your site, which the feed links to; {slug} stands for its slug",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let post_url: String = read.parse("POST_URL");
        if !post_url.contains("{slug}") {
            read.fault("POST_URL", "must contain {slug}: otherwise all posts of the feed have one address");
        }
        // The mail module declares this setting and reports its faults.
        let public_url: Option<String> = read.optional("PUBLIC_URL");
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        Self { feed_title: read.parse("FEED_TITLE"), post_url, public_url }
    }
}
