//! Tests the reading of all types of files, and the messages about errors in YAML.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use config_file::{ReadError, read, read_text, yaml_problem};
use serde::Deserialize;

/// A directory. When this value is dropped, the directory is removed.
struct Directory(PathBuf);

// === impl Directory ===

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("config-file-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_regular_file_is_read_up_to_its_limit() {
    let directory = Directory::new("regular");
    let path = directory.write("a", b"\xef\xbb\xbfabc");
    assert_eq!(read(&path, 6).unwrap().len(), 6);
    assert_eq!(read_text(&path, 6).unwrap(), "abc");
    assert_eq!(read_text(&directory.write("empty", b""), 0).unwrap(), "");
    let error = read(&path, 5).unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { limit: 5 }), "{error}");
    assert!(
        read(Path::new("/no/such/file"), 5)
            .unwrap_err()
            .is_not_found()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_without_a_length_is_bounded_as_well() {
    let error = read(Path::new("/proc/self/mountinfo"), 3).unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { limit: 3 }), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_an_error_at_once() {
    let directory = Directory::new("special");
    let pipe = directory.0.join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let link = directory.0.join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let socket = directory.0.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, message) in [
        (pipe.as_path(), "it is a named pipe; give a regular file"),
        (link.as_path(), "it is a named pipe; give a regular file"),
        (socket.as_path(), "it is a socket; give a regular file"),
        (
            Path::new("/dev/zero"),
            "it is a device; give a regular file",
        ),
        (
            directory.0.as_path(),
            "it is a directory; give a regular file",
        ),
    ] {
        assert_eq!(read(path, 1024).unwrap_err().to_string(), message);
    }
}

#[test]
fn another_encoding_is_named() {
    let directory = Directory::new("encoding");
    for (content, message) in [
        (&b"\xff\xfea\0b"[..], "it is UTF-16; save it as UTF-8"),
        (b"\xfe\xff\0a", "it is UTF-16; save it as UTF-8"),
        (
            b"ab\xe9",
            "it is not UTF-8 from byte 3 on; save it as UTF-8",
        ),
    ] {
        let path = directory.write("text", content);
        assert_eq!(read_text(&path, 1024).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_limit_is_written_in_the_largest_unit_that_divides_it() {
    let large = |limit| ReadError::TooLarge { limit }.to_string();
    for (limit, text) in [
        (1 << 30, "1 GiB,"),
        (16 << 20, "16 MiB,"),
        (1 << 16, "64 KiB,"),
        (5, "5 bytes,"),
    ] {
        assert!(large(limit).contains(text), "{}", large(limit));
    }
}

/// A document with every kind of value.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    #[allow(dead_code)]
    key_file: String,
    #[allow(dead_code)]
    users: BTreeMap<String, String>,
    #[allow(dead_code)]
    burst: u32,
}

#[test]
fn a_problem_has_the_place_and_the_key_and_nothing_of_the_content() {
    for (text, line, expected) in [
        ("key_file: [SECRET]", 1, "`key_file`: expected "),
        ("\nburst: SECRET", 2, "`burst`: expected "),
        ("users: {ann: [SECRET]}", 1, "`users`: expected "),
        ("users: SECRET", 1, "`users`: expected "),
        (
            "key_file: 'SECRET",
            1,
            "`key_file`: a quotation mark is not closed",
        ),
        ("users: {SECRET: x", 1, "a bracket or a brace is not closed"),
        (
            "key_file: a\nkey_file: SECRET",
            2,
            "the key `key_file` is given twice",
        ),
        (
            "users:\n  SECRET: a\n  SECRET: b",
            3,
            "a key is given twice",
        ),
        (
            "SECRET: x",
            1,
            "a key does not exist; the keys here are key_file, users, burst",
        ),
        (
            "keyfile: SECRET",
            1,
            "the key `keyfile` does not exist; the keys here are ",
        ),
        ("users:\n\tann: SECRET", 2, "a tab is not allowed here"),
        ("users: *SECRET", 1, "an alias has no anchor"),
        ("SECRET", 1, "expected "),
        (
            "key_file: a\n---\nSECRET: 1",
            3,
            "there is more than one document",
        ),
        ("- SECRET", 1, "expected "),
    ] {
        let error = serde_saphyr::from_str::<Document>(text).unwrap_err();
        let problem = yaml_problem(&error, text, &["key_file", "users", "burst"]).to_string();
        let place = format!("line {line}, column ");
        assert!(problem.starts_with(&place), "{text}: {problem}");
        assert!(problem.contains(expected), "{text}: {problem}");
        assert!(!problem.contains("SECRET"), "{text}: {problem}");
    }
}

#[test]
fn the_limit_that_a_text_exceeds_is_named() {
    let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    let wide = format!("[{}]", "a, ".repeat(2_000_000));
    let aliases = format!("[&a b, {}]", "*a, ".repeat(200_000));
    for (text, expected) in [
        (deep, "nested too deeply"),
        (wide, "too many keys and values"),
        (aliases, "the aliases expand to too much data"),
    ] {
        let error = serde_saphyr::from_str::<serde::de::IgnoredAny>(&text).unwrap_err();
        let problem = yaml_problem(&error, &text, &[]).to_string();
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
}
