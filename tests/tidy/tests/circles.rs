//! The modules of a product crate have no dependency cycles.
//!
//! The rule, for every module: take its child modules (each with everything below it) and the items that its own file
//! defines. **None of them may depend on itself through the others.** So two siblings never depend on each other, and a
//! child may use a type of its parent's file unless that type contains the child. Methods in the parent's file are
//! exempt: an `impl` in `shard.rs` may call what `shard/apply.rs` adds to the same type, so that a long type can be
//! split into several files.
//!
//! A dependency is a path in the text of a file, in code that is not only built for tests. Paths are followed through
//! `use` and `pub use` to the file that defines the item, so a re-export hides no cycle. Dependencies that only the
//! compiler knows (a method called on a value, a macro in textual scope) are not detected.

mod modules;

use super::{CRATES, assert_none, files_below, root, shown};
use modules::{Modules, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A node of the dependency graph below one module: a child with everything below it, or an item of the module's file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Child(usize),
    Item(String),
}

impl Modules {
    /// The node below `above` to which a target belongs.
    fn node(&self, above: usize, target: Target) -> Option<Node> {
        if target.module == above {
            return target.item.map(Node::Item);
        }
        self.child_towards(above, target.module).map(Node::Child)
    }

    /// The dependencies below one module, each with the place of the first path that causes it.
    fn dependencies(&self, above: usize) -> BTreeMap<(Node, Node), String> {
        let mut found = BTreeMap::new();
        for (index, module) in self.0.iter().enumerate() {
            let child = self.child_towards(above, index).map(Node::Child);
            if child.is_none() && index != above {
                continue;
            }
            let rest = module.rest.iter().map(|mention| (None, mention));
            let items = module
                .items
                .iter()
                .flat_map(|(name, all)| all.iter().map(move |mention| (Some(name), mention)));
            for (item, mention) in rest.chain(items) {
                let from = child.clone().or(item.cloned().map(Node::Item));
                let to = self
                    .resolve(index, &mention.path, 0)
                    // A module alone means nothing: this is a field or a variable of the same name.
                    .filter(|target| target.item.is_some() || mention.path.len() > 1)
                    .and_then(|target| self.node(above, target));
                let (Some(from), Some(to)) = (from, to) else {
                    continue;
                };
                if from != to {
                    let (file, line) = (shown(&module.file), mention.line);
                    let path = mention.path.join("::");
                    let place = || format!("{file}:{line} names {path}");
                    found.entry((from, to)).or_insert_with(place);
                }
            }
        }
        found
    }

    /// The dependencies that are part of a cycle through a child module.
    fn circles(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for above in 0..self.0.len() {
            let dependencies = self.dependencies(above);
            let nodes: BTreeSet<&Node> = dependencies.keys().map(|(from, _)| from).collect();
            let reached: BTreeMap<&Node, BTreeSet<&Node>> = nodes
                .into_iter()
                .map(|node| (node, reached_from(node, &dependencies)))
                .collect();
            let reaches = |from: &Node, to: &Node| {
                let nodes = reached.get(from);
                nodes.is_some_and(|nodes| nodes.contains(to))
            };
            for ((from, to), place) in &dependencies {
                // Items of one file may depend on each other.
                let through_a_child = reached.keys().any(|node| {
                    matches!(node, Node::Child(_)) && reaches(from, node) && reaches(node, from)
                });
                if reaches(to, from) && through_a_child {
                    let file = shown(&self.0[above].file);
                    faults.push(format!("circle below {file}: {place}"));
                }
            }
        }
        faults
    }
}

/// The nodes that can be reached from `start` over at least one dependency.
fn reached_from<'a>(
    start: &Node,
    dependencies: &'a BTreeMap<(Node, Node), String>,
) -> BTreeSet<&'a Node> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        for (from, to) in dependencies.keys() {
            if from == node && reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

/// The cycles of a crate, in its library and its binaries.
fn circles_of(folder: &str) -> Vec<String> {
    let source = root().join(folder).join("src");
    let mut roots = files_below(&source.join("bin"), "rs");
    roots.extend(
        ["lib.rs", "main.rs"]
            .iter()
            .map(|name| source.join(name))
            .filter(|path| path.exists()),
    );
    let read = |path: &Path| fs::read_to_string(path).ok();
    roots
        .iter()
        .flat_map(|root| Modules::read(root, &read).circles())
        .collect()
}

/// Whether a crate is part of the product, and not a test or a bench.
fn is_product(folder: &str) -> bool {
    !folder.starts_with("tests/") && !folder.starts_with("benches")
}

#[test]
fn modules_of_product_crates_form_no_circles() {
    let faults: Vec<String> = CRATES
        .iter()
        .filter(|name| is_product(name))
        .flat_map(|name| circles_of(name))
        .collect();
    assert_none(&faults);
}

/// The cycles of a crate with these files, as lines "file:line names path".
fn circles_among(files: &[(&str, &str)]) -> Vec<String> {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path)?;
        Some(file.1.to_owned())
    };
    let circles = Modules::read(Path::new("lib.rs"), &read).circles();
    let place = |circle: &String| circle.split_once(": ").map(|(_, place)| place.to_owned());
    circles.iter().filter_map(place).collect()
}

#[test]
fn siblings_that_need_each_other_are_a_circle_also_through_a_re_export() {
    let client = (
        "client.rs",
        "use crate::Connector;\npub struct Client(Connector);",
    );
    let connector =
        "use super::client;\npub fn connect() -> client::Client { todo() }\npub struct Connector;";
    let circles = circles_among(&[
        (
            "lib.rs",
            "mod client;\nmod connector;\npub use connector::Connector;",
        ),
        client,
        ("connector.rs", connector),
    ]);
    assert_eq!(
        circles,
        [
            "client.rs:1 names crate::Connector",
            "connector.rs:1 names super::client"
        ]
    );
    let one_way = circles_among(&[
        (
            "lib.rs",
            "mod client;\nmod connector;\npub use connector::Connector;",
        ),
        client,
        ("connector.rs", "pub struct Connector;"),
    ]);
    assert!(one_way.is_empty(), "{one_way:?}");
}

#[test]
fn a_circle_may_run_through_files_below_its_modules() {
    let circles = circles_among(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "mod deep;"),
        ("a/deep.rs", "fn f() { vec![crate::b::g()]; }"),
        ("b.rs", "pub fn g() { crate::a::deep::f() }"),
    ]);
    assert_eq!(circles.len(), 2, "{circles:?}");
}

#[test]
fn a_child_may_need_an_item_of_its_parent_unless_that_is_made_of_the_child() {
    let child = "use super::Session;\nimpl Session { fn open(&self) {} }\npub struct Phase;";
    let method =
        "mod open;\npub struct Session;\nimpl Session { fn f(&self) -> open::Phase { todo() } }";
    let fine = circles_among(&[("lib.rs", method), ("open.rs", child)]);
    assert!(fine.is_empty(), "{fine:?}");
    let field =
        "mod open;\nuse open::Phase;\npub struct Session { inner: Inner }\nstruct Inner(Phase);";
    let circles = circles_among(&[("lib.rs", field), ("open.rs", child)]);
    assert_eq!(
        circles,
        [
            "open.rs:1 names super::Session",
            "lib.rs:4 names Phase",
            "lib.rs:3 names Inner"
        ]
    );
}

#[test]
fn code_for_tests_is_in_no_circle() {
    let tests = "#[cfg(test)]\nmod tests { use crate::b::B; }\npub struct A;";
    let circles = circles_among(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", tests),
        ("b.rs", "use crate::a::A;\npub struct B(A);"),
    ]);
    assert!(circles.is_empty(), "{circles:?}");
}
