//! A million accounts as CSV, over HTTP, beside `sqlite3 -csv` on the same file.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{Run as _, announce, command},
    rig::usage,
};

const PASSWORD: &str = "correct horse battery";
/// Names in another order than the ids, as in life: every row is looked up.
const FILL: &str = "
    INSERT INTO credentials (id, version, name, name_folded, search_folded, username, sealed, secret_set_at, secret_set_by)
    VALUES (1, 1, 'c', 'c', 'c', 'c', x'00', 0, '');
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)
    INSERT INTO accounts (version, name, name_folded, keep_copy, automatic_check, interval_s, enabled, protocol, address, port,
        secure_connection, connection_type, skip_certificate, credential_id, health_rank, last_success_at)
    SELECT 1, 'Mailbox of team ' || (n * 7919 % 1000003), 'mailbox of team ' || (n * 7919 % 1000003), n % 2 = 0, n % 3 = 0, 300,
        n % 5 > 0, CASE WHEN n % 2 = 0 THEN 'imap' ELSE 'pop3' END, 'mail' || n % 400 || '.example.org', 100 + n % 900, n % 3 > 0,
        CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'ssl' ELSE 'tls' END, n % 50 = 0, 1, 0, 1790000000000000 + n * 1000000
    FROM numbers;";
/// The same columns and words in the same order.
const SELECT: &str =
    "SELECT id, name, iif(secure_connection, 'Yes', 'No'), upper(connection_type), upper(protocol), port,
        iif(automatic_check, 'Yes', 'No'), iif(keep_copy, 'Yes', 'No'), iif(enabled, 'Enabled', 'Disabled'),
        'Checked ' || strftime('%Y-%m-%d %H:%M', last_success_at / 1000000, 'unixepoch')
    FROM accounts WHERE deleted_at IS NULL ORDER BY name_folded, id";

/// Ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[expect(clippy::print_stdout, reason = "figures are what this is for")]
pub(crate) fn run() -> Result<()> {
    announce("a million accounts as CSV");
    command("cargo").args(["build", "--quiet", "--release", "--locked", "--package", "server"]).run()?;
    let folder = env::temp_dir().join(format!("posthorn-export-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    fs::remove_dir_all(&folder)?;
    let (peer, ours, growth) = measured?;
    println!(
        "sqlite3 -csv: {peer:.2} s; posthorn: {ours:.2} s, {:.2} times its rate; grew by {growth} MiB",
        peer / ours
    );
    Ok(())
}

fn posthorn(folder: &Path) -> Command {
    let mut posthorn = command("target/release/posthorn");
    posthorn.env("POSTHORN_DATA", folder);
    posthorn
}

/// Seconds of the peer, seconds of ours, and by how many MiB the peak resident size grew.
fn measure(folder: &Path) -> Result<(f64, f64, u64)> {
    let mut add =
        posthorn(folder).args(["user", "add", "--name", "ana", "--role", "viewer"]).stdin(Stdio::piped()).spawn()?;
    add.stdin.take().context("standard input")?.write_all(PASSWORD.as_bytes())?;
    ensure!(add.wait()?.success(), "no user was added");
    let database = folder.join("posthorn.db");
    command("sqlite3").arg(&database).arg(FILL).run()?;

    let began = Instant::now();
    let peer = folder.join("peer.csv");
    command("sqlite3").arg("-csv").arg(&database).arg(SELECT).stdout(fs::File::create(&peer)?).run()?;
    let peer_seconds = began.elapsed().as_secs_f64();

    let mut server =
        Server(posthorn(folder).args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(server.0.stdout.take().context("standard output")?).lines();
    let line =
        lines.find_map(|it| it.ok().filter(|it| it.starts_with("listening on"))).context("it does not listen")?;
    let url = line.trim_start_matches("listening on ").to_owned();
    let (jar, ours) = (folder.join("jar"), folder.join("ours.csv"));
    let form = format!("name=ana&password={}", PASSWORD.replace(' ', "+"));
    let mut sign_in = command("curl");
    sign_in.args(["--silent", "--fail", "--output", "/dev/null", "--data", &form, "--cookie-jar"]).arg(&jar);
    sign_in.arg(format!("{url}/sign-in")).run()?;
    let before = usage::peak(server.0.id())?;
    let began = Instant::now();
    let mut export = command("curl");
    export.args(["--silent", "--fail", "--cookie"]).arg(&jar).arg("--output").arg(&ours);
    export.arg(format!("{url}/settings/email/imap-pop3/export.csv?sort=name")).run()?;
    let seconds = began.elapsed().as_secs_f64();
    let growth = (usage::peak(server.0.id())? - before) / 1024;
    let lines = |path: &Path| Ok::<_, anyhow::Error>(BufReader::new(fs::File::open(path)?).lines().count());
    ensure!(lines(&ours)? == lines(&peer)? + 1, "the files differ in length");
    Ok((peer_seconds, seconds, growth))
}
