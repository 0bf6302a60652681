//! Parses the modules of a crate: the items that each defines and the paths that it names.
//!
//! Code that is only built for tests is skipped. Paths are resolved as the compiler does, as far as the text alone
//! allows: a name is a child module, an item of the file, or a name that a `use` imports.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, UseTree, ext::IdentExt};

/// Maximum number of re-exports that a path is followed through; `use a::b` in b and `use b::a` in a never end.
const RE_EXPORTS_MAX: usize = 16;

/// A path in the text, such as `super::Session`, with its line.
pub(super) struct Mention {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

#[derive(Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// The items that the file defines, with the paths in their definitions.
    pub(super) items: BTreeMap<String, Vec<Mention>>,
    /// The paths in `use` and `impl`, which belong to no item that another module can name.
    pub(super) rest: Vec<Mention>,
    /// The path that a `use` imports under each name.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// All modules of one crate; the first is its root.
pub(super) struct Modules(pub(super) Vec<Module>);

/// The target of a path: a module, or an item of its file.
#[derive(Clone, PartialEq)]
pub(super) struct Target {
    pub(super) module: usize,
    pub(super) item: Option<String>,
}

impl Modules {
    /// Reads a crate, module by module, beginning with its root file.
    pub(super) fn read(root: &Path, source: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut modules = Self(Vec::new());
        let folder = root.parent().expect("a file lies in a folder").to_owned();
        modules.read_file(root.to_owned(), &folder, None, source);
        modules
    }

    fn read_file(
        &mut self,
        file: PathBuf,
        folder: &Path,
        parent: Option<usize>,
        source: &dyn Fn(&Path) -> Option<String>,
    ) -> usize {
        let text = source(&file).unwrap_or_else(|| panic!("{} is missing", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_items(parsed.items, file, folder, parent, source)
    }

    fn read_items(
        &mut self,
        items: Vec<Item>,
        file: PathBuf,
        folder: &Path,
        parent: Option<usize>,
        source: &dyn Fn(&Path) -> Option<String>,
    ) -> usize {
        let this = self.0.len();
        self.0.push(Module {
            file: file.clone(),
            parent,
            ..Module::default()
        });
        for item in items {
            if attributes(&item).iter().any(is_for_tests) {
                continue;
            }
            match item {
                Item::Mod(module) => {
                    let name = module.ident.unraw().to_string();
                    let below = folder.join(&name);
                    let child = match module.content {
                        Some((_, items)) => {
                            self.read_items(items, file.clone(), &below, Some(this), source)
                        }
                        None => {
                            let path = folder.join(format!("{name}.rs"));
                            self.read_file(path, &below, Some(this), source)
                        }
                    };
                    self.0[this].children.insert(name, child);
                }
                Item::Use(item) => {
                    let module = &mut self.0[this];
                    mentions(item.to_token_stream(), &[], &mut module.rest);
                    module.import(&item.tree, &mut Vec::new());
                }
                item => {
                    let module = &mut self.0[this];
                    let found = match defined_name(&item) {
                        Some(name) => module.items.entry(name).or_default(),
                        None => &mut module.rest,
                    };
                    mentions(item.to_token_stream(), &[], found);
                }
            }
        }
        this
    }

    /// The target of a path in the text of a module, if it is in the crate.
    pub(super) fn resolve(
        &self,
        from: usize,
        path: &[String],
        re_exports: usize,
    ) -> Option<Target> {
        let mut at = Target {
            module: from,
            item: None,
        };
        for (index, name) in path.iter().enumerate() {
            at = match name.as_str() {
                _ if at.item.is_some() => return Some(at),
                "crate" => Target { module: 0, ..at },
                "self" => at,
                "super" => Target {
                    module: self.0[at.module].parent?,
                    ..at
                },
                name => match self.step(at.module, name, re_exports) {
                    Some(target) => target,
                    // `Self::X`, a variant, a generic parameter, or another crate's.
                    None if index == 0 => return None,
                    None => return Some(at),
                },
            };
        }
        Some(at)
    }

    /// The target that `name` has in a module.
    fn step(&self, module: usize, name: &str, re_exports: usize) -> Option<Target> {
        let this = &self.0[module];
        if let Some(child) = this.children.get(name) {
            return Some(Target {
                module: *child,
                item: None,
            });
        }
        if this.items.contains_key(name) {
            let item = Some(name.to_owned());
            return Some(Target { module, item });
        }
        if re_exports == RE_EXPORTS_MAX {
            return None;
        }
        if let Some(path) = this.imports.get(name) {
            return self.resolve(module, path, re_exports + 1);
        }
        this.globs.iter().find_map(|path| {
            let target = self.resolve(module, path, re_exports + 1)?;
            let is_other = target.item.is_none() && target.module != module;
            is_other
                .then(|| self.step(target.module, name, re_exports + 1))
                .flatten()
        })
    }

    /// The child of `above` that contains a module, or is it.
    pub(super) fn child_towards(&self, above: usize, mut module: usize) -> Option<usize> {
        loop {
            let parent = self.0[module].parent?;
            if parent == above {
                return Some(module);
            }
            module = parent;
        }
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        let import = |prefix: &[String], name: String| {
            let mut path = prefix.to_vec();
            if name != "self" {
                path.push(name);
            }
            path
        };
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.unraw().to_string());
                self.import(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix);
                }
            }
            UseTree::Name(name) => {
                let path = import(prefix, name.ident.unraw().to_string());
                self.imports
                    .extend(path.last().cloned().map(|name| (name, path)));
            }
            UseTree::Rename(rename) => {
                let path = import(prefix, rename.ident.unraw().to_string());
                self.imports.insert(rename.rename.to_string(), path);
            }
            UseTree::Glob(_) => self.globs.push(prefix.clone()),
        }
    }
}

/// Every path in these tokens, including those in macros. `prefix` is the path before a group in a `use`.
fn mentions(tokens: TokenStream, prefix: &[String], found: &mut Vec<Mention>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut before = ' ';
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                before = ' ';
                mentions(group.stream(), &[], found);
            }
            // The end of a range is no field.
            TokenTree::Punct(punct) if before == '.' && punct.as_char() == '.' => before = ' ',
            TokenTree::Punct(punct) => before = punct.as_char(),
            TokenTree::Literal(_) => before = ' ',
            // A field, a method, a lifetime.
            TokenTree::Ident(_) if matches!(before, '.' | '\'') => before = ' ',
            TokenTree::Ident(first) => {
                before = ' ';
                let line = first.span().start().line;
                let mut path = prefix.to_vec();
                path.push(first.unraw().to_string());
                while let Some(TokenTree::Punct(colon)) = tokens.peek() {
                    if colon.as_char() != ':' {
                        break;
                    }
                    // The first colon of two stands close to the second; that of `field: Type` stands alone.
                    if colon.spacing() == Spacing::Alone {
                        path.clear();
                        break;
                    }
                    tokens.next();
                    tokens.next();
                    match tokens.peek() {
                        Some(TokenTree::Ident(next)) => {
                            path.push(next.unraw().to_string());
                            tokens.next();
                        }
                        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                            mentions(group.stream(), &path, found);
                            path.clear();
                            tokens.next();
                        }
                        _ => break,
                    }
                }
                if !path.is_empty() {
                    found.push(Mention { path, line });
                }
            }
        }
    }
}

/// The name by which other modules can mention an item; an `impl` and a `const _` have none.
fn defined_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    (name != "_").then(|| name.unraw().to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Ident>()
            .is_ok_and(|name| name == "test")
}
