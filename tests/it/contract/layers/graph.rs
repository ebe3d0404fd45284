//! The dependency graph between the files of a crate: paths are resolved to the files that define their names.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{NamedPath, Source};

/// The files of one crate, by module.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    by_module: BTreeMap<&'a [String], &'a Source>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        Self { by_module: sources.iter().map(|source| (source.module.as_slice(), source)).collect() }
    }

    /// Returns the file of this crate that defines the name of a path, and the rest of the path inside it. `None` for a
    /// path into another crate or to a local name.
    ///
    /// A name that a file only re-exports with `pub use` is resolved to its definition.
    pub(super) fn resolve(&self, from: &'a Source, segments: &[String]) -> Option<(&'a Source, Vec<String>)> {
        self.follow(from, segments, 0)
    }

    /// Returns the file of this crate that a path refers to, which may only re-export the name.
    pub(super) fn reach(&self, from: &'a Source, segments: &[String]) -> Option<&'a Source> {
        let absolute = self.absolute(from, segments, 0)?;
        (0..=absolute.len()).rev().find_map(|length| self.by_module.get(&absolute[..length]).copied())
    }

    fn follow(&self, from: &'a Source, segments: &[String], depth: u8) -> Option<(&'a Source, Vec<String>)> {
        let absolute = self.absolute(from, segments, depth)?;
        let length = (0..=absolute.len()).rev().find(|length| self.by_module.contains_key(&absolute[..*length]))?;
        let (source, rest) = (self.by_module[&absolute[..length]], &absolute[length..]);
        let export = rest.first().and_then(|name| source.imports.get(name)).filter(|import| import.exported);
        match export {
            Some(import) if depth < 8 && import.segments != segments => {
                let path: Vec<_> = import.segments.iter().chain(&rest[1..]).cloned().collect();
                self.follow(source, &path, depth + 1).or_else(|| Some((source, rest.to_vec())))
            }
            _ => Some((source, rest.to_vec())),
        }
    }

    /// Returns the path from the root of the crate.
    fn absolute(&self, from: &Source, segments: &[String], depth: u8) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        let below = |module: &[String], rest: &[String]| module.iter().chain(rest).cloned().collect::<Vec<_>>();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(below(&from.module, rest)),
            "super" => {
                let supers = segments.iter().take_while(|segment| *segment == "super").count();
                let parent = from.module.len().checked_sub(supers)?;
                Some(below(&from.module[..parent], &segments[supers..]))
            }
            _ => {
                let child = below(&from.module, std::slice::from_ref(first));
                if self.by_module.contains_key(child.as_slice()) {
                    return Some(below(&child, rest));
                }
                let import = from.imports.get(first).filter(|import| import.segments[0] != *first && depth < 8)?;
                let path = below(&import.segments, rest);
                self.absolute(from, &path, depth + 1)
            }
        }
    }

    /// Returns the other files that a file depends on, each with a path that shows it.
    ///
    /// Names that a parent only re-exports from a child do not count. Neither do names that a private child takes from
    /// its parent, because they are one module, split into files; a public child is a separate module. A name that is
    /// taken from another module of the product also adds a dependency on the file that offers it, because that file
    /// may change its exports.
    pub(super) fn needs(&self, from: &'a Source) -> BTreeMap<&'a [String], &'a NamedPath> {
        let mut needs = BTreeMap::new();
        for named in &from.paths {
            let Some((to, _)) = self.resolve(from, &named.segments) else { continue };
            let is_export_of_child = named.exported && to.module.starts_with(&from.module);
            let is_part = self.is_private_part(&from.module, &to.module);
            if to.module != from.module && !is_export_of_child && !is_part {
                needs.entry(to.module.as_slice()).or_insert(named);
            }
            let is_of_another = |file: &&Source| match (file.module.first(), from.module.first()) {
                (Some(other), Some(own)) => other != own,
                // The root of a crate only lists modules.
                _ => false,
            };
            if let Some(file) = self.reach(from, &named.segments).filter(is_of_another) {
                needs.entry(file.module.as_slice()).or_insert(named);
            }
        }
        needs
    }

    /// Returns whether each step from a file down to another is a private module.
    fn is_private_part(&self, part: &[String], whole: &[String]) -> bool {
        part.starts_with(whole)
            && (whole.len()..part.len()).all(|length| {
                self.by_module.get(&part[..length]).is_some_and(|parent| parent.private.contains(&part[length]))
            })
    }

    /// Returns the cycles: the sets of files that depend on each other, directly or transitively.
    pub(super) fn circles(&self) -> Vec<BTreeSet<&'a [String]>> {
        let edges: BTreeMap<_, _> = self.by_module.values().map(|file| (&*file.module, self.needs(file))).collect();
        let reached: BTreeMap<&[String], BTreeSet<&[String]>> = edges
            .keys()
            .map(|start| {
                let (mut modules, mut next) = (BTreeSet::new(), vec![*start]);
                while let Some(module) = next.pop() {
                    next.extend(edges[module].keys().copied().filter(|to| modules.insert(*to)));
                }
                (*start, modules)
            })
            .collect();
        let circle_of = |start: &&'a [String]| -> BTreeSet<&'a [String]> {
            reached[start].iter().copied().filter(|other| reached[other].contains(start)).collect()
        };
        let circles: BTreeSet<_> = edges.keys().map(circle_of).filter(|circle| circle.len() > 1).collect();
        circles.into_iter().collect()
    }
}
