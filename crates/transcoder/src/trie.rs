//! A trie over path segments, which finds the route of a path.
//!
//! Every node has one parent and one depth, so even with backtracking a look-up visits each node at most once, and it
//! allocates nothing.

use std::collections::HashMap;

use http::Method;

use crate::template::{Segment, Template, split_path};

/// The index of a route in the table.
pub(crate) type RouteId = usize;

#[derive(Debug, Default)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// All custom verbs: `/a/b:c` is the path `/a/b:c` unless `c` is one of them. Envoy decides the same way.
    verbs: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    single: Option<usize>,
    leaves: Vec<Leaf>,
    /// Leaves of templates that continue with `**` here.
    rest: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// `None` means any method, from a `custom` rule of kind `*`.
    method: Option<Method>,
    verb: Option<String>,
    route: RouteId,
}

/// The result of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Route(RouteId),
    /// The path is served under these methods only.
    OtherMethods(Vec<Method>),
    NotFound,
}

impl Trie {
    /// Inserts a route.
    ///
    /// # Errors
    /// The existing route that matches the same method and paths.
    pub(crate) fn insert(
        &mut self,
        method: Option<&Method>,
        template: &Template,
        route: RouteId,
    ) -> Result<(), RouteId> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        let mut rest = false;
        for segment in template.segments() {
            let fresh = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(fresh),
                Segment::Single => *node.single.get_or_insert(fresh),
                Segment::Rest => {
                    rest = true;
                    break;
                }
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        if let Some(verb) = template.verb()
            && !self.verbs.iter().any(|other| other == verb)
        {
            self.verbs.push(verb.to_owned());
        }
        let node = &mut self.nodes[at];
        let leaves = if rest { &mut node.rest } else { &mut node.leaves };
        if let Some(leaf) = leaves.iter().find(|leaf| leaf.method.as_ref() == method && leaf.verb() == template.verb())
        {
            return Err(leaf.route);
        }
        leaves.push(Leaf { method: method.cloned(), verb: template.verb().map(str::to_owned), route });
        Ok(())
    }

    /// Finds a route. Literals are preferred to `*`, and `*` to `**`. If a path matches under another method only, the
    /// search continues, since a less literal template may have the right method.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Lookup {
        if self.nodes.is_empty() {
            return Lookup::NotFound;
        }
        let (path, verb) = split_path(path, |verb| self.verbs.iter().any(|other| other == verb));
        let mut search = Search { trie: self, method, verb, other_methods: Vec::new() };
        match search.node(0, (!path.is_empty()).then_some(path)) {
            Some(route) => Lookup::Route(route),
            None if search.other_methods.is_empty() => Lookup::NotFound,
            None => Lookup::OtherMethods(search.other_methods),
        }
    }
}

impl Leaf {
    fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }
}

struct Search<'t, 'r> {
    trie: &'t Trie,
    method: &'r Method,
    verb: Option<&'r str>,
    other_methods: Vec<Method>,
}

impl<'t> Search<'t, '_> {
    /// Searches below a node. `path` is the rest of the path; `None` if nothing is left.
    fn node(&mut self, at: usize, path: Option<&str>) -> Option<RouteId> {
        let node = &self.trie.nodes[at];
        let Some(path) = path else {
            return self.leaf(&node.leaves).or_else(|| self.leaf(&node.rest));
        };
        let (segment, rest) = path.split_once('/').map_or((path, None), |(segment, rest)| (segment, Some(rest)));
        if let Some(&next) = node.literals.get(segment)
            && let Some(route) = self.node(next, rest)
        {
            return Some(route);
        }
        if let Some(next) = node.single
            && let Some(route) = self.node(next, rest)
        {
            return Some(route);
        }
        self.leaf(&node.rest)
    }

    fn leaf(&mut self, leaves: &'t [Leaf]) -> Option<RouteId> {
        let fits = |leaf: &&Leaf| leaf.verb() == self.verb;
        let exact = leaves.iter().filter(fits).find(|leaf| leaf.method.as_ref() == Some(self.method));
        let leaf = exact.or_else(|| leaves.iter().filter(fits).find(|leaf| leaf.method.is_none()));
        if leaf.is_none() {
            for other in leaves.iter().filter(fits).filter_map(|leaf| leaf.method.as_ref()) {
                if !self.other_methods.contains(other) {
                    self.other_methods.push(other.clone());
                }
            }
        }
        leaf.map(|leaf| leaf.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(rules: &[(&str, &str)]) -> Trie {
        let mut trie = Trie::default();
        for (id, (method, template)) in rules.iter().enumerate() {
            let method = (*method != "*").then(|| method.parse().unwrap());
            trie.insert(method.as_ref(), &Template::parse(template).unwrap(), id).unwrap();
        }
        trie
    }

    #[test]
    fn the_most_literal_template_with_the_method_wins() {
        let trie = trie(&[
            ("GET", "/a/{id}"),
            ("POST", "/a/b"),
            ("GET", "/a/b/c"),
            ("GET", "/a/{rest=**}"),
            ("POST", "/a/{id}:stop"),
            ("*", "/any"),
            ("GET", "/"),
            ("GET", "/x/{name=s/*/t/*}"),
        ]);
        let cases = [
            ("GET", "/a/b", Lookup::Route(0)),
            ("POST", "/a/b", Lookup::Route(1)),
            ("GET", "/a/b/c", Lookup::Route(2)),
            ("GET", "/a/b/d", Lookup::Route(3)),
            ("GET", "/a", Lookup::Route(3)),
            ("GET", "/a/", Lookup::Route(3)),
            ("GET", "/a//c", Lookup::Route(3)),
            ("POST", "/a/7:stop", Lookup::Route(4)),
            ("GET", "/a/7:stop", Lookup::OtherMethods(vec![Method::POST])),
            ("GET", "/a/7:go", Lookup::Route(0)),
            ("POST", "/a/7/:stop", Lookup::Route(4)),
            ("POST", "/a/:stop", Lookup::NotFound),
            ("POST", "/a/7:stop/", Lookup::OtherMethods(vec![Method::GET])),
            ("PUT", "/any", Lookup::Route(5)),
            ("GET", "/", Lookup::Route(6)),
            ("GET", "", Lookup::Route(6)),
            ("DELETE", "/a/b", Lookup::OtherMethods(vec![Method::POST, Method::GET])),
            ("GET", "/x/s//t/2", Lookup::Route(7)),
            ("GET", "/x/s/1/u/2", Lookup::NotFound),
            ("GET", "/nope", Lookup::NotFound),
        ];
        for (method, path, expected) in cases {
            assert_eq!(trie.find(&method.parse().unwrap(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn equal_rules_collide_whatever_their_variables_are_called() {
        let mut trie = trie(&[("GET", "/a/{id}"), ("GET", "/b/{x=**}")]);
        let get = Method::GET;
        assert_eq!(trie.insert(Some(&get), &Template::parse("/a/{other.name}").unwrap(), 9), Err(0));
        assert_eq!(trie.insert(Some(&get), &Template::parse("/b/**").unwrap(), 9), Err(1));
        assert_eq!(trie.insert(None, &Template::parse("/a/*").unwrap(), 9), Ok(()));
    }
}
