//! The master key is changed while instances serve, one of which is killed, as is the command that changes it.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::Arc,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{AccountDraft, Address, Destination, Route, Security},
    audit::{AuditAction, AuditQuery},
    credential::CredentialDraft,
    ids::CredentialId,
    notices::Webhook,
    oauth::{Grant, OAuthDraft, Provider},
    time::Timestamp,
};
use serde_json::{Value, json};
use service::{
    ports::{Consent, KeptTokens, SealedAt, SealedPlace, SealedSecret, Store},
    secret::Secret,
    vault::{KeyId, Vault, sealed_by},
};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;
use store_tests::{postgres::Database, samples};
use tokio::runtime::Handle;

/// Enough for the command to be killed in the middle.
const N: i64 = 600;
/// Every third credential is one of OAuth 2.0, with tokens and a consent under way.
const N_SECRETS: i64 = N + 2 * (N / 3);
/// Of the accounts, in their order. The second is sealed as the first release did it.
const USED: [i64; 4] = [1, 5, N / 2 + 1, N - 1];
const NEVER: Timestamp = Timestamp(i64::MAX);

/// Where the test's files and database are.
struct Place<'a> {
    folder: &'a Path,
    url: &'a str,
    store: Arc<dyn Store>,
}

impl Place<'_> {
    /// A posthorn whose current key is the first of these files, and that holds the others too; without any it makes one.
    fn posthorn(&self, keys: &[&str]) -> Command {
        let files: Vec<_> = keys.iter().map(|it| self.folder.join(it).display().to_string()).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_posthorn"));
        command
            .env("POSTHORN_DATA", self.folder)
            .env("POSTHORN_DATABASE_URL", self.url)
            .env("POSTHORN_EGRESS_ALLOW", "127.0.0.0/8")
            .current_dir(self.folder);
        if let Some((current, others)) = files.split_first() {
            command.env("POSTHORN_MASTER_KEY_FILE", current);
            command.env("POSTHORN_MASTER_KEY_PREVIOUS_FILES", others.join(","));
        }
        command
    }

    fn run(&self, keys: &[&str], arguments: &[&str], input: &str) -> Output {
        let mut command = self.posthorn(keys);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // What does not read its input may have ended before it is written.
        _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    #[track_caller]
    fn said(&self, keys: &[&str], arguments: &[&str], input: &str) -> String {
        let output = self.run(keys, arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[track_caller]
    fn refused(&self, keys: &[&str], arguments: &[&str], because: &str) {
        let output = self.run(keys, arguments, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(because), "{keys:?} {arguments:?}: {said}");
    }

    #[track_caller]
    fn does_not_start(&self, keys: &[&str]) {
        self.refused(keys, &["serve", "--listen", "127.0.0.1:0"], "POSTHORN_MASTER_KEY_PREVIOUS_FILES");
    }

    fn make_keys(&self, names: &[&str]) {
        for name in names {
            self.said(&[], &["key", "make", self.folder.join(name).to_str().unwrap()], "");
        }
    }

    fn token(&self, keys: &[&str]) -> String {
        self.said(keys, &["user", "add", "--name", "ana", "--role", "administrator"], "a long password\n");
        self.said(keys, &["token", "create", "--user", "ana"], "")
    }

    fn serve(&self, keys: &[&str]) -> Instance {
        let mut command = self.posthorn(keys);
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find(|it| it.as_ref().unwrap().starts_with("listening on")).unwrap().unwrap();
        thread::spawn(move || lines.for_each(drop));
        Instance { child, address: line.trim_start_matches("listening on http://").to_owned() }
    }

    /// The command, and what it says.
    fn rotating(&self, keys: &[&str]) -> (Child, BufReader<ChildStdout>) {
        let mut command = self.posthorn(keys);
        let mut child = command.args(["key", "rotate"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        (child, lines)
    }

    fn n_to_do(&self, keys: &[&str]) -> i64 {
        number_before(&self.said(keys, &["key", "rotate", "--dry-run"], ""), "would be sealed anew")
    }

    fn key(&self, name: &str) -> [u8; 32] {
        let text = fs::read(self.folder.join(name)).unwrap();
        STANDARD.decode(text).unwrap().try_into().unwrap()
    }

    /// Everything is sealed by this key and holds what it held, but for these passwords.
    async fn assert_sealed_by(&self, name: &str, changed: &BTreeMap<i64, String>) {
        let key = self.key(name);
        let vault = Vault::new(&key);
        let mut n = 0;
        for place in SealedPlace::ALL {
            for row in self.store.sealed_rows(place, 0, u32::MAX).await.unwrap() {
                assert_eq!(sealed_by(&row.sealed.0), Some(KeyId::of(&key)), "{}", row.at);
                let change = changed.get(&row.at.id).filter(|_| place == SealedPlace::Credential);
                let expected = change.cloned().unwrap_or_else(|| row.at.to_string());
                assert_eq!(vault.open(row.at, &row.sealed).unwrap().expose(), expected, "{}", row.at);
                n += 1;
            }
        }
        assert!(n > 0);
    }

    async fn n_audited(&self, action: AuditAction) -> u64 {
        let query = AuditQuery { action: Some(action), ..AuditQuery::default() };
        self.store.list_audit(&query).await.unwrap().total
    }

    /// Secrets by the key of this file, before anybody uses the database; each secret says where it is.
    async fn fill(&self, key: &str, n: i64, port: u16) {
        let vault = Vault::new(&self.key(key));
        let seal = |at: SealedAt| vault.seal(vault.key_id(), at, &Secret::new(at.to_string())).unwrap();
        for nth in 1..=n {
            let id = self.store.next_credential_id().await.unwrap();
            let oauth = (nth % 3 == 0).then(oauth);
            let is_oauth = oauth.is_some();
            let draft =
                CredentialDraft { name: format!("c{nth}"), username: "ana".to_owned(), oauth, secret_ends_on: None };
            let mut secret = seal(SealedPlace::Credential.of(id.0));
            if nth % 5 == 0 {
                secret = SealedSecret([&[1], &secret.0[9..]].concat());
            }
            self.store.add_credential(id, &draft, &secret, &[]).await.unwrap();
            if is_oauth {
                self.fill_oauth(id, seal).await;
            }
        }
        for id in USED.into_iter().filter(|it| *it <= n) {
            let destination = Destination {
                address: Address::from_stored("127.0.0.1".to_owned()),
                port,
                security: Security::Plain,
                route: Route::Direct,
            };
            let draft = samples::draft(&format!("a{id}"), CredentialId(id));
            let draft = AccountDraft { automatic_check: false, destination, ..draft };
            self.store.add_account(&draft, None, &[]).await.unwrap();
        }
    }

    async fn fill_oauth(&self, id: CredentialId, seal: impl Fn(SealedAt) -> SealedSecret) {
        let fence = self.store.take_renewal(id, Timestamp(0), NEVER, false).await.unwrap().unwrap();
        let sealed = seal(SealedPlace::OauthTokens.of(id.0));
        let kept =
            KeptTokens { sealed, obtained_at: Timestamp(0), expires_at: NEVER, renew_at: NEVER, consent_ends_at: None };
        self.store.keep_tokens(id, fence, &kept, &[]).await.unwrap();
        let sealed = seal(SealedPlace::OauthConsent.of(id.0));
        let consent = Consent { hash: id.0.to_be_bytes().to_vec(), sealed, until: NEVER };
        self.store.start_consent(id, &consent).await.unwrap();
    }
}

fn oauth() -> OAuthDraft {
    OAuthDraft {
        provider: Provider::Other,
        grant: Grant::AuthorizationCode,
        tenant: String::new(),
        client_id: "posthorn".to_owned(),
        scopes: "mail".to_owned(),
        authorize_url: Some(Webhook::parse("https://id.example.org/authorize").unwrap()),
        device_url: None,
        token_url: Webhook::parse("https://id.example.org/token").unwrap(),
    }
}

struct Instance {
    child: Child,
    address: String,
}

impl Instance {
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

    /// Says good-bye to the others.
    fn end(mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// A check of these accounts gets as far as the connection, for which the secret had to be opened.
    #[track_caller]
    fn assert_opens(&self, token: &str, accounts: std::ops::RangeInclusive<usize>) {
        for account in accounts {
            let run = self.call(token, "POST", &format!("/accounts/{account}/check"), &Value::Null);
            assert_eq!(run["error"]["kind"], "refused", "{run}");
        }
    }

    fn change_password(&self, token: &str, id: i64) -> String {
        let secret = format!("changed {id}");
        let body = json!({"version": 1, "name": format!("c{id}"), "username": "ana", "secret": secret});
        self.call(token, "PUT", &format!("/credentials/{id}"), &body);
        secret
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn number_before(text: &str, words: &str) -> i64 {
    let line = text.lines().find(|it| it.contains(words)).unwrap_or_else(|| panic!("nothing {words}: {text}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_changes_while_instances_serve_and_commands_are_killed() {
    let database = Database::create().await;
    let folder = tempfile::TempDir::new().unwrap();
    let store = Arc::new(PostgresStore::connect(&database.url).await.unwrap());
    let (path, url, opened) = (folder.path().to_owned(), database.url.clone(), Arc::clone(&store));
    let change = move || change_the_key(&Place { folder: &path, url: &url, store: opened });
    tokio::task::spawn_blocking(change).await.unwrap();
    store.close().await;
    database.remove().await;
}

fn change_the_key(place: &Place<'_>) {
    let (old, both, new) = (&["old"][..], &["new", "old"][..], &["new"][..]);
    place.make_keys(&["old", "new", "stranger"]);
    let again = place.folder.join("old");
    place.refused(&[], &["key", "make", again.to_str().unwrap()], "exists");
    Handle::current().block_on(place.fill("old", N, closed_port()));
    let token = place.token(old);
    // Nobody starts without the key that seals.
    place.does_not_start(&["stranger"]);

    let (one, other) = (place.serve(both), place.serve(both));
    one.assert_opens(&token, 1..=4);
    nothing_is_changed_too_early(place, &token);
    assert_eq!(place.n_to_do(both), N_SECRETS);

    // The command is killed in the middle, and so is an instance; and another command that does the same.
    let ((mut rotation, mut lines), (mut same, _unread)) = (place.rotating(both), place.rotating(both));
    let mut line = String::new();
    while !line.contains("secrets are sealed anew") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it was killed");
    }
    for it in [&mut rotation, &mut same] {
        it.kill().unwrap();
        it.wait().unwrap();
    }
    drop(other);
    let n_left = place.n_to_do(both);
    assert!(n_left > 0 && n_left < N_SECRETS, "{n_left}");
    one.assert_opens(&token, 1..=4);
    // Whoever has only one of the two keys does not start now.
    place.does_not_start(old);
    place.does_not_start(new);

    // Two go on at once, while passwords are changed.
    let rotations = [place.rotating(both), place.rotating(both)];
    let changed = thread::scope(|scope| {
        let ends: Vec<_> = rotations.into_iter().map(|it| scope.spawn(move || finished(it))).collect();
        let mut changed = BTreeMap::new();
        for id in (1..=N).rev().filter(|it| it % 3 != 0) {
            changed.insert(id, one.change_password(&token, id));
            if ends.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        let n_done: i64 = ends.into_iter().map(|it| it.join().unwrap()).sum();
        assert!(n_done > 0 && n_done <= n_left, "{n_done} of {n_left}");
        changed
    });
    assert_eq!(place.n_to_do(both), 0);
    let told = place.said(both, &["key", "rotate"], "");
    assert!(told.contains("seals already") && told.contains("0 secrets were sealed anew"), "{told}");
    Handle::current().block_on(async {
        place.assert_sealed_by("new", &changed).await;
        assert_eq!(place.n_audited(AuditAction::MasterKeyChanged).await, 1);
        assert!(place.n_audited(AuditAction::SecretsResealed).await >= 5);
    });

    // The old key is needed no more, and does not do.
    place.does_not_start(old);
    fs::remove_file(place.folder.join("old")).unwrap();
    let fresh = place.serve(new);
    fresh.assert_opens(&token, 1..=4);
    one.assert_opens(&token, 1..=4);
}

/// Answers with how many the command has sealed anew.
fn finished((mut rotation, lines): (Child, BufReader<ChildStdout>)) -> i64 {
    let told = lines.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert!(rotation.wait().unwrap().success(), "{told}");
    assert!(told.contains(&format!("all {N_SECRETS} are under")), "{told}");
    number_before(&told, "secrets were sealed anew")
}

/// Before every instance holds the new key, or with a file that is none.
fn nothing_is_changed_too_early(place: &Place<'_>, token: &str) {
    let both = &["new", "old"][..];
    let ignorant = place.serve(&["old"]);
    place.refused(both, &["key", "rotate"], "do not hold the master key");
    let told = place.said(both, &["key", "rotate", "--dry-run"], "");
    assert!(told.contains("does not hold it"), "{told}");
    ignorant.assert_opens(token, 1..=1);
    ignorant.end();
    let file = |name| place.folder.join(name).display().to_string();
    place.refused(both, &["key", "rotate", "--new-key-file", &file("stranger")], "do not hold the master key");
    fs::write(file("short"), "c2hvcnQ=").unwrap();
    for (name, because) in [("short", "must hold 32 bytes"), ("none", "No such file"), (".", "is a folder")] {
        place.refused(both, &["key", "rotate", "--new-key-file", &file(name)], because);
    }
    // The key that seals is no new one: there is nothing to do.
    let told = place.said(both, &["key", "rotate", "--dry-run", "--new-key-file", &file("old")], "");
    assert!(told.contains("seals already"), "{told}");
    assert_eq!(Handle::current().block_on(place.n_audited(AuditAction::MasterKeyChanged)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_was_made_by_itself_is_changed_on_sqlite() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let url = format!("sqlite://{}/posthorn.db", path.display());
    let store = Arc::new(SqliteStore::open(&url).await.unwrap());
    let opened = Arc::clone(&store);
    let change = move || change_the_made_key(&Place { folder: &path, url: &url, store: opened });
    tokio::task::spawn_blocking(change).await.unwrap();
    store.close().await;
}

fn change_the_made_key(place: &Place<'_>) {
    let (both, new) = (&["new", "master.key"][..], &["new"][..]);
    place.make_keys(&["new", "master.key"]);
    Handle::current().block_on(async {
        place.fill("master.key", 30, closed_port()).await;
        // Somebody put the secret of another row into this one.
        let secret = place.store.sealed_credential(CredentialId(1)).await.unwrap().unwrap().secret;
        let id = place.store.next_credential_id().await.unwrap();
        let draft =
            CredentialDraft { name: "c31".to_owned(), username: "ana".to_owned(), oauth: None, secret_ends_on: None };
        place.store.add_credential(id, &draft, &secret, &[]).await.unwrap();
    });
    let token = place.token(&[]);
    let old = place.serve(&[]);
    place.refused(both, &["key", "rotate"], "do not hold the master key");
    old.end();
    let serving = place.serve(both);
    let mut changed = BTreeMap::from([(1, serving.change_password(&token, 1))]);
    // What cannot be opened holds up nothing else, and is named until it is entered anew.
    place.refused(both, &["key", "rotate"], "enter them anew, or delete what they belong to: credentials 31");
    place.does_not_start(new);
    assert_eq!(place.n_to_do(both), 1);
    changed.insert(31, serving.change_password(&token, 31));
    let told = place.said(both, &["key", "rotate"], "");
    assert!(told.contains("0 secrets were sealed anew; all 51 are under"), "{told}");
    serving.assert_opens(&token, 1..=2);
    changed.insert(2, serving.change_password(&token, 2));
    Handle::current().block_on(place.assert_sealed_by("new", &changed));
    serving.end();
    place.does_not_start(&[]);
    place.serve(new).assert_opens(&token, 1..=2);
}
