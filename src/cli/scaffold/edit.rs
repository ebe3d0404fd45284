//! Insertions into files that the team may have changed since they were generated.

use anyhow::Context as _;

/// Adds a `mod` line in alphabetical order; before the first `use` if there are no others.
pub(super) fn add_mod(text: &str, line: &str) -> anyhow::Result<String> {
    let lines: Vec<_> = text.lines().collect();
    let (keywords, _) = line.rsplit_once(' ').context("a line such as `mod book;`")?;
    let is_mod = |other: &str| other.strip_prefix(keywords).is_some_and(|rest| rest.starts_with(' '));
    if lines.contains(&line) {
        return Ok(text.to_owned());
    }
    let index_of = |is: &dyn Fn(&&str) -> bool| lines.iter().position(is);
    if let Some(later) = index_of(&|other| is_mod(other) && *other > line) {
        // The attributes and comments of the following `mod` line stay with it.
        let above = lines[..later].iter().rev().take_while(|other| other.starts_with("#[") || other.starts_with("//"));
        return Ok(insert(&lines, later - above.count(), &[line]));
    }
    if let Some(last) = lines.iter().rposition(|other| is_mod(other)) {
        return Ok(insert(&lines, last + 1, &[line]));
    }
    let first_use = index_of(&|other| other.starts_with("use ")).context("it has no line that begins with `use`")?;
    Ok(insert(&lines, first_use, &[line, ""]))
}

/// Adds a `use` line before the first one that is not less.
pub(super) fn add_use(text: &str, line: &str) -> anyhow::Result<String> {
    let lines: Vec<_> = text.lines().collect();
    if lines.contains(&line) {
        return Ok(text.to_owned());
    }
    let later = lines.iter().position(|other| other.starts_with("use ") && *other > line);
    let last =
        || lines.iter().rposition(|other| other.starts_with("use ") && other.ends_with(';')).map(|last| last + 1);
    let at = later.or_else(last).context("it has no line that begins with `use`")?;
    Ok(insert(&lines, at, &[line]))
}

/// Adds a call such as `.service(book::service::server)` on a separate line: after the last line with the first call of `after`
/// that the text has.
pub(super) fn add_call(text: &str, call: &str, after: &[&str]) -> anyhow::Result<String> {
    let lines: Vec<_> = text.lines().collect();
    if lines.iter().any(|line| line.trim() == call) {
        return Ok(text.to_owned());
    }
    let last = |name: &&str| {
        lines.iter().rposition(|line| line.trim_start().starts_with(*name) && line.ends_with(')') && is_closed(line))
    };
    let after = after.iter().find_map(last);
    let after = after.with_context(|| format!("it has no line `.migrations(…)`, after which `{call}` belongs"))?;
    let indent = lines[after].len() - lines[after].trim_start().len();
    Ok(insert(&lines, after + 1, &[&format!("{}{call}", &lines[after][..indent])]))
}

/// Adds text to the end of a block, from the line that begins with `opening` to the next line that begins with `closing`.
pub(super) fn add_to_block(text: &str, opening: &str, closing: &str, addition: &str) -> anyhow::Result<String> {
    let missing = || format!("it has no block `{opening}`, to which this belongs:\n{addition}");
    let begin = if text.starts_with(opening) { Some(0) } else { text.find(&format!("\n{opening}")) };
    let begin = begin.with_context(missing)?;
    let end = begin + text[begin..].find(&format!("\n{closing}")).with_context(missing)? + 1;
    let (before, after) = text.split_at(end);
    Ok(format!("{before}{addition}{after}"))
}

/// Replaces the block from `opening` to the end `closing`, or adds the block to the end of the text.
pub(super) fn set_block(text: &str, opening: &str, closing: &str, block: &str) -> String {
    let begin = text.find(opening);
    let end = begin.and_then(|begin| Some(begin + text[begin..].find(closing)? + closing.len()));
    match begin.zip(end) {
        Some((begin, end)) => format!("{}{block}{}", &text[..begin], &text[end..]),
        None => format!("{text}\n{block}"),
    }
}

fn is_closed(line: &str) -> bool {
    line.matches('(').count() == line.matches(')').count()
}

fn insert(lines: &[&str], at: usize, insertion: &[&str]) -> String {
    let (before, after) = lines.split_at(at);
    [before, insertion, after].concat().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mod_stands_among_the_others() {
        let add = |text: &str| add_mod(text, "mod cases;").expect("a place");
        assert_eq!(add("//! Tests.\n\nuse a::b;\n"), "//! Tests.\n\nmod cases;\n\nuse a::b;\n");
        assert_eq!(add("mod boxes;\nuse a::b;\n"), "mod boxes;\nmod cases;\nuse a::b;\n");
        assert_eq!(add("mod boxes;\n#[cfg(x)]\nmod doors;\n"), "mod boxes;\nmod cases;\n#[cfg(x)]\nmod doors;\n");
        assert_eq!(add("pub mod doors;\nuse a::b;\n"), "pub mod doors;\nmod cases;\n\nuse a::b;\n");
        add_mod("fn main() {}\n", "mod cases;").expect_err("there is no place");
    }

    #[test]
    fn a_use_stands_among_the_others() {
        let add = |text: &str| add_use(text, "use b::B;").expect("a place");
        assert_eq!(add("use a::A;\nuse c::C;\n"), "use a::A;\nuse b::B;\nuse c::C;\n");
        assert_eq!(add("use a::A;\n\nfn f() {}\n"), "use a::A;\nuse b::B;\n\nfn f() {}\n");
        assert_eq!(add("use b::B;\n"), "use b::B;\n");
        add_use("fn main() {}\n", "use b::B;").expect_err("there is no place");
    }

    #[test]
    fn a_service_follows_the_others() {
        let add = |text: &str| add_call(text, ".service(c)", &[".service(", ".migrations("]).expect("a place");
        assert_eq!(
            add("    .migrations(M)\n    .queue::<J>()\n"),
            "    .migrations(M)\n    .service(c)\n    .queue::<J>()\n"
        );
        assert_eq!(
            add(".migrations(M)\n.service(a)\n.service(b)\n"),
            ".migrations(M)\n.service(a)\n.service(b)\n.service(c)\n"
        );
        let several_lines = ".migrations(M)\n.service(|app| {\n  b(app)\n})\n";
        assert_eq!(add(several_lines), ".migrations(M)\n.service(c)\n.service(|app| {\n  b(app)\n})\n");
        add_call("fn main() {}\n", ".service(c)", &[".migrations("]).expect_err("there is no place");
        let again = ".migrations(M)\n.service(c)\n";
        assert_eq!(add(again), again);
    }

    #[test]
    fn a_block_gets_more_lines() {
        let option = "option (m) = {\n  name: \"a\"\n};\n";
        let result = add_to_block(option, "option (m)", "}", "  more: 1\n").expect("a place");
        assert_eq!(result, "option (m) = {\n  name: \"a\"\n  more: 1\n};\n");
        let second = add_to_block("a {\n}\n\nb {\n  c {\n  }\n}\n", "b {", "}", "  d\n").expect("a place");
        assert_eq!(second, "a {\n}\n\nb {\n  c {\n  }\n  d\n}\n");
        add_to_block(option, "option (n)", "}", "").expect_err("there is no such option");
    }

    #[test]
    fn a_block_is_added_or_replaced() {
        let set = |text: &str| set_block(text, "a {", "\n}\n", "a {\n  2\n}\n");
        assert_eq!(set("b\n"), "b\n\na {\n  2\n}\n");
        assert_eq!(set("a {\n  1\n}\nb {\n}\n"), "a {\n  2\n}\nb {\n}\n");
    }
}
