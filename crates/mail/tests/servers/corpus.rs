//! Every input that fuzzing has found, and every known attack, once more through the same entry points.

use std::{fs, path::Path, sync::mpsc, thread, time::Duration};

use mail::fuzzing;

use crate::support::program::is_alone;

/// An input takes milliseconds; only a loop reaches this.
const DEADLINE: Duration = Duration::from_secs(20);

/// A loop would never give a test back, so each input has a thread of its own.
fn replay(name: &str, input: Vec<u8>, entry: fn(&[u8])) {
    let (sender, ended) = mpsc::channel();
    let runner = thread::spawn(move || {
        entry(&input);
        // Nobody waits any more if it came too late.
        _ = sender.send(());
    });
    match ended.recv_timeout(DEADLINE) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name} has no end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => assert!(runner.join().is_ok(), "{name} breaks a promise"),
    }
}

fn replay_all(kind: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut n = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        replay(&format!("{kind}/{}", path.file_name().unwrap().display()), fs::read(&path).unwrap(), entry);
        n += 1;
    }
    assert!(n > 10, "{} holds {n} inputs", folder.display());
}

#[test]
fn imap_sessions_keep_every_promise() {
    replay_all("imap", fuzzing::imap);
}

#[test]
fn pop3_sessions_keep_every_promise() {
    replay_all("pop3", fuzzing::pop3);
}

#[test]
fn messages_keep_every_promise() {
    replay_all("message", fuzzing::message);
}

/// People's server ended, and ended again after every restart, because of one message. A full stack cannot be caught.
#[test]
fn messages_within_messages_do_not_end_the_program() {
    if is_alone("corpus::messages_within_messages_do_not_end_the_program") {
        for unit in
            ["Content-Type: message/rfc822\r\n\r\n", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n"]
        {
            replay("nested messages", unit.repeat(50_000).into_bytes(), fuzzing::message);
        }
    }
}

/// Too large for files.
#[test]
fn depth_and_length_are_no_danger() {
    let session = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/imap/parentheses")).unwrap();
    let session = String::from_utf8(session).unwrap().replace(&"(".repeat(2000), &"(".repeat(200_000));
    replay("200,000 parentheses", session.into_bytes(), fuzzing::imap);
    replay("an endless line", format!("* OK {}", "x".repeat(2 << 20)).into_bytes(), fuzzing::imap);
    replay("an endless line", format!("+OK {}", "x".repeat(2 << 20)).into_bytes(), fuzzing::pop3);
    for (name, unit) in [
        ("elements", "<div>"),
        ("elements that no end tag closes", "<div></x>"),
        ("comments", "<!--"),
        ("tables", "<table><tr><td>"),
        ("ampersands", "&"),
    ] {
        let message = format!("Subject: x\r\nContent-Type: text/html\r\n\r\n{}", unit.repeat(100_000));
        replay(name, message.into_bytes(), fuzzing::message);
    }
    let part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    replay("nested parts", part.repeat(50_000).into_bytes(), fuzzing::message);
}
