//! The names of modules and resources, and their forms.

use anyhow::{bail, ensure};
use mainstay_kernel::module::Modules;

use super::template::Names;

/// The maximum length of a name. A longer name would not fit into the names of indexes, which Postgres truncates at 63
/// bytes.
const MAX_LENGTH: usize = 40;

pub(super) const RUST: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn \
                    for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
                    super trait true try type typeof union unsafe unsized use virtual where while yield";

pub(super) const POSTGRES: &str = "all analyse analyze and any array as asc both case cast check collate column constraint create \
                        default deferrable desc distinct do else end except false fetch for foreign from grant group \
                        having in information_schema initially intersect into lateral leading limit not null offset on \
                        only or order placing primary public references returning select some symmetric table then to \
                        trailing true union unique user using values variadic when where window with";

/// Names that a crate or program can't have, because cargo or the module's dependencies use them.
const CRATES: &str = "alloc build buf chrono console core deps diesel examples google grpc incremental proc_macro prost \
                      serde std test tokio tonic uuid";

/// Names that the code of a resource uses for files, types and variables.
const TAKEN: &str = "account app body call change changes client clone collection condition config connection count \
                     created customer date_time debug default delete deleted earlier err error event events expected \
                     field first found from get id ids inserted into job jobs key latest lib limit list listed lock main \
                     mask message migration model module money naive_date name next none now ok ops option page \
                     pager parse patch path permit personal proto query reason record render reply request require \
                     result row schema seek server service some start store stranger stream string time topic total \
                     update updated used utc uuid value values vec version visibility visible watch work";

/// Names that a resource has for its operations.
const OPERATIONS: &str =
    "apply clone create delete get key list load_changed lock main new record require start update watch";

/// The name of a module.
#[derive(Debug)]
pub(super) struct Module(String);

impl Module {
    pub(super) fn parse(name: &str, modules: &Modules) -> anyhow::Result<Self> {
        check(name)?;
        refuse(name, "a word of Rust", RUST)?;
        refuse(name, "a word of Postgres", POSTGRES)?;
        refuse(name, "the name of a library", CRATES)?;
        ensure!(!name.starts_with("pg_"), "{name}: Postgres keeps names that begin with pg_ to itself");
        ensure!(!name.starts_with("mainstay"), "{name}: names that begin with mainstay are Mainstay's own");
        let mut names = modules.contract.policies.module_names();
        ensure!(!names.any(|module| module == name), "{name} is a module of Mainstay: choose another name");
        Ok(Self(name.to_owned()))
    }

    pub(super) fn names(&self) -> Names {
        vec![("my_module", self.0.clone())]
    }
}

/// The name of a resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) plural: String,
}

impl Resource {
    pub(super) fn parse(name: &str, plural: Option<&str>) -> anyhow::Result<Self> {
        check(name)?;
        if plural.is_none() && name.ends_with('s') && !["ss", "us", "is"].iter().any(|end| name.ends_with(end)) {
            bail!("{name} looks like a plural: give the name in the singular, or the plural of this one with --plural");
        }
        let plural = plural.map_or_else(|| plural_of(name), str::to_owned);
        check(&plural)?;
        ensure!(name != plural, "{name}: the plural has to differ from the singular");
        for name in [name, &plural] {
            refuse(name, "a word of Rust", RUST)?;
            refuse(name, "taken by the code around it", TAKEN)?;
        }
        refuse(&plural, "a word of Postgres", POSTGRES)?;
        Ok(Self { name: name.to_owned(), plural })
    }

    /// Returns the last part of the collection's path.
    pub(super) fn collection(&self) -> String {
        self.plural.replace('_', "-")
    }

    pub(super) fn names(&self) -> Names {
        let (words, plural_words) = (self.name.replace('_', " "), self.plural.replace('_', " "));
        let article = article(&words);
        vec![
            ("sample_item", self.name.clone()),
            ("sample_items", self.plural.clone()),
            ("SampleItem", camel(&self.name)),
            ("SampleItems", camel(&self.plural)),
            ("sampleItem", lower_camel(&self.name)),
            ("sample-items", self.collection()),
            ("a sample item", format!("{article} {words}")),
            ("A sample item", format!("{} {words}", capital(article))),
            ("sample item", words),
            ("sample items", plural_words.clone()),
            ("Sample items", capital(&plural_words)),
        ]
    }
}

/// Returns the forms of an action on a resource, such as `publish` or, in the past tense, `published`.
pub(super) fn action(name: &str) -> anyhow::Result<Names> {
    check(name)?;
    refuse(name, "a word of Rust", RUST)?;
    refuse(name, "an operation of every resource", OPERATIONS)?;
    let words = name.replace('_', " ");
    let (verb, rest) =
        words.split_once(' ').map_or((words.as_str(), String::new()), |(verb, rest)| (verb, format!(" {rest}")));
    let does = format!("{}{rest} ", plural_of(verb));
    Ok(vec![
        ("do_it", name.to_owned()),
        ("DoIt", camel(name)),
        ("do-it", name.replace('_', "-")),
        ("do it with ", format!("{words} ")),
        ("Does it with ", capital(&does)),
        ("does it with ", does),
        ("done_it", name.to_owned()),
        ("DoneIt", camel(name)),
        ("was done it", format!("{} {words}", auxiliary(verb))),
    ])
}

/// Returns the verb before the name of an event: a book was published, has arrived, is late.
fn auxiliary(name: &str) -> &'static str {
    const IRREGULAR: &str = "bought built chosen found given held hidden kept left lost made paid put read sent set shown sold \
                             taken withdrawn written";
    const INTRANSITIVE: &str =
        "arrived begun departed elapsed ended expired failed gone happened lapsed started succeeded";
    let is_among = |words: &str| words.split_whitespace().any(|word| word == name);
    match name {
        _ if is_among(INTRANSITIVE) => "has",
        _ if name.ends_with("ed") || is_among(IRREGULAR) => "was",
        _ => "is",
    }
}

/// Checks that a name is valid in Protobuf, Rust and SQL, and has one form in each.
pub(super) fn check(name: &str) -> anyhow::Result<()> {
    let is_word = |word: &str| {
        word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(
        name.split('_').all(is_word),
        "{name:?} is not a valid name: use lower-case words of letters and digits, two or more in each, joined by `_`, such as \
         purchase_order"
    );
    ensure!(name.len() <= MAX_LENGTH, "{name}: a name has at most {MAX_LENGTH} letters");
    Ok(())
}

pub(super) fn refuse(name: &str, why: &str, words: &str) -> anyhow::Result<()> {
    ensure!(!words.split_whitespace().any(|word| word == name), "{name} is {why}: choose another name");
    Ok(())
}

/// Returns the plural of most nouns: tax, taxes; entry, entries; order, orders.
fn plural_of(name: &str) -> String {
    let is_vowel = |c: char| "aeiou".contains(c);
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with(is_vowel) => format!("{stem}ies"),
        _ if ["s", "x", "z", "ch", "sh"].iter().any(|end| name.ends_with(end)) => format!("{name}es"),
        _ => format!("{name}s"),
    }
}

pub(super) fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Returns a name as that of a constant, or of a value of an enum in the contract.
pub(super) fn upper(name: &str) -> String {
    name.to_uppercase()
}

pub(super) fn camel(name: &str) -> String {
    name.split('_').map(capital).collect()
}

pub(super) fn lower_camel(name: &str) -> String {
    let name = camel(name);
    let (first, rest) = name.split_at(1);
    first.to_lowercase() + rest
}

pub(super) fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_the_rules() {
        for (name, plural) in [
            ("order", "orders"),
            ("entry", "entries"),
            ("day", "days"),
            ("tax", "taxes"),
            ("batch", "batches"),
            ("address", "addresses"),
            ("purchase_order", "purchase_orders"),
        ] {
            assert_eq!(Resource::parse(name, None).expect("a name").plural, plural);
        }
        assert_eq!(Resource::parse("person", Some("people")).expect("a name").collection(), "people");
    }

    #[test]
    fn the_name_of_an_event_makes_a_sentence() {
        for (name, sentence) in [
            ("published", "was published"),
            ("marked_read", "was marked read"),
            ("sent", "was sent"),
            ("expired", "has expired"),
            ("late", "is late"),
            ("on_sale", "is on sale"),
        ] {
            let names = action(name).expect("a name");
            let (_, text) = names.iter().find(|(word, _)| *word == "was done it").expect("the sentence");
            assert_eq!(text, sentence);
        }
    }

    #[test]
    fn invalid_names_are_refused_with_the_reason() {
        for (name, why) in [
            ("", "is not a valid name"),
            ("Book", "is not a valid name"),
            ("purchase-order", "is not a valid name"),
            ("2nd_book", "is not a valid name"),
            ("book_", "is not a valid name"),
            ("../book", "is not a valid name"),
            ("x_axis", "is not a valid name"),
            ("books", "looks like a plural"),
            ("type", "a word of Rust"),
            ("reference", "a word of Postgres"),
            ("connection", "taken"),
            ("a_name_that_is_far_longer_than_anyone_needs", "is not a valid name"),
            ("the_name_that_is_far_longer_than_anyone_needs", "at most 40"),
        ] {
            let error = Resource::parse(name, None).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        let error = Resource::parse("fish", Some("fish")).expect_err("one form").to_string();
        assert!(error.contains("has to differ"), "{error}");
    }

    #[test]
    fn modules_that_exist_are_refused() {
        let modules = crate::product().modules().expect("they fit together");
        for (name, why) in [
            ("orders", "a module of Mainstay"),
            ("console", "the name of a library"),
            ("tonic", "the name of a library"),
            ("user", "a word of Postgres"),
            ("pg_shop", "pg_"),
            ("mainstay_shop", "Mainstay's own"),
        ] {
            let error = Module::parse(name, modules).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        Module::parse("book_shop", modules).expect("a name");
    }
}
