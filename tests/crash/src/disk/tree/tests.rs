//! What entries survive a loss of power, and what a directory refuses.

use muster_loadgen::random::Random;

use super::*;
use crate::disk::survival::{self, Style};

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn lose_all(tree: &mut Tree) -> Lost {
    tree.lose(Style::Everything, None, &mut Random::new(1, 1))
}

fn names(tree: &Tree, directory: Inode) -> Vec<String> {
    let names = tree.names(directory).unwrap().keys();
    names
        .map(|name| name.to_str().unwrap().to_owned())
        .collect()
}

/// A synced file in the root.
fn file(tree: &mut Tree, called: &str, bytes: &[u8]) -> Inode {
    let inode = tree.create(ROOT, name(called), false).unwrap();
    tree.content_mut(inode).unwrap().write(0, bytes);
    tree.sync_file(inode).unwrap();
    inode
}

#[test]
fn strictly_a_file_without_a_durable_name_is_gone() {
    let mut tree = Tree::new(Entries::Strict);
    file(&mut tree, "a", b"synced");
    let lost = lose_all(&mut tree);
    assert_eq!(lost.entries_forgotten, 1);
    assert!(names(&tree, ROOT).is_empty());
}

#[test]
fn a_sync_of_the_directory_keeps_names_and_a_sync_of_the_file_its_bytes() {
    let mut tree = Tree::new(Entries::Strict);
    let both = file(&mut tree, "both", b"synced");
    let only_name = tree.create(ROOT, name("name"), false).unwrap();
    tree.content_mut(only_name).unwrap().write(0, b"unsynced");
    tree.sync_directory(ROOT).unwrap();
    assert_eq!(lose_all(&mut tree).entries_forgotten, 0);
    assert_eq!(names(&tree, ROOT), ["both", "name"]);
    assert_eq!(tree.content(both).unwrap().read(0, 9), b"synced");
    assert_eq!(tree.content(only_name).unwrap().len(), 0);
}

#[test]
fn in_order_a_sync_of_any_file_keeps_all_earlier_names() {
    let mut tree = Tree::new(Entries::Ordered);
    tree.create(ROOT, name("earlier"), false).unwrap();
    file(&mut tree, "a", b"synced");
    tree.create(ROOT, name("later"), false).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["a", "earlier"]);
}

#[test]
fn an_unsynced_rename_is_undone_and_a_synced_one_stays() {
    let mut tree = Tree::new(Entries::Strict);
    let old = file(&mut tree, "CURRENT", b"old");
    tree.sync_directory(ROOT).unwrap();
    let new = file(&mut tree, "new", b"new");
    let rename = |tree: &mut Tree| {
        tree.rename((ROOT, name("new")), (ROOT, name("CURRENT")), true)
            .unwrap();
    };
    let mut synced = tree.clone();
    rename(&mut tree);
    assert_eq!(names(&tree, ROOT), ["CURRENT"]);
    lose_all(&mut tree);
    assert_eq!(tree.lookup(ROOT, name("CURRENT")), Ok(old));
    assert_eq!(tree.content(old).unwrap().read(0, 9), b"old");

    rename(&mut synced);
    synced.sync_directory(ROOT).unwrap();
    lose_all(&mut synced);
    assert_eq!(synced.lookup(ROOT, name("CURRENT")), Ok(new));
    assert_eq!(synced.attributes(old), Err(Refusal::Stale));
}

#[test]
fn a_removal_that_was_not_synced_gives_the_file_back() {
    let mut tree = Tree::new(Entries::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.sync_directory(ROOT).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    assert_eq!(tree.lookup(ROOT, name("a")), Err(Refusal::NoEntry));
    lose_all(&mut tree);
    assert_eq!(tree.content(inode).unwrap().read(0, 9), b"bytes");
    assert_eq!(tree.name(inode), Some(name("a")));
}

#[test]
fn a_directory_whose_own_name_was_not_synced_takes_everything_with_it() {
    let mut tree = Tree::new(Entries::Strict);
    let below = tree.create(ROOT, name("data"), true).unwrap();
    let inode = tree.create(below, name("FORMAT"), false).unwrap();
    tree.sync_file(inode).unwrap();
    tree.sync_directory(below).unwrap();
    let mut synced = tree.clone();
    lose_all(&mut tree);
    assert_eq!(tree.attributes(inode), Err(Refusal::Stale));

    synced.sync_directory(ROOT).unwrap();
    lose_all(&mut synced);
    assert_eq!(synced.lookup(below, name("FORMAT")), Ok(inode));
}

#[test]
fn a_move_between_directories_is_one_step() {
    let mut tree = Tree::new(Entries::Strict);
    let below = tree.create(ROOT, name("below"), true).unwrap();
    tree.sync_directory(ROOT).unwrap();
    let inode = file(&mut tree, "a", b"bytes");
    tree.rename((ROOT, name("a")), (below, name("b")), true)
        .unwrap();
    // Of the directory it went to: its coming into being in the other goes along.
    tree.sync_directory(below).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["below"]);
    assert_eq!(tree.lookup(below, name("b")), Ok(inode));
}

#[test]
fn a_file_goes_with_its_last_name_and_handle() {
    let mut tree = Tree::new(Entries::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.open(inode).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    tree.sync_directory(ROOT).unwrap();
    assert_eq!(tree.bytes(), 5, "it is open");
    tree.release(inode);
    assert_eq!(tree.bytes(), 0);
    assert_eq!(tree.content(inode).err(), Some(Refusal::Stale));
}

#[test]
fn a_second_name_keeps_a_file() {
    let mut tree = Tree::new(Entries::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.link(inode, ROOT, name("b")).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    tree.sync_directory(ROOT).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["b"]);
    assert_eq!(tree.content(inode).unwrap().read(0, 9), b"bytes");
}

#[test]
fn what_a_directory_refuses() {
    let mut tree = Tree::new(Entries::Strict);
    let below = tree.create(ROOT, name("below"), true).unwrap();
    tree.create(below, name("inner"), false).unwrap();
    tree.create(ROOT, name("file"), false).unwrap();
    let taken = tree.create(ROOT, name("file"), false);
    assert_eq!(taken, Err(Refusal::Exists));
    let full = tree.remove(ROOT, name("below"), true);
    assert_eq!(full, Err(Refusal::NotEmpty));
    let directory = tree.remove(ROOT, name("below"), false);
    assert_eq!(directory, Err(Refusal::IsDirectory));
    let no_directory = tree.remove(ROOT, name("file"), true);
    assert_eq!(no_directory, Err(Refusal::NotDirectory));
    let over = tree.rename((ROOT, name("file")), (ROOT, name("below")), true);
    assert_eq!(over, Err(Refusal::IsDirectory));
    let twice = tree.rename((ROOT, name("file")), (below, name("inner")), false);
    assert_eq!(twice, Err(Refusal::Exists));
    assert_eq!(tree.lookup(ROOT, name("nobody")), Err(Refusal::NoEntry));
}

/// Whatever is drawn, a name that was synced is there, and no file has bytes it never had.
#[test]
fn no_loss_takes_what_was_synced() {
    for seed in 0..3_000 {
        let mut random = Random::new(seed, 3);
        let entries = if random.per_mille(500) {
            Entries::Strict
        } else {
            Entries::Ordered
        };
        let mut tree = Tree::new(entries);
        let mut promised = std::collections::BTreeMap::new();
        for step in 0..random.below(30) {
            let called = format!("file-{}", random.below(5));
            let found = tree.lookup(ROOT, name(&called));
            let inode = match found {
                Ok(inode) => inode,
                Err(_) => tree.create(ROOT, name(&called), false).unwrap(),
            };
            // Files only grow, so what was promised is a prefix of whatever is there.
            let content = tree.content_mut(inode).unwrap();
            content.write(content.len(), &[step as u8 + 1; 300]);
            if random.per_mille(400) {
                tree.sync_file(inode).unwrap();
                tree.sync_directory(ROOT).unwrap();
                promised.insert(called, tree.content(inode).unwrap().len());
            }
        }
        let before = tree.clone();
        let style = survival::style(&mut random);
        tree.lose(style, None, &mut random);
        for (called, len) in promised {
            let now = tree.lookup(ROOT, name(&called)).unwrap();
            let then = before.lookup(ROOT, name(&called)).unwrap();
            let len = usize::try_from(len).unwrap();
            assert_eq!(
                tree.content(now).unwrap().read(0, len),
                before.content(then).unwrap().read(0, len),
                "seed {seed}, {style:?}: {called}"
            );
        }
    }
}
