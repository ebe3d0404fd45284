//! Tests of the generated files and of the rejected input. `scripts/scaffold` builds and tests a generated repository.

use std::collections::BTreeSet;

use chrono::DateTime;

use super::*;

fn new(folder: &Path) -> anyhow::Result<()> {
    new_beside(folder, None)
}

fn new_beside(folder: &Path, sources: Option<&Path>) -> anyhow::Result<()> {
    let new = New { folder: folder.to_owned(), path: sources.map(Path::to_owned), git: None, tag: None };
    new.run(crate::product().modules().expect("they fit together"))
}

fn add_named(root: &Path, name: &str) -> anyhow::Result<Outcome> {
    add(root, name, &[])
}

fn add(root: &Path, name: &str, fields: &[&str]) -> anyhow::Result<Outcome> {
    let fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
    addition::resource(root, name, None, &fields, DateTime::UNIX_EPOCH)
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns all files below a folder, with their contents.
fn tree(folder: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let (mut files, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => drop(files.insert((path.clone(), fs::read(&path).expect("a file")))),
            }
        }
    }
    files
}

#[test]
fn a_repository_and_its_resources_are_written() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("book_shop");
    new(&root).expect("a repository");
    assert!(read(&root, "Cargo.toml").contains("name = \"book_shop\""));
    assert!(root.join(".gitignore").is_file());
    assert!(read(&root, "src/main.rs").contains("book_shop::module()"));
    // The templates contain links; the generated repository contains files.
    assert!(read(&root, "scripts/postgres").starts_with("#!/bin/sh"));
    assert!(read(&root, "scripts/requirements-postgres.txt").contains("--hash=sha256:"));

    add_named(&root, "invoice").expect("a resource");
    add_named(&root, "delivery_note").expect("another resource, in the same second");
    assert!(read(&root, "src/lib.rs").contains("pub mod delivery_note;\npub mod invoice;\npub mod proto;"));
    let personal = "        .personal(delivery_note::PERSONAL)\n        .personal(invoice::PERSONAL)\n";
    assert!(read(&root, "src/lib.rs").contains(personal), "later resources are erased first");
    let retentions = "        .retention([invoice::RETENTION])\n        .retention([delivery_note::RETENTION])\n";
    assert!(read(&root, "src/lib.rs").contains(retentions));
    assert!(read(&root, "src/invoice.rs").contains("Retention::without_age(&[\"book_shop.invoices\"]"));
    // The same setting of the build scripts' environment as Mainstay's.
    assert_eq!(read(&root, ".cargo/config.toml"), include_str!("../../../.cargo/config.toml"));
    let services = "        .service(invoice::service::server)\n        .service(delivery_note::service::server)\n";
    assert!(read(&root, "src/lib.rs").contains(services));
    assert!(read(&root, "tests/it/main.rs").contains("mod delivery_notes;\nmod invoices;\n\nuse "));
    for part in ["book_shop.invoices.read", "book_shop.delivery_notes.write"] {
        assert!(read(&root, "proto/book_shop/v1/module.proto").contains(part), "{part}");
    }
    let contract = read(&root, "proto/book_shop/v1/delivery_note_service.proto");
    for part in ["/api/v1/delivery-notes/{delivery_note_id}", "rpc ListDeliveryNotes(", "// Creates a delivery note."] {
        assert!(contract.contains(part), "{part}");
    }
    assert!(read(&root, "src/delivery_note/service.rs").contains("\"deliveryNote.{field}\""));
    assert!(read(&root, "proto/book_shop/v1/invoice_service.proto").contains("// Creates an invoice."));
    assert!(read(&root, "migrations/1970-01-01-000001_create_delivery_notes/up.sql").contains("TABLE delivery_notes"));

    for (path, text) in tree(&root).into_iter().filter(|(path, _)| !path.starts_with(root.join(".git"))) {
        let (path, text) = (path.to_string_lossy().to_lowercase(), String::from_utf8_lossy(&text).to_lowercase());
        for word in ["sample_item", "sampleitem", "sample item", "sample-item", "my_module", "mainstay_version"] {
            assert!(!path.contains(word) && !text.contains(word), "{path} has {word}");
        }
    }
}

#[test]
fn nothing_is_overwritten_or_half_written() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    fs::create_dir(&root).expect("a folder");
    assert!(new(&root).expect_err("it exists").to_string().contains("already exists"));
    fs::remove_dir(&root).expect("it is empty still");
    new(&root).expect("a repository");
    add_named(&root, "book").expect("a resource");
    let before = tree(&root);
    fs::write(root.join("tests/it/authors.rs"), "").expect("a file in the way");
    let (differences, _) = existing(add_named(&root, "author").expect("a report"));
    assert!(differences.contains(&("tests/it/authors.rs".to_owned(), true)), "{differences:?}");
    assert!(differences.contains(&("src/author/ops.rs".to_owned(), false)), "{differences:?}");
    fs::remove_file(root.join("tests/it/authors.rs")).expect("the file in the way");
    // Other files have been written before this failure.
    fs::write(root.join("src/author"), "").expect("a file where a folder should be");
    add_named(&root, "author").expect_err("a folder can't be made");
    fs::remove_file(root.join("src/author")).expect("the file in the way");
    assert_eq!(tree(&root), before);
    assert!(!root.join("migrations/1970-01-01-000001_create_authors").exists(), "no empty folder is left");

    let schema = read(&root, "src/schema.rs");
    fs::write(root.join("src/schema.rs"), schema.replace("shop.books", "shop.authors")).expect("a schema");
    let error = add_named(&root, "author").expect_err("there is such a table");
    for part in ["schema.rs", "The table authors already exists. Choose another name", "--plural", "migrations/"] {
        assert!(format!("{error:#}").contains(part), "{part}: {error:#}");
    }
    add_named(parent.path(), "book").expect_err("this is no repository");
}

/// Returns the paths of the files that differ, with whether they exist, and the notes.
fn existing(outcome: Outcome) -> (Vec<(String, bool)>, Vec<String>) {
    let Outcome::Exists { differences, notes } = outcome else { panic!("it was written: {outcome:?}") };
    let path = |path: &Path| {
        let path = path.to_string_lossy().replace('\\', "/");
        path.split_once("/shop/").map_or(path.clone(), |(_, path)| path.to_owned())
    };
    (differences.iter().map(|difference| (path(&difference.path), difference.exists)).collect(), notes)
}

const EVERY_KIND: [&str; 13] = [
    "title:string",
    "blurb:text?",
    "pages:int",
    "is_signed:bool",
    "published_on:date",
    "sold_at:timestamp?",
    "price:money",
    "shelf:uuid",
    "author:ref(author)",
    "tags:string[]",
    "status:enum(draft,on_sale)",
    "contact_email:string?",
    "labels:map",
];

#[test]
fn the_fields_of_a_resource_are_in_all_of_its_files() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    new(&root).expect("a repository");
    add_named(&root, "author").expect("a resource");
    add(&root, "book", &EVERY_KIND).expect("another one");
    let contract = read(&root, "proto/shop/v1/book.proto");
    for part in [
        "import \"google/type/date.proto\";",
        "  // The id of the author.\n  optional string author_id = 14;",
        "  optional string blurb = 7 [(mainstay.policy.v1.may_be_absent) = true];",
        "  // When it was, or will be, published.\n  google.type.Date published_on = 10;",
        "  mainstay.common.v1.Money price = 12;",
        "  repeated string tags = 15;",
        "  // On sale.\n  BOOK_STATUS_ON_SALE = 2;",
        "  map<string, string> labels = 18;",
    ] {
        assert!(contract.contains(part), "{part}: {contract}");
    }
    let service = read(&root, "proto/shop/v1/book_service.proto");
    for part in [
        "rpc WatchBooks(WatchBooksRequest) returns (stream WatchBooksResponse)",
        "  google.type.Date published_on = 6 [(buf.validate.field).required = true];",
        "  optional BookStatus status = 11 [(buf.validate.field).enum = {\n    defined_only: true\n    not_in: [0]\n  }];",
        "  string title = 2 [\n    (buf.validate.field).string = {\n      min_len: 1\n      max_len: 100\n    },\n",
    ] {
        assert!(service.contains(part), "{part}: {service}");
    }
    let migration = read(&root, "migrations/1970-01-01-000001_create_books/up.sql");
    for part in [
        "    blurb text CHECK (char_length(blurb) BETWEEN 1 AND 10000),",
        "    price_currency text NOT NULL CHECK (char_length(price_currency) = 3),",
        "    author_id uuid NOT NULL REFERENCES authors (id),",
        "    labels jsonb NOT NULL CHECK (jsonb_typeof(labels) = 'object'),",
        "-- status: the numbers of shop.v1.BookStatus: 1 draft, 2 on sale.",
        "CREATE INDEX books_author_id_idx ON books (author_id);",
    ] {
        assert!(migration.contains(part), "{part}: {migration}");
    }
    for (file, part) in [
        ("src/schema.rs", "        sold_at -> Nullable<Timestamptz>,\n        price_minor -> BigInt,"),
        ("src/book/model.rs", "    pub author_id: AuthorId,\n    pub tags: Vec<String>,\n    pub status: BookStatus,"),
        ("src/book/ops.rs", "crate::author::ops::require(work.connection().await?, account, values.author_id).await?;"),
        ("src/schema.rs", "        labels -> Jsonb,\n"),
        ("src/book/model.rs", "use std::collections::BTreeMap;\n\nuse chrono::"),
        ("src/book/model.rs", "    pub labels: BTreeMap<String, String>,\n"),
        ("src/book/store.rs", "labels: labels.into_iter().collect(),"),
        ("tests/it/books.rs", "assert_eq!(cleared[\"labels\"], json!({}));"),
        ("src/book/store.rs", "price: Money::from_columns(price_minor, &price_currency)?,"),
        ("src/book/service.rs", "\"blurb\" => patch.blurb = Some(message.blurb.take()),"),
        ("src/book.rs", "\"contact_email\""),
        ("proto/shop/v1/module.proto", "name: \"shop.book.deleted\""),
        ("tests/it/books.rs", "\"status\": \"BOOK_STATUS_DRAFT\","),
    ] {
        assert!(read(&root, file).contains(part), "{part}: {}", read(&root, file));
    }
}

/// A field of the server is in the resource, and in no request.
#[test]
fn callers_do_not_set_the_fields_of_the_server() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    new(&root).expect("a repository");
    let fields = ["title:string", "status:enum(draft,on_sale)!", "views:int!", "sold_at:timestamp?!", "shelf:uuid?!"];
    add(&root, "book", &fields).expect("a resource");
    for (file, present, absent) in [
        ("proto/shop/v1/book.proto", "  // The status. Set by the server.\n  optional BookStatus status = 7;", "\u{0}"),
        ("proto/shop/v1/book_service.proto", "  optional string title = 1 [", "status"),
        ("proto/shop/v1/book_service.proto", "  string title = 2 [", "sold_at"),
        ("src/book/service.rs", "status: Some(status.number().into()),", "Uuid"),
        ("src/book/service.rs", "let pb::CreateBookRequest { account_id, title } =", "from_number"),
        ("src/book/store.rs", "views: i64,", "\u{0}"),
        ("tests/it/books.rs", "customer.patch(&format!(\"{path}?updateMask=soldAt\"), json!({}))", "json!(null)"),
    ] {
        let text = read(&root, file);
        assert!(text.contains(present) && !text.contains(absent), "{present}: {text}");
    }
    let model = read(&root, "src/book/model.rs");
    for part in
        ["pub struct Values {\n    pub title: String,\n}", "status: BookStatus::Draft,", "views: 0,", "sold_at: None,"]
    {
        assert!(model.contains(part), "{part}: {model}");
    }
    for (field, why) in [("author:ref(book)!", "callers set a reference"), ("price:money!", "add a `?` before the `!`")]
    {
        let error = add(&root, "chapter", &["title:string", field]).expect_err(field).to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = add(&root, "chapter", &["views:int!"]).expect_err("no field for callers").to_string();
    assert!(error.contains("callers need a field"), "{error}");
}

#[test]
fn every_fault_is_named_and_nothing_is_written() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    new(&root).expect("a repository");
    let before = tree(&root);
    let error = add(&root, "Book", &["pages:number", "author:ref(author)"]).expect_err("three faults").to_string();
    for part in ["\"Book\" is not a valid name", "pages:number: ", "there is no resource author: add it first"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = addition::rpc(&root, "book", "Publish").expect_err("two faults").to_string();
    assert!(error.contains("there is no resource book") && error.contains("\"Publish\" is not"), "{error}");
    add_named(&root, "book").expect("a resource");
    for name in ["update", "type", "lock"] {
        addition::rpc(&root, "book", name).expect_err(name);
    }
    let fields = ["pages:int".to_owned(), "shelf:number".to_owned()];
    let error = addition::migration(&root, "book", &fields[..1], DateTime::UNIX_EPOCH).expect_err("no default");
    assert!(error.to_string().contains("pages: the previous version stores rows without it"), "{error}");
    addition::migration(&root, "book", &fields[1..], DateTime::UNIX_EPOCH).expect_err("no kind");
    // A column of the table, by `create_books` and by an earlier migration; also with another kind.
    let add = |field: &str| addition::migration(&root, "book", &[field.to_owned()], DateTime::UNIX_EPOCH);
    assert!(matches!(add("isbn:string?").expect("a column"), Outcome::Written(_)));
    let schema = read(&root, "src/schema.rs");
    for (field, column) in [("name:string?", "name"), ("isbn:int?", "isbn")] {
        let error = format!("{:#}", add(field).expect_err("there is such a column"));
        for part in ["src/schema.rs can't be changed", &format!("the table books already has the column {column}")] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    assert_eq!(read(&root, "src/schema.rs"), schema);
    let added: Vec<_> = tree(&root).difference(&before).map(|(path, _)| path.clone()).collect();
    assert!(added.iter().all(|path| !path.to_string_lossy().contains("pages")), "{added:?}");
}

#[test]
fn methods_jobs_events_mails_and_columns_are_added_once() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    new(&root).expect("a repository");
    add_named(&root, "book").expect("a resource");
    let columns = ["isbn:string?".to_owned(), "aliases:string[]".to_owned()];
    let add_all = || {
        [
            addition::rpc(&root, "book", "mark_read"),
            addition::part(&root, &addition::JOB, "book", "index"),
            addition::event(&root, "book", "recommended"),
            addition::part(&root, &addition::MAIL, "book", "remind"),
            addition::part(&root, &addition::TILE, "book", "count"),
            addition::migration(&root, "book", &columns, DateTime::UNIX_EPOCH),
        ]
    };
    for outcome in add_all() {
        let outcome = outcome.expect("a piece");
        assert!(matches!(outcome, Outcome::Written(_)), "{outcome:?}");
    }
    for (file, part) in [
        ("proto/shop/v1/book_service.proto", "  // Marks read a book.\n"),
        ("proto/shop/v1/book_service.proto", "      post: \"/api/v1/books/{book_id}/mark-read\"\n"),
        (
            "proto/shop/v1/book_service.proto",
            "\n}\n\n// A request to mark read a book.\nmessage MarkReadBookRequest {\n",
        ),
        ("src/book/service.rs", "    async fn mark_read_book("),
        ("src/book/ops.rs", "pub async fn mark_read(work: &mut Work"),
        ("src/book/model.rs", "    pub fn mark_read(self, now: DateTime<Utc>) -> Self {"),
        ("src/book/index_job.rs", "const NAME: &'static str = \"shop.index_book\";"),
        ("src/lib.rs", "        .queue::<book::index_job::IndexBook>()\n"),
        ("src/book.rs", "pub mod count_tile;\npub mod events;\npub mod index_job;\npub mod model;\n"),
        ("src/book.rs", "pub mod ops;\npub mod remind_mail;\npub mod service;\n"),
        ("src/book/remind_mail.rs", "const NAME: &'static str = \"shop.remind_book\";"),
        ("src/book/templates/shop.remind_book.en.j2", "{{ p(\"It was changed on \" ~ changed_at ~ \".\") }}\n"),
        (
            "src/lib.rs",
            "use mainstay::dashboard::tile::ops::ShowsTiles as _;\nuse mainstay::mail::ops::SendsMail as _;\n",
        ),
        ("src/lib.rs", "use mainstay::mail::ops::SendsMail as _;\nuse mainstay_kernel::module::Module;\n"),
        ("src/lib.rs", "        .tile::<book::count_tile::CountBookTile>()\n"),
        ("src/book/count_tile.rs", "const TITLE: &'static str = \"Books\";"),
        ("src/book/count_tile.rs", "const SCOPE: &'static str = \"shop.books.read\";"),
        ("src/lib.rs", "        .mail::<book::remind_mail::RemindBookMail>()\n"),
        ("src/book/events.rs", "    BookRecommended = \"shop.book.recommended\";\n}\n"),
        ("proto/shop/v1/module.proto", "    name: \"shop.book.recommended\"\n"),
        (
            "src/schema.rs",
            "        updated_at -> Timestamptz,\n        isbn -> Nullable<Text>,\n        aliases -> Array<Text>,\n",
        ),
        ("migrations/1970-01-01-000001_add_isbn_and_aliases_to_books/down.sql", "    DROP COLUMN aliases;\n"),
        (
            "tests/it/main.rs",
            "mod book_count_tile;\nmod book_index_job;\nmod book_mark_read;\nmod book_recommended;\nmod book_remind_mail;\nmod books;\n",
        ),
    ] {
        assert!(read(&root, file).contains(part), "{part}: {}", read(&root, file));
    }
    let before = tree(&root);
    for outcome in add_all() {
        let (differences, notes) = existing(outcome.expect("a report"));
        assert!(differences.is_empty() && notes.is_empty(), "{differences:?} {notes:?}");
    }
    assert_eq!(tree(&root), before);
}

#[test]
fn a_repetition_says_what_differs_as_a_patch() {
    let parent = tempfile::tempdir().expect("a folder");
    let root = parent.path().join("shop");
    new(&root).expect("a repository");
    add_named(&root, "book").expect("a resource");
    addition::rpc(&root, "book", "publish").expect("a method");
    let ops = read(&root, "src/book/ops.rs");
    fs::write(root.join("src/book/ops.rs"), ops.replace("let next = book.publish", "let later = book.publish"))
        .expect("ops");
    let before = tree(&root);
    let (differences, notes) = existing(addition::rpc(&root, "book", "publish").expect("a report"));
    assert!(differences.is_empty(), "{differences:?}");
    assert!(notes.len() == 1 && notes[0].contains("has another `pub async fn publish(`"), "{notes:?}");

    let Ok(Outcome::Exists { differences, .. }) = add(&root, "book", &["name:string", "isbn:string?"]) else {
        panic!("there is such a resource");
    };
    let difference = differences.iter().find(|one| one.path.ends_with("src/book/model.rs")).expect("another model");
    let file = Path::new("src/book/model.rs");
    let patch = git::patch(&root, file, true, &difference.generated).expect("git");
    assert!(patch.starts_with("--- a/src/book/model.rs\n+++ b/src/book/model.rs\n@@ "), "{patch}");
    assert!(patch.contains("\n+    pub isbn: Option<String>,\n"), "{patch}");
    assert!(patch.contains("\n-    pub fn publish("), "a change of the team: {patch}");
    assert_eq!(tree(&root), before, "nothing is overwritten");

    let path = parent.path().join("all.patch");
    let patch_of = |one: &changes::Difference| {
        git::patch(&root, one.path.strip_prefix(&root).expect("a file"), one.exists, &one.generated).expect("git")
    };
    fs::write(&path, differences.iter().map(patch_of).collect::<String>()).expect("a patch");
    let applied = std::process::Command::new("git").arg("-C").arg(&root).arg("apply").arg(&path).status();
    assert!(applied.expect("git").success(), "the patch applies");
    assert!(read(&root, "src/book/model.rs").contains("pub isbn: Option<String>"));
}

/// `make test` needs git.
#[test]
fn a_repository_of_its_own_is_made_unless_there_is_one_around_it() {
    let parent = tempfile::tempdir().expect("a folder");
    let alone = parent.path().join("book_shop");
    new(&alone).expect("a repository");
    assert!(alone.join(".git").is_dir());
    assert_eq!(read(&alone, ".gitignore"), "/target\n");
    assert!(git::init(&alone).contains("belongs to the git repository"), "it is one by now");

    let within = alone.join("tea_shop");
    new(&within).expect("a repository in another");
    assert!(!within.join(".git").exists());
    let nowhere = git::init(&parent.path().join("missing"));
    assert!(nowhere.contains("`git init` makes it one"), "{nowhere}");
}

#[test]
fn sources_are_found_and_their_own_folder_is_refused() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = new_beside(&here.join("shop"), Some(here)).expect_err("it is within the sources");
    assert!(error.to_string().contains("beside them, such as ../shop"), "{error}");
    let fleet = sources::find(&here.join("examples/fleet")).expect("they are above");
    assert_eq!(fleet, here.canonicalize().expect("a folder"));
    sources::find(Path::new("/")).expect_err("there are none");
    let beside = here.parent().expect("a parent").join("shop");
    let name = fleet.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(sources::relative(&beside, &fleet).expect("a path"), format!("../{name}"));
    let error = sources::patch(&beside, &fleet, "99.0.0").expect_err("the version is another one");
    assert!(error.to_string().contains("is not of version 99.0.0"), "{error}");
}

/// A published program has no sources beside it.
#[test]
fn a_repository_depends_on_the_published_version_unless_it_gets_a_path() {
    let parent = tempfile::tempdir().expect("a folder");
    let published = parent.path().join("book_shop");
    new(&published).expect("a repository");
    let manifest = read(&published, "Cargo.toml");
    let crates = ["mainstay", "mainstay-kernel", "mainstay-build", "mainstay-test-kit"];
    for name in crates {
        assert!(manifest.contains(&format!("\n{name} = \"{VERSION}\"\n")), "{name}: {manifest}");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in tree(&published) {
        let (text, here) = (String::from_utf8_lossy(&text).into_owned(), here.to_string_lossy());
        assert!(!text.contains(&*here), "{} names the sources", path.display());
    }
    let beside = parent.path().join("tea_shop");
    new_beside(&beside, Some(here)).expect("a repository");
    let manifest = read(&beside, "Cargo.toml");
    let (_, patch) = manifest.split_once("[patch.crates-io]").expect("a patch");
    // All crates of Mainstay, including those that only its other crates depend on.
    for name in crates.into_iter().chain(["mainstay-dev-servers", "mainstay-transcoder"]) {
        let line = patch.lines().find_map(|line| line.strip_prefix(&format!("{name} = {{ path = \"")));
        let path = line.and_then(|line| line.strip_suffix("\" }")).unwrap_or_else(|| panic!("{name}: {patch}"));
        let manifest = read(&beside.join(path), "Cargo.toml");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in {path}");
    }
}

#[test]
fn a_repository_depends_on_the_tag_of_a_git_repository_on_request() {
    let parent = tempfile::tempdir().expect("a folder");
    let url = "https://git.example.org/mainstay";
    let tag = format!("v{VERSION}");
    for (folder, given, expected) in [("book_shop", None, tag.as_str()), ("tea_shop", Some("v9.9.9"), "v9.9.9")] {
        let folder = parent.path().join(folder);
        let (git, tag) = (Some(url.to_owned()), given.map(str::to_owned));
        let new = New { folder: folder.clone(), path: None, git, tag };
        new.run(crate::product().modules().expect("they fit together")).expect("a repository");
        let manifest = read(&folder, "Cargo.toml");
        let (_, patch) = manifest.split_once("[patch.crates-io]\n").expect("a patch");
        for name in ["mainstay", "mainstay-kernel", "mainstay-proto", "mainstay-test-kit", "mainstay-transcoder"] {
            let line = format!("{name} = {{ git = \"{url}\", tag = \"{expected}\" }}");
            assert!(patch.lines().any(|of| of == line), "{line}: {patch}");
        }
        assert!(patch.lines().all(|line| line.starts_with("mainstay")), "{patch}");
    }
    sources::git_patch("a\"b", &tag, LOCK).expect_err("this is no address");
}

/// Generated code and the kernel share the types of these libraries.
#[test]
fn the_versions_are_those_of_mainstay() {
    let ours = include_str!("../../../Cargo.toml");
    let version = |line: &str| {
        let text = line.split_once("version = ").map_or(line, |(_, version)| version);
        text.split('"').nth(1).map(str::to_owned)
    };
    let mut compared = 0;
    let template = include_str!("../../../templates/repository/_Cargo.toml");
    // The generated crate's name differs from Mainstay's, and profiles have no versions.
    let dependencies =
        template.lines().skip_while(|line| *line != "[dependencies]").take_while(|line| *line != "[lints.rust]");
    for line in dependencies.filter(|line| line.contains(" = ") && !line.contains("MAINSTAY_VERSION")) {
        let (name, _) = line.split_once(" = ").expect("it has one");
        if let Some(own) = ours.lines().find(|own| own.starts_with(&format!("{name} = "))) {
            assert_eq!(version(line), version(own), "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} were compared");
    // Sign-ins and starts are as fast as in Mainstay's tests, which decode pictures, too.
    let optimized = |manifest: &'static str| manifest.lines().filter(|line| line.ends_with("opt-level = 3"));
    let without_pictures: Vec<_> = optimized(ours).filter(|line| !line.starts_with("zune-jpeg.")).collect();
    assert_eq!(optimized(template).collect::<Vec<_>>(), without_pictures);
}
