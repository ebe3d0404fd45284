//! Filters (RFC 7644, section 3.4.2.2) as far as identity providers send them: comparisons joined by `and`. A text becomes a
//! pattern of `LIKE`, in which its own wildcards are escaped, and is never part of a statement.

use uuid::Uuid;

use super::invalid;
use mainstay_kernel::error::{Error, Result};

/// The prefixes of attributes in their full form.
const SCHEMAS: [&str; 2] =
    ["urn:ietf:params:scim:schemas:core:2.0:user:", "urn:ietf:params:scim:schemas:core:2.0:group:"];
/// The maximum number of comparisons.
const MAX_COMPARISONS: usize = 10;

/// A filter of people. The texts are patterns of `LIKE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    pub id: Option<Uuid>,
    pub email: Option<String>,
    /// Without regard to case.
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub is_active: Option<bool>,
}

/// A filter of groups. The texts are patterns of `LIKE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    pub id: Option<Uuid>,
    /// Without regard to case.
    pub name: Option<String>,
    pub external_id: Option<String>,
    /// A member of the group.
    pub member: Option<Uuid>,
}

/// The path of an attribute, such as `emails[type eq "work"].value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'t> {
    /// The name in lower case, without the schema and the condition: `emails.value`.
    pub name: String,
    /// The text in brackets.
    pub condition: Option<&'t str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Contains,
    StartsWith,
    EndsWith,
    Present,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Text(String),
    Bool(bool),
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    attribute: String,
    operator: Operator,
    operand: Operand,
}

fn fault(message: impl Into<String>) -> Error {
    invalid("invalidFilter", message)
}

impl UserFilter {
    /// Parses a filter; an empty one selects everyone.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` with `invalidFilter`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut filter = Self::default();
        for comparison in comparisons(text)? {
            match comparison.attribute.as_str() {
                "id" => set(&mut filter.id, comparison.id()?)?,
                // Addresses are stored in lower case.
                "username" | "emails" | "emails.value" => {
                    set(&mut filter.email, comparison.pattern()?.to_ascii_lowercase())?;
                }
                "displayname" | "name.formatted" => set(&mut filter.name, comparison.pattern()?)?,
                "externalid" => set(&mut filter.external_id, comparison.pattern()?)?,
                "active" => set(&mut filter.is_active, comparison.flag()?)?,
                other => return Err(unknown(other)),
            }
        }
        Ok(filter)
    }
}

impl GroupFilter {
    /// Parses a filter; an empty one selects every group.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` with `invalidFilter`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut filter = Self::default();
        for comparison in comparisons(text)? {
            match comparison.attribute.as_str() {
                "id" => set(&mut filter.id, comparison.id()?)?,
                "displayname" => set(&mut filter.name, comparison.pattern()?)?,
                "externalid" => set(&mut filter.external_id, comparison.pattern()?)?,
                "members" | "members.value" => set(&mut filter.member, comparison.id()?)?,
                other => return Err(unknown(other)),
            }
        }
        Ok(filter)
    }
}

/// Returns the id in the condition of a path: `value eq "…"`.
///
/// # Errors
/// `MALFORMED_REQUEST` with `invalidFilter`.
pub(super) fn member_of(condition: &str) -> Result<Uuid> {
    match comparisons(condition)?.as_slice() {
        [comparison] if comparison.attribute == "value" => comparison.id(),
        _ => Err(fault("The members of a group are selected by value eq.")),
    }
}

fn unknown(attribute: &str) -> Error {
    fault(format!("The attribute {attribute} can't be compared."))
}

fn set<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.as_ref().is_none_or(|earlier| *earlier == value) {
        true => {
            *slot = Some(value);
            Ok(())
        }
        false => Err(fault("An attribute is compared once.")),
    }
}

impl Comparison {
    /// Returns the pattern of `LIKE`.
    fn pattern(&self) -> Result<String> {
        let text = match &self.operand {
            Operand::Text(text) => text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"),
            Operand::Absent => return Ok("%".to_owned()),
            Operand::Bool(_) => return Err(fault(format!("{} is compared with a text.", self.attribute))),
        };
        Ok(match self.operator {
            Operator::Contains => format!("%{text}%"),
            Operator::StartsWith => format!("{text}%"),
            Operator::EndsWith => format!("%{text}"),
            Operator::Equal | Operator::Present => text,
        })
    }

    /// Returns the id, the nil UUID for a text that is no id: nothing has it.
    fn id(&self) -> Result<Uuid> {
        match (&self.operand, self.operator) {
            (Operand::Text(text), Operator::Equal) => Ok(text.parse().unwrap_or_default()),
            _ => Err(fault(format!("{} is compared by eq with an id.", self.attribute))),
        }
    }

    fn flag(&self) -> Result<bool> {
        match (&self.operand, self.operator) {
            (Operand::Bool(flag), Operator::Equal) => Ok(*flag),
            (Operand::Text(text), Operator::Equal) if text.eq_ignore_ascii_case("true") => Ok(true),
            (Operand::Text(text), Operator::Equal) if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(fault(format!("{} is compared by eq with true or false.", self.attribute))),
        }
    }
}

impl<'t> Path<'t> {
    /// Parses a path that is a whole text.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` with `invalidPath`.
    pub fn parse(text: &'t str) -> Result<Self> {
        match Self::split(text.trim()) {
            Some((path, "")) => Ok(path),
            _ => Err(invalid("invalidPath", "The path is invalid.")),
        }
    }

    /// Returns the member in the condition of the path, if it has one.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` with `invalidFilter`.
    pub fn member(&self) -> Result<Option<Uuid>> {
        self.condition.map(member_of).transpose()
    }

    /// Takes a path from the beginning of a text.
    fn split(text: &'t str) -> Option<(Self, &'t str)> {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.:$".contains(letter);
        let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut path = Self { name: short(name), condition: None };
        if let Some(bracketed) = rest.strip_prefix('[') {
            let close = unquoted(bracketed, ']')?;
            path.condition = Some(&bracketed[..close]);
            rest = &bracketed[close + 1..];
            let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
            let (sub, after) = rest.split_at(end);
            if !sub.is_empty() && !sub.starts_with('.') {
                return None;
            }
            path.name.push_str(&sub.to_ascii_lowercase());
            rest = after;
        }
        (!name.is_empty()).then_some((path, rest))
    }
}

/// Returns a name in lower case without the schemas of users and groups.
fn short(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    SCHEMAS.iter().find_map(|schema| name.strip_prefix(schema).map(str::to_owned)).unwrap_or(name)
}

/// Returns the position of a letter outside of quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let found = text.char_indices().find(|&(_, letter)| {
        let was_escaped = std::mem::take(&mut is_escaped);
        is_escaped = is_quoted && !was_escaped && letter == '\\';
        is_quoted ^= letter == '"' && !was_escaped;
        letter == wanted && !is_quoted
    });
    found.map(|(at, _)| at)
}

/// Parses comparisons that are joined by `and`.
fn comparisons(text: &str) -> Result<Vec<Comparison>> {
    let (mut rest, mut comparisons) = (text.trim(), Vec::new());
    while !rest.is_empty() {
        let (comparison, after) = comparison(rest)?;
        comparisons.push(comparison);
        let after = after.trim_start();
        rest = match after.split_once(char::is_whitespace) {
            _ if after.is_empty() => after,
            Some((and, next)) if and.eq_ignore_ascii_case("and") && !next.trim().is_empty() => next.trim_start(),
            _ => return Err(fault("Comparisons are joined by and; or, not and parentheses are not supported.")),
        };
        if comparisons.len() > MAX_COMPARISONS {
            return Err(fault(format!("A filter has at most {MAX_COMPARISONS} comparisons.")));
        }
    }
    Ok(comparisons)
}

fn comparison(text: &str) -> Result<(Comparison, &str)> {
    let (path, rest) = Path::split(text).ok_or_else(|| fault("A comparison begins with an attribute."))?;
    let rest = rest.trim_start();
    let (name, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let operator = match name.to_ascii_lowercase().as_str() {
        "eq" => Operator::Equal,
        "co" => Operator::Contains,
        "sw" => Operator::StartsWith,
        "ew" => Operator::EndsWith,
        "pr" => Operator::Present,
        _ => return Err(fault("The operators are eq, co, sw, ew and pr.")),
    };
    let (operand, rest) = match operator {
        Operator::Present => (Operand::Absent, rest),
        _ => operand(rest.trim_start())?,
    };
    Ok((Comparison { attribute: path.name, operator, operand }, rest))
}

fn operand(text: &str) -> Result<(Operand, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        // The quote after which the text is no longer quoted; it began inside.
        let (mut is_escaped, mut end) = (false, None);
        for (at, letter) in quoted.char_indices() {
            match letter {
                '"' if !is_escaped => {
                    end = Some(at);
                    break;
                }
                letter => is_escaped = letter == '\\' && !is_escaped,
            }
        }
        let end = end.ok_or_else(|| fault("A text ends with a quotation mark."))?;
        let value = serde_json::from_str(&text[..end + 2]).map_err(|_| fault("A text is a string of JSON."))?;
        return Ok((Operand::Text(value), &quoted[end + 1..]));
    }
    let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    match word.to_ascii_lowercase().as_str() {
        "true" => Ok((Operand::Bool(true), rest)),
        "false" => Ok((Operand::Bool(false), rest)),
        _ => Err(fault("A value is a text in quotation marks, true or false.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Result<UserFilter> {
        UserFilter::parse(text)
    }

    #[test]
    fn a_filter_of_a_provider_is_read() {
        let ada = UserFilter { email: Some("ada@example.com".into()), ..UserFilter::default() };
        for text in [
            r#"userName eq "ada@example.com""#,
            r#" USERNAME  EQ  "Ada@Example.com" "#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada@example.com""#,
            r#"emails[type eq "work"].value eq "ada@example.com""#,
            r#"userName eq "ada@example.com" and emails.value eq "ada@example.com""#,
        ] {
            assert_eq!(user(text).expect(text), ada, "{text}");
        }
        let both = user(r#"externalId sw "00u" and active eq true"#).expect("two comparisons");
        assert_eq!(both.external_id.as_deref(), Some("00u%"));
        assert_eq!(both.is_active, Some(true));
        assert_eq!(user("").expect("none"), UserFilter::default());
        assert_eq!(user("displayName pr").expect("present").name.as_deref(), Some("%"));
        let group = GroupFilter::parse(r#"displayName eq "A and \"B\"""#).expect("a quoted text");
        assert_eq!(group.name.as_deref(), Some(r#"A and "B""#));
    }

    #[test]
    fn a_text_has_no_wildcards_and_ends_nothing() {
        let filter = user(r#"userName eq "%' OR 1=1 --_\\""#).expect("a text");
        assert_eq!(filter.email.as_deref(), Some(r"\%' or 1=1 --\_\\"));
        assert_eq!(user(r#"id eq "x' OR true""#).expect("no id").id, Some(Uuid::nil()));
    }

    #[test]
    fn another_filter_is_refused() {
        for text in [
            "userName",
            "userName eq",
            "userName eq ada",
            r#"userName eq "ada"#,
            r#"userName eq "a" or userName eq "b""#,
            r#"not (userName eq "a")"#,
            r#"userName eq "a" and"#,
            r#"userName eq "a" and userName eq "b""#,
            r#"password eq "a""#,
            r#"userName gt "a""#,
            r#"active co true"#,
            r#"emails[type eq "work" eq "a""#,
            r#"emails[type eq "work"]x eq "a""#,
            &[r#"active eq true"#; 11].join(" and "),
        ] {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_may_select_a_member() {
        let path = Path::parse(r#"members[value eq "0199c0de-0000-7000-8000-000000000001"]"#).expect("a path");
        assert_eq!(path.name, "members");
        assert!(path.member().expect("a member").is_some_and(|id| !id.is_nil()));
        assert_eq!(Path::parse("name.givenName").expect("a path").name, "name.givenname");
        assert!(Path::parse("members[").is_err() && Path::parse("").is_err() && Path::parse("a b").is_err());
        assert!(Path::parse(r#"members[display eq "x"]"#).expect("a path").member().is_err());
    }
}
