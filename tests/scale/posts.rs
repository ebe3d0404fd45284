//! Runs every statement of readers and authors of posts.

use mainstay::content::{
    id::PostId,
    post::{
        model::{Filter, List, Name},
        store as post,
    },
};
use mainstay_kernel::{
    caller::Visibility,
    id::UserId,
    page::{Page, Start},
};
use uuid::Uuid;

use crate::server::{Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;
const LIMIT: i64 = 21;

/// One post in ten is a draft, one in a hundred is scheduled. The first label is on one post in three, the second on one
/// in a thousand; the first word is in every post, the second in one of 64, the third in one.
const SEED: &str = "
    INSERT INTO accounts SELECT gen_random_uuid(), 'Authors', now();
    INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
    SELECT gen_random_uuid(), 'author' || n || '@example.com', 'Author', 2, 'none', now(), now()
    FROM accounts, generate_series(1, 20) AS n;
    INSERT INTO posts (id, account_id, author_id, slug, title, summary, body, language, tags, status, created_at,
        updated_at, published_at)
    SELECT gen_random_uuid(), account_id, author, 'post-' || n, 'Post number ' || n, 'What it is about',
        'Some words on ' || (ARRAY['invoices', 'passwords', 'drivers', 'reports', 'parcels', 'routers', 'volumes', 'releases'])[1 + least(n % 64, 7)]
            || ' and number' || n || repeat(' and so on', 20),
        'en', CASE WHEN n % 1000 = 0 THEN '{often,rare}' WHEN n % 3 = 0 THEN '{often}' ELSE '{}' END::text[],
        CASE WHEN n % 10 = 0 THEN 1 WHEN n % 100 = 1 THEN 2 ELSE 3 END,
        '2020-01-01Z'::timestamptz + n * interval '1 minute', '2020-01-01Z'::timestamptz + n * interval '1 minute',
        CASE WHEN n % 10 <> 0 THEN '2020-01-02Z'::timestamptz + n * interval '1 minute' END
    FROM generate_series(1, 100000) AS n
    JOIN LATERAL (SELECT accounts.id AS account_id, (array_agg(users.id ORDER BY users.id))[1 + n % 20] AS author
        FROM accounts, users GROUP BY 1) AS authors ON true;
    INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
    SELECT gen_random_uuid(), 'reader' || n || '@example.com', 'Reader', 1, 'none', now(), now()
    FROM accounts, generate_series(1, 5000) AS n;
    VACUUM ANALYZE posts;
    VACUUM ANALYZE users";

/// Runs the statements and returns how many lists there were.
pub(crate) async fn run(server: &Server) -> anyhow::Result<usize> {
    for statement in SEED.split(';') {
        server.client.batch_execute(statement).await?;
    }
    let row = server.client.query_one("SELECT id, author_id FROM posts WHERE slug = 'post-7'", &[]).await?;
    let (id, author): (Uuid, Uuid) = (row.get(0), row.get(1));
    let author = UserId(author);
    let filters = [
        Filter::default(),
        Filter { author: Some(author), ..Filter::default() },
        Filter { tag: "often".to_owned(), ..Filter::default() },
        Filter { tag: "rare".to_owned(), ..Filter::default() },
        Filter { tag: "often".to_owned(), author: Some(author), ..Filter::default() },
        Filter { query: "words".to_owned(), ..Filter::default() },
        Filter { query: "parcels".to_owned(), ..Filter::default() },
        Filter { query: "number777".to_owned(), tag: "often".to_owned(), ..Filter::default() },
    ];
    let mut lists: Vec<_> = filters.into_iter().map(List::Published).collect();
    for visibility in [Visibility::All, Visibility::Principal(author.0)] {
        lists.extend([None, Some(author)].map(|author| List::Drafts(visibility, author)));
    }
    for round in 0..ROUNDS {
        for list in &lists {
            let list = list.clone();
            let read = server.database.autocommit(async move |connection| {
                let first = post::list(connection, &list, Page::first(LIMIT)).await?;
                if let Some(last) = first.last() {
                    post::list(connection, &list, Start::After(last.key()).page(LIMIT)).await?;
                }
                if round == 0 {
                    post::list(connection, &list, Start::Offset(10_000).page(LIMIT)).await?;
                }
                post::total(connection, &list).await
            });
            read.await.map_err(plain)?;
        }
        let looked_up = server.database.autocommit(async move |connection| {
            let post = post::find(connection, &Name::Id(PostId(id)), true).await?;
            post::find(connection, &Name::Slug("post-7".to_owned()), true).await?;
            post::role_of(connection, author).await?;
            Ok(post)
        });
        assert!(looked_up.await.map_err(plain)?.is_some());
    }
    Ok(lists.len() * ROUNDS * 2)
}
