//! The archive of an export: one NDJSON file per table with rows, and the contents of the files. A run after a crash begins
//! another archive; the storage deletes the first one when it expires.

use futures_util::StreamExt as _;
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    fault,
    module::Modules,
    personal::{self, Owner, Personal},
    unit_of_work::Work,
    upload::{Spool, Upload},
};
use uuid::Uuid;

use crate::{
    files::{
        archive::ops::{self as archive, ArchiveWriter},
        file::ops as file,
    },
    identity::{
        data_export::{
            id::DataExportId,
            model::{Archive, DataExport},
            store,
        },
        retention::ARCHIVES,
    },
};

/// Writes the archive of an export that has not ended.
///
/// # Errors
/// Any error that prevented it; `NOT_FOUND` if the export was erased.
pub(crate) async fn run(app: &App, id: DataExportId) -> Result<()> {
    let read = async move |connection: &mut Connection| store::get(connection, Visibility::All, id).await;
    let export = app.database.autocommit(read).await?;
    if export.is_finished() {
        return Ok(());
    }
    let (owner, subject) = owner(&export);
    let tables = Modules::of(app).personal().exported(owner);
    let count = async move |connection: &mut Connection| file::count_of(connection, subject).await;
    let files = app.database.autocommit(count).await?;
    let export = set(app, export, |export| export.run(tables.len() as i64 + files)).await?;
    let expires_at = app.clock.now() + ARCHIVES.kept(&app.config).unwrap_or_default();
    let (archive_id, writer) = archive::begin(app, expires_at).await?;
    let written = async {
        let size_bytes = write(app, &export, tables, writer).await?;
        let (archive, now) = (Archive { id: archive_id, size_bytes, expires_at }, app.clock.now());
        set(app, export, |export| export.succeed(archive, now)).await?;
        tracing::info!(export = %id, size_bytes, "an export ended");
        Ok(())
    };
    let written = written.await;
    if written.is_err() {
        // The export may have been erased meanwhile; otherwise, the next run begins another archive.
        let now = app.clock.now();
        let release = async move |connection: &mut Connection| archive::release(connection, &[archive_id], now).await;
        app.database.autocommit(release).await?;
    }
    written
}

/// Writes the tables and the files of an export. Returns the size of the archive.
async fn write(app: &App, export: &DataExport, tables: Vec<Vec<Personal>>, mut writer: ArchiveWriter) -> Result<i64> {
    let (id, (_, subject)) = (export.id, owner(export));
    let mut done = 0;
    for table in tables {
        write_table(app, &mut writer, &table, subject).await?;
        fault::point("export.table")?;
        done += 1;
        app.database.autocommit(async move |connection| store::set_done(connection, id, done).await).await?;
    }
    write_files(app, &mut writer, export, done).await?;
    i64::try_from(writer.finish().await?).map_err(Error::internal)
}

/// Fails an export whose job will not run again.
pub(crate) async fn abandon(app: &App, id: DataExportId) -> Result<()> {
    let read = async move |connection: &mut Connection| store::get(connection, Visibility::All, id).await;
    let now = app.clock.now();
    match app.database.autocommit(read).await {
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        export => set(app, export?, |export| export.fail(now)).await.map(drop),
    }
}

/// Returns whose data an export has, and the id.
fn owner(export: &DataExport) -> (Owner, Uuid) {
    match export.account {
        Some(account) => (Owner::Account, account.0),
        None => (Owner::User, export.user.0),
    }
}

/// Stores the next state of an export, unless it has ended.
async fn set(app: &App, export: DataExport, next: impl FnOnce(DataExport) -> DataExport + Send) -> Result<DataExport> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let current = store::lock(connection, export.id).await?;
        if current.is_finished() {
            return Err(Error::with_message(Reason::Conflict, "The export has ended."));
        }
        let next = next(current);
        store::update(connection, &next).await?;
        Ok(next)
    });
    transaction.await
}

/// Writes the rows of a table, if there are any. They are spooled first, because an entry begins with its size, and a network
/// call has no place in the transaction of the cursor.
async fn write_table(app: &App, writer: &mut ArchiveWriter, table: &[Personal], subject: Uuid) -> Result<()> {
    let mut spool = Upload::begin(app.part::<Spool>(), subject, usize::MAX).await?;
    let (filled, rows) = (&mut spool, table.to_vec());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        personal::open_rows(connection, &rows, subject).await?;
        loop {
            let rows = personal::next_rows(connection).await?;
            if rows.is_empty() {
                return personal::close_rows(connection).await;
            }
            for row in rows {
                filled.push(row.as_bytes()).await?;
                filled.push(b"\n").await?;
            }
        }
    });
    transaction.await?;
    if spool.bytes() == 0 {
        return Ok(());
    }
    let name = table.first().map(|declaration| declaration.table).unwrap_or_default();
    writer.begin(&format!("{name}.ndjson"), spool.bytes() as u64).await?;
    while let Some(piece) = spool.next().await? {
        writer.write(&piece).await?;
    }
    Ok(())
}

/// Writes the contents of the files, under their ids; `files.ndjson` has their names.
async fn write_files(app: &App, writer: &mut ArchiveWriter, export: &DataExport, mut done: i64) -> Result<()> {
    let ((_, subject), id, mut after) = (owner(export), export.id, Uuid::nil());
    loop {
        let page = async move |connection: &mut Connection| file::contents_of(connection, subject, after).await;
        let files = app.database.autocommit(page).await?;
        let Some(last) = files.last() else { return Ok(()) };
        after = last.id.0;
        for stored in files {
            // A file may be deleted meanwhile.
            let Some(mut content) = file::open(app, &stored).await? else { continue };
            let size = u64::try_from(stored.size_bytes).map_err(Error::internal)?;
            writer.begin(&format!("files/{}", stored.id), size).await?;
            while let Some(piece) = content.next().await {
                writer.write(&piece?).await?;
            }
            done += 1;
        }
        app.database.autocommit(async move |connection| store::set_done(connection, id, done).await).await?;
    }
}
