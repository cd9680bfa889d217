//! The commands as an operator meets them: an error is one line on standard error that names what it is about.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs a command on the data under this folder, and in it.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthorn"));
    command.args(arguments).current_dir(folder).env("POSTHORN_DATA", folder.join("data")).env_remove("RUST_LOG");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails first does not read it.
    _ = child.stdin.take().unwrap().write_all(b"correct horse battery");
    child.wait_with_output().unwrap()
}

fn fails(folder: &Path, arguments: &[&str], expected: &str) {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
}

#[test]
fn an_error_is_one_line_that_names_record_and_rule() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path();
    let add = ["user", "add", "--name", "ana", "--role", "viewer"];
    assert!(run(folder, &add).status.success());
    fails(folder, &add, "posthorn: user \"ana\": Another record has this name");
    fails(folder, &["check", "99"], "posthorn: account 99: there is no such record");
    fails(folder, &["token", "create", "--user", "bob"], "posthorn: user \"bob\": there is no such record");
    fails(folder, &["user", "add", "--name", "\u{200b}", "--role", "viewer"], "Enter or choose: name");
    fs::write(folder.join("posthorn.toml"), "runs_days = 1\nlisten_to = 3000\n").unwrap();
    fails(folder, &["export"], "posthorn.toml: line 2: unknown field `listen_to`");
}

#[test]
fn a_failed_check_is_told_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let folder = folder.path();
    let document = r#"{"posthorn": 1,
        "credentials": [{"name": "Mailbox", "username": "ana", "secret": "secret"}],
        "accounts": [{"name": "Invoices", "address": "127.0.0.1", "protocol": "imap", "credential": "Mailbox"}]}"#;
    fs::write(folder.join("accounts.json"), document).unwrap();
    assert!(run(folder, &["import", "accounts.json"]).status.success());
    fails(folder, &["check", "1"], "posthorn: account 1: the check failed: ");
}

#[test]
fn the_data_is_for_its_owner_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(run(folder.path(), &["export"]).status.success());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
