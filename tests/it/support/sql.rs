//! SQL that bypasses the server.

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use url::Url;

/// Runs SQL on a database and returns the rows as text.
pub(crate) async fn sql(url: &str, statement: &str) -> Vec<Vec<Option<String>>> {
    rows(statement, connect(url).await.simple_query(statement).await)
}

/// Returns the rows of a statement's answer as text.
pub(crate) fn rows(
    statement: &str,
    answer: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>,
) -> Vec<Vec<Option<String>>> {
    let messages = answer.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// A connection that closes with its client.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("Postgres answers");
    // The connection ends with the client or with the server; in the latter case the client reports the error.
    tokio::spawn(async move { connection.await.ok() });
    client
}

/// The URL of another database on the same server.
pub(crate) fn url_of(server: &str, database: &str) -> String {
    let mut url = Url::parse(server).expect("a URL");
    url.set_path(database);
    url.into()
}
