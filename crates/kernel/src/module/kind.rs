//! Names of kinds, such as kinds of mail, which tables, metrics and the API show.

#[derive(Debug, Clone, Copy)]
pub(super) struct KindName {
    /// What it is a kind of, such as `mail`.
    pub what: &'static str,
    pub name: &'static str,
    /// Whether the name may lack that of the module.
    pub may_lack_prefix: bool,
}

impl KindName {
    pub(super) fn fault(&self, module: &str) -> Option<String> {
        let is_own = match self.name.split_once('.') {
            Some((prefix, _)) => prefix == module,
            None => self.may_lack_prefix,
        };
        (!is_own || !is_kind_name(self.name)).then(|| {
            format!(
                "the module {module} declares the kind of {} {:?}: begin its name with {module} and a dot, write lower-case words \
                 joined by _ after it, and use at most {MAX_LENGTH} characters",
                self.what, self.name
            )
        })
    }
}

/// The maximum length of a name in bytes, as in the tables `mails` and `operations`.
const MAX_LENGTH: usize = 100;

/// Returns whether a name consists of lower-case letters, digits and `_`, with at most one dot inside, so that it can be the
/// name of a file and a part of a path.
pub fn is_kind_name(name: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    name.len() <= MAX_LENGTH && name.splitn(2, '.').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_and_of_a_module() {
        for good in ["sign_in", "fleet.lease_ending", "a1.b2"] {
            assert!(is_kind_name(good), "{good}");
        }
        for bad in
            ["", ".", "Fleet.lease", "fleet.", ".lease", "fleet.lease.ending", "fleet/lease", "1a", &"a".repeat(101)]
        {
            assert!(!is_kind_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_kind_has_the_name_of_its_module() {
        let fault = |name, may_lack_prefix| KindName { what: "mail", name, may_lack_prefix }.fault("fleet");
        assert_eq!(["fleet.lease_ending", "sign_in"].map(|name| fault(name, true)), [None, None]);
        for (name, may_lack_prefix) in [("sign_in", false), ("trips.begun", true), ("fleet.Lease", true)] {
            let fault = fault(name, may_lack_prefix).unwrap_or_default();
            let begin =
                format!("the module fleet declares the kind of mail {name:?}: begin its name with fleet and a dot");
            assert!(fault.starts_with(&begin), "{fault}");
        }
    }
}
