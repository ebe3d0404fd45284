
/// Does it with a sample item.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn do_it(work: &mut Work, id: SampleItemId, expected: Option<ExpectedVersions>) -> Result<SampleItem> {
    let visibility = work.permit()?.visibility();
    let sample_item = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), sample_item.version)?;
    let next = sample_item.do_it(work.now());
    let row = next.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &row).await }));
    record::<SampleItemChanged>(work, &next, false);
    Ok(next)
}
