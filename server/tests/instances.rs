//! Two instances on one PostgreSQL: what one was sending when it was killed is uncertain to the other, and goes again only by hand.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use store_tests::postgres::Database;

/// Longer than a lease.
const PATIENCE: Duration = Duration::from_mins(1);

/// A posthorn of this build on the test's database.
struct Instance {
    child: Child,
    address: String,
}

impl Instance {
    fn start(folder: &Path, url: &str) -> Self {
        let mut child =
            posthorn(folder, url).args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find(|it| it.as_ref().unwrap().starts_with("listening on")).unwrap().unwrap();
        // Whatever it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address: line.trim_start_matches("listening on http://").to_owned() }
    }

    fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or_default()
    }

    /// The only delivery of the only run.
    fn delivery(&self, token: &str) -> Value {
        self.run(token)["deliveries"][0].clone()
    }

    fn wait_for(&self, token: &str, state: &str) -> Value {
        until("state", state, || self.delivery(token))
    }

    fn run(&self, token: &str) -> Value {
        self.call(token, "GET", "/schedules/1/runs", &Value::Null)["items"][0].clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Looks again and again, until the field has that value.
fn until(field: &str, value: &str, look: impl Fn() -> Value) -> Value {
    let began = Instant::now();
    loop {
        let seen = look();
        if seen[field] == value {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{field} is not {value}: {seen}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn posthorn(folder: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthorn"));
    command
        .env("POSTHORN_DATA", folder)
        .env("POSTHORN_DATABASE_URL", url)
        .env("POSTHORN_MASTER_KEY_FILE", folder.join("key"))
        .env("POSTHORN_EGRESS_ALLOW", "127.0.0.0/8")
        .current_dir(folder);
    command
}

fn said(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server that takes mail, tells of each message, and answers to it only after it was told to.
fn smtp() -> (u16, Receiver<String>, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ((tell, messages), (go, gone)) = (channel::<String>(), channel::<()>());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut out = stream.try_clone().unwrap();
            _ = out.write_all(b"220 test\r\n");
            let mut message = None;
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let answer: &[u8] = match &mut message {
                    Some(text) if line == "." => {
                        tell.send(std::mem::take(text)).unwrap();
                        message = None;
                        gone.recv().unwrap();
                        b"250 taken\r\n"
                    }
                    Some(text) => {
                        *text += &line;
                        text.push('\n');
                        continue;
                    }
                    None if line == "DATA" => {
                        message = Some(String::new());
                        b"354 go on\r\n"
                    }
                    None => b"250 ok\r\n",
                };
                if out.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    (port, messages, go)
}

fn message_id(message: &str) -> String {
    message.lines().find(|it| it.starts_with("Message-ID:")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_instance_was_sending_goes_again_only_by_hand() {
    let database = Database::create().await;
    let url = database.url.clone();
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        let (port, messages, answer) = smtp();
        let first = Instance::start(folder.path(), &url);
        let add = ["user", "add", "--name", "ana", "--role", "administrator"];
        said(posthorn(folder.path(), &url).args(add), "correct horse battery");
        let token = said(posthorn(folder.path(), &url).args(["token", "create", "--user", "ana"]), "");
        let smtp = json!({
            "name": "Relay", "default": true, "sender": "posthorn@example.org", "address": "127.0.0.1", "port": port,
            "secure_connection": false,
        });
        first.call(&token, "POST", "/smtp", &smtp);
        let schedule = json!({
            "name": "Morning", "recurrence": {"kind": "daily"}, "time": "08:00", "zone": "UTC", "formats": ["csv"],
            "recipients": ["ana@example.org"], "language": "en",
        });
        first.call(&token, "POST", "/schedules", &schedule);
        first.call(&token, "POST", "/schedules/1/run", &Value::Null);
        // The server has the message; the sender does not know it yet, and never will.
        let sent = messages.recv_timeout(PATIENCE).unwrap();
        let second = Instance::start(folder.path(), &url);
        assert_eq!(second.delivery(&token)["state"], "sending");
        drop(first);
        answer.send(()).unwrap();
        let uncertain = second.wait_for(&token, "uncertain");
        let run = until("outcome", "partial", || second.run(&token));
        assert!(messages.recv_timeout(Duration::from_secs(3)).is_err(), "it was sent again by itself");
        let path = format!("/schedules/1/runs/{}/deliveries/{}/repeat", run["id"], uncertain["id"]);
        answer.send(()).unwrap();
        second.call(&token, "POST", &path, &Value::Null);
        second.wait_for(&token, "sent");
        let again = messages.recv_timeout(PATIENCE).unwrap();
        assert_eq!(message_id(&again), message_id(&sent));
    })
    .await
    .unwrap();
    database.remove().await;
}
