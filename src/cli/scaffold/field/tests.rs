//! Tests of the fields: the kinds, and the faults.

use super::*;

fn parse(root: &Path, texts: &[&str]) -> Result<Vec<Field>, Vec<String>> {
    let resource = Resource::parse("book", None).expect("a name");
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    Field::parse_all(root, Some(&resource), &texts)
}

#[test]
fn every_kind_is_parsed() {
    let kinds = ["string", "text", "int", "bool", "date", "timestamp", "money", "uuid", "string[]"];
    for kind in kinds {
        let field = Field::parse(Path::new(""), &format!("field:{kind}")).expect("a field");
        assert_eq!((field.kind.name(), field.is_optional), (kind, false));
    }
    let field = Field::parse(Path::new(""), "sold_on:date?").expect("an optional field");
    assert_eq!(field, Field { name: "sold_on".to_owned(), kind: Kind::Date, is_optional: true, is_output: false });
    let field = Field::parse(Path::new(""), "status:enum(draft, on_sale)").expect("an enum");
    assert_eq!(field.kind, Kind::Enum(vec!["draft".to_owned(), "on_sale".to_owned()]));
}

#[test]
fn every_fault_is_named() {
    let faults = parse(
        Path::new("nowhere"),
        &[
            "title",
            "Title:string",
            "type:string",
            "order:string",
            "version:int",
            "pages:number",
            "tags:string[]?",
            "author:ref(author)",
            "status:enum()",
            "state:enum(on_sale,on_sale)",
            "kind:enum(unspecified)",
            "size:enum(self)",
            "service:enum(fast)",
            "book:string",
            "price:money",
            "price_minor:int",
        ],
    );
    let faults = faults.expect_err("faults");
    let expected = [
        "title: give a name and a kind",
        "Title:string: \"Title\" is not a valid name",
        "type:string: type is a word of Rust",
        "order:string: order is a word of Postgres",
        "version:int: version is taken",
        "pages:number: \"number\" is not a kind: use string, text",
        "tags:string[]?: a list or a map is empty rather than absent",
        "author:ref(author): there is no resource author",
        "status:enum(): \"\" is not a valid name",
        "state:enum(on_sale,on_sale): the value on_sale is named twice",
        "kind:enum(unspecified): the value unspecified is in every enum",
        "size:enum(self): self is a word of Rust",
        "service:enum(fast): service: the contract has such a type",
        "book is named twice",
        "price_minor is named twice",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn a_table_has_a_bounded_number_of_columns() {
    let named = |count: usize| (0..count).map(|number| format!("field{number}:money")).collect::<Vec<_>>();
    let parse = |count| parse(Path::new(""), &named(count).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(parse(13).expect("26 columns").len(), 13);
    let faults = parse(14).expect_err("28 columns");
    assert_eq!(faults, ["the fields need 28 columns; a table has at most 27 beside its own"]);
}

#[test]
fn a_reference_needs_what_it_calls() {
    let root = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &str| {
        let file = root.path().join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
        fs::write(file, text).expect("a file");
    };
    write("src/person/store.rs", "#[diesel(table_name = people, treat_none_as_null = true)]\n");
    let fault = Field::parse(root.path(), "owner:ref(person)?").expect_err("no `require`").to_string();
    assert!(fault.contains("src/person/ops.rs has no `pub async fn require(`"), "{fault}");
    write("src/person/ops.rs", "pub async fn require(");
    write("tests/it/people.rs", "pub(crate) async fn create(caller: &Client) -> Value {");
    let field = Field::parse(root.path(), "owner:ref(person)?").expect("a reference");
    assert_eq!((field.name.as_str(), field.is_optional), ("owner_id", true));
    assert_eq!(field.summary(), "The id of the owner, a person, if any.");
    let target = field.target().expect("a target");
    assert_eq!((target.plural.as_str(), target.id.as_str()), ("people", "PersonId"));
}

#[test]
fn the_code_of_a_field_follows_its_kind() {
    let code =
        |text: &str| serde_json::to_value(Field::parse(Path::new(""), text).expect("a field").code("book", "books"));
    let price = code("price:money?").expect("JSON");
    assert_eq!(price["create"], r#"price: price.map(|price| parse::price(&price, "price")).transpose()?"#);
    assert_eq!(price["render"], "price: price.map(render::money)");
    assert_eq!(price["rules_of_create"], "");
    let due = code("due_on:date").expect("JSON");
    assert_eq!(due["create"], r#"due_on: parse::date(due_on.unwrap_or_default(), "dueOn")?"#);
    let cleared = r#"parse::date(message.due_on.take().ok_or_else(|| cleared("dueOn"))?, "book.dueOn")?"#;
    assert_eq!(due["patch"], cleared);
    assert_eq!(due["rules_of_create"], " [(buf.validate.field).required = true]");
    let title = code("title:string").expect("JSON");
    assert_eq!(
        (&title["create"], &title["read"], &title["value"]),
        (&"title".into(), &"title".into(), &"String".into())
    );
    let status = code("status:enum(draft,on_sale)").expect("JSON");
    assert_eq!((&status["proto"], &status["second"]), (&"BookStatus".into(), &"\"BOOK_STATUS_ON_SALE\"".into()));
}
