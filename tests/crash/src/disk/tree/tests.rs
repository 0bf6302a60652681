//! Which entries survive a power loss, and the errors of a directory.

use muster_testkit::random::Random;

use super::*;
use crate::disk::survival::{self, LossMode};

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn lose_all(tree: &mut Tree) -> Lost {
    tree.lose_power(LossMode::Everything, None, &mut Random::new(1, 1))
}

fn names(tree: &Tree, directory: Inode) -> Vec<String> {
    let names = tree.names(directory).unwrap().keys();
    names
        .map(|name| name.to_str().unwrap().to_owned())
        .collect()
}

/// Creates a synced file in the root.
fn file(tree: &mut Tree, file_name: &str, bytes: &[u8]) -> Inode {
    let inode = tree.create(ROOT, name(file_name), false).unwrap();
    tree.content_mut(inode).unwrap().write(0, bytes);
    tree.sync_file(inode).unwrap();
    inode
}

#[test]
fn with_strict_entries_a_file_without_a_durable_name_is_lost() {
    let mut tree = Tree::new(EntryDurability::Strict);
    file(&mut tree, "a", b"synced");
    let lost = lose_all(&mut tree);
    assert_eq!(lost.entries_lost, 1);
    assert!(names(&tree, ROOT).is_empty());
}

#[test]
fn syncing_a_directory_keeps_names_and_syncing_a_file_keeps_bytes() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let both = file(&mut tree, "both", b"synced");
    let only_name = tree.create(ROOT, name("name"), false).unwrap();
    tree.content_mut(only_name).unwrap().write(0, b"unsynced");
    tree.sync_directory(ROOT).unwrap();
    assert_eq!(lose_all(&mut tree).entries_lost, 0);
    assert_eq!(names(&tree, ROOT), ["both", "name"]);
    assert_eq!(tree.content(both).unwrap().read(0, 9), b"synced");
    assert_eq!(tree.content(only_name).unwrap().len(), 0);
}

#[test]
fn with_ordered_entries_syncing_any_file_keeps_all_earlier_names() {
    let mut tree = Tree::new(EntryDurability::Ordered);
    tree.create(ROOT, name("earlier"), false).unwrap();
    file(&mut tree, "a", b"synced");
    tree.create(ROOT, name("later"), false).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["a", "earlier"]);
}

#[test]
fn an_unsynced_rename_is_lost_and_a_synced_one_survives() {
    let mut tree = Tree::new(EntryDurability::Strict);
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
    assert_eq!(synced.attributes(old), Err(DiskError::Stale));
}

#[test]
fn an_unsynced_removal_restores_the_file() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.sync_directory(ROOT).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    assert_eq!(tree.lookup(ROOT, name("a")), Err(DiskError::NotFound));
    lose_all(&mut tree);
    assert_eq!(tree.content(inode).unwrap().read(0, 9), b"bytes");
    assert_eq!(tree.name(inode), Some(name("a")));
}

#[test]
fn everything_in_a_directory_without_a_durable_name_is_lost() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let below = tree.create(ROOT, name("data"), true).unwrap();
    let inode = tree.create(below, name("FORMAT"), false).unwrap();
    tree.sync_file(inode).unwrap();
    tree.sync_directory(below).unwrap();
    let mut synced = tree.clone();
    lose_all(&mut tree);
    assert_eq!(tree.attributes(inode), Err(DiskError::Stale));

    synced.sync_directory(ROOT).unwrap();
    lose_all(&mut synced);
    assert_eq!(synced.lookup(below, name("FORMAT")), Ok(inode));
}

#[test]
fn a_move_between_directories_is_atomic() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let below = tree.create(ROOT, name("below"), true).unwrap();
    tree.sync_directory(ROOT).unwrap();
    let inode = file(&mut tree, "a", b"bytes");
    tree.rename((ROOT, name("a")), (below, name("b")), true)
        .unwrap();
    // Only the target is synced; the creation in the source becomes durable with it.
    tree.sync_directory(below).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["below"]);
    assert_eq!(tree.lookup(below, name("b")), Ok(inode));
}

#[test]
fn a_file_is_removed_with_its_last_name_and_handle() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.open(inode).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    tree.sync_directory(ROOT).unwrap();
    assert_eq!(tree.bytes(), 5, "the file is open");
    tree.release(inode);
    assert_eq!(tree.bytes(), 0);
    assert_eq!(tree.content(inode).err(), Some(DiskError::Stale));
}

#[test]
fn a_second_name_keeps_a_file() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let inode = file(&mut tree, "a", b"bytes");
    tree.link(inode, ROOT, name("b")).unwrap();
    tree.remove(ROOT, name("a"), false).unwrap();
    tree.sync_directory(ROOT).unwrap();
    lose_all(&mut tree);
    assert_eq!(names(&tree, ROOT), ["b"]);
    assert_eq!(tree.content(inode).unwrap().read(0, 9), b"bytes");
}

#[test]
fn invalid_operations_on_entries_fail() {
    let mut tree = Tree::new(EntryDurability::Strict);
    let below = tree.create(ROOT, name("below"), true).unwrap();
    tree.create(below, name("inner"), false).unwrap();
    tree.create(ROOT, name("file"), false).unwrap();
    let taken = tree.create(ROOT, name("file"), false);
    assert_eq!(taken, Err(DiskError::AlreadyExists));
    let full = tree.remove(ROOT, name("below"), true);
    assert_eq!(full, Err(DiskError::DirectoryNotEmpty));
    let directory = tree.remove(ROOT, name("below"), false);
    assert_eq!(directory, Err(DiskError::IsADirectory));
    let no_directory = tree.remove(ROOT, name("file"), true);
    assert_eq!(no_directory, Err(DiskError::NotADirectory));
    let over = tree.rename((ROOT, name("file")), (ROOT, name("below")), true);
    assert_eq!(over, Err(DiskError::IsADirectory));
    let twice = tree.rename((ROOT, name("file")), (below, name("inner")), false);
    assert_eq!(twice, Err(DiskError::AlreadyExists));
    assert_eq!(tree.lookup(ROOT, name("nobody")), Err(DiskError::NotFound));
}

/// Whatever is sampled, synced names and bytes survive.
#[test]
fn a_power_loss_never_loses_synced_files() {
    for seed in 0..3_000 {
        let mut random = Random::new(seed, 3);
        let entries = if random.per_mille(500) {
            EntryDurability::Strict
        } else {
            EntryDurability::Ordered
        };
        let mut tree = Tree::new(entries);
        let mut synced = std::collections::BTreeMap::new();
        for step in 0..random.below(30) {
            let file_name = format!("file-{}", random.below(5));
            let found = tree.lookup(ROOT, name(&file_name));
            let inode = match found {
                Ok(inode) => inode,
                Err(_) => tree.create(ROOT, name(&file_name), false).unwrap(),
            };
            // Files only grow, so the synced bytes are a prefix of the file.
            let content = tree.content_mut(inode).unwrap();
            content.write(content.len(), &[step as u8 + 1; 300]);
            if random.per_mille(400) {
                tree.sync_file(inode).unwrap();
                tree.sync_directory(ROOT).unwrap();
                synced.insert(file_name, tree.content(inode).unwrap().len());
            }
        }
        let before = tree.clone();
        let mode = survival::sample_mode(&mut random);
        tree.lose_power(mode, None, &mut random);
        for (file_name, len) in synced {
            let inode = tree.lookup(ROOT, name(&file_name)).unwrap();
            let inode_before = before.lookup(ROOT, name(&file_name)).unwrap();
            let len = usize::try_from(len).unwrap();
            assert_eq!(
                tree.content(inode).unwrap().read(0, len),
                before.content(inode_before).unwrap().read(0, len),
                "seed {seed}, {mode:?}: {file_name}"
            );
        }
    }
}
