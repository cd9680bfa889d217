//! The command line.

use std::{io::Read as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, error::ErrorKind};
use domain::{
    actor::{Actor, Role as ActorRole},
    check::Outcome,
    ids::AccountId,
    incident::Role,
};
use service::secret::Secret;
use tokio::{net::TcpListener, signal, sync::watch};

use crate::{
    agent::{self, ConnectorOptions},
    config::{Config, Options},
    demo, descriptors, exchange, housekeeping, http,
    keys::{self, KeyCommand},
    parts::System,
};

/// How long open connections may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Administers the IMAP and POP3 accounts that an organisation reads by machine.
#[derive(Parser)]
#[command(name = "posthorn", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the console and the REST interface, and check accounts.
    Serve {
        /// Fill an empty database with a dozen accounts whose mail servers are played in this process.
        #[arg(long)]
        demo: bool,
        /// `web`: screens and interface only; `worker`: checks and reports, and of HTTP health, metrics and agents only; `all`: both.
        #[arg(long, env = "POSTHORN_ROLE", default_value = "all", value_parser = role)]
        role: Role,
    },
    /// Be the agent of a network connector: carry connections from Posthorn into this network.
    Connector(ConnectorOptions),
    /// Users.
    #[command(subcommand)]
    User(UserCommand),
    /// Tokens of the REST interface.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check one account now.
    Check {
        id: i64,
        /// Take the dialogue with the server down, without secrets and bodies.
        #[arg(long)]
        transcript: bool,
    },
    /// Master keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print connectors, credentials (without secrets) and accounts as JSON.
    Export,
    /// Add and change what a document of `export` names; nothing is deleted.
    Import {
        /// A file, or `-` for standard input.
        file: PathBuf,
        /// Send credentials to the changed destinations of the document, as `"grant_credential": true` does for one record.
        #[arg(long)]
        grant_credentials: bool,
    },
}

impl Command {
    /// What is logged unless `RUST_LOG` says otherwise. A command that ends tells by itself what became of it: of the log only what
    /// the operator has to act upon stands beside that.
    fn log(&self) -> &'static str {
        match self {
            Self::Serve { .. } | Self::Connector(_) => "info",
            _ => "error,posthorn=warn",
        }
    }
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a user; the password comes on standard input.
    Add {
        #[arg(long)]
        name: String,
        /// `administrator` or `viewer`
        #[arg(long)]
        role: String,
    },
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token for a user and print it, once.
    Create {
        #[arg(long)]
        user: String,
    },
}

pub(crate) async fn run() -> Result<()> {
    let cli = Cli::try_parse().or_else(|it| refuse(&it))?;
    crate::start_log(cli.command.log());
    if let Command::Connector(options) = cli.command {
        return agent::run(options).await;
    }
    if let Command::Key(KeyCommand::Make { file }) = &cli.command {
        return keys::make(file);
    }
    let mut config = Config::settle(cli.options)?;
    if let Command::Serve { role, .. } = cli.command {
        config.collect.role = role;
        descriptors::fit(&mut config.collect);
    }
    if let Command::Key(KeyCommand::Rotate { new_key_file: Some(file), .. }) = &cli.command {
        config.other_key_files.push(file.clone());
    }
    let system = System::open(&config, matches!(cli.command, Command::Serve { demo: true, .. })).await?;
    let actor = Actor {
        user_id: None,
        name: "command line".to_owned(),
        role: ActorRole::Administrator,
        origin: "command line".to_owned(),
    };
    match cli.command {
        // Was run before anything was opened.
        Command::Connector(_) | Command::Key(KeyCommand::Make { .. }) => Ok(()),
        Command::Serve { demo, .. } => {
            if demo {
                demo::fill(&system.service).await.map_err(explain)?;
            }
            serve(config, system).await
        }
        Command::User(UserCommand::Add { name, role }) => {
            let role = ActorRole::parse(&role).context("the role must be administrator or viewer")?;
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password).context("the password on standard input")?;
            let password = Secret::new(password.trim_end_matches(['\r', '\n']).to_owned());
            let added = system.service.sign_in().add_user(&actor, &name, password, role).await;
            added.map_err(|it| about(&format!("user \"{name}\""), it))
        }
        Command::Token(TokenCommand::Create { user }) => {
            let token = system.service.sign_in().add_token(&actor, &user).await;
            let token = token.map_err(|it| about(&format!("user \"{user}\""), it))?;
            say(&token);
            Ok(())
        }
        Command::Key(KeyCommand::Rotate { new_key_file, dry_run }) => {
            keys::rotate(&system, &actor, new_key_file, dry_run).await
        }
        Command::Export => {
            let document = exchange::export(&system.service, &actor).await.map_err(explain)?;
            say(&serde_json::to_string_pretty(&document)?);
            Ok(())
        }
        Command::Import { file, grant_credentials } => {
            let text = if file.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())?
            } else {
                std::fs::read_to_string(&file).with_context(|| file.display().to_string())?
            };
            let document = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            let imported = exchange::import(&system.service, &actor, document, grant_credentials).await?;
            say(&format!("{} added, {} changed", imported.added, imported.changed));
            Ok(())
        }
        Command::Check { id, transcript } => {
            let ticket = system.service.checks().ask(&actor, AccountId(id), transcript).await;
            let run = ticket.map_err(|it| about(&format!("account {id}"), it))?.finished().await;
            say(&serde_json::to_string(&crate::api::dto::Run::from(run.clone()))?);
            if transcript {
                let text = system.service.checks().transcript(&actor, run.account_id, run.id).await.map_err(explain)?;
                say(&text);
            }
            match (run.outcome, run.error) {
                (Outcome::Ok, _) => Ok(()),
                (_, Some(error)) => bail!("account {id}: the check failed: {}", error.message),
                (_, None) => bail!("account {id}: the check failed"),
            }
        }
    }
}

/// One line, like every other error; what was asked for, such as help, is printed as it is.
fn refuse(error: &clap::Error) -> Result<Cli> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    bail!(one_line(&error.to_string()))
}

/// The first paragraph: what follows is usage.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|it| !it.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// One line that names field and rule.
pub(crate) fn explain(error: service::Error) -> anyhow::Error {
    if let service::Error::Invalid(problems) = &error {
        let words = words::Locale::En.words();
        let lines = problems.iter().map(|it| app::error::problem_wording(&it.rule, &it.field, words));
        return anyhow::anyhow!(lines.collect::<Vec<_>>().join("; "));
    }
    error.into()
}

/// The same, with the record that it is about.
pub(crate) fn about(record: &str, error: service::Error) -> anyhow::Error {
    anyhow::anyhow!("{record}: {}", explain(error))
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "one of web, worker, all".to_owned())
}

async fn serve(mut config: Config, system: System) -> Result<()> {
    let System { service, collector, reports, watchman, hub, set_up_code, key_id } = system;
    keys::settle(&config, &service, &collector, key_id).await?;
    let role = config.collect.role;
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let address = listener.local_addr()?;
    config.listen = address;
    if service.sign_in().needs_set_up().await.map_err(explain)? {
        say(&format!("set-up code: {set_up_code}"));
    }
    let (stop, stopped) = watch::channel(false);
    let collecting = tokio::spawn(collector.run(stopped.clone()));
    let reporting = role.checks().then(|| tokio::spawn(reports.run(stopped.clone())));
    // Every instance keeps watch: silence is to be heard of even when no worker is left.
    let watching = tokio::spawn(watchman.run(stopped.clone()));
    let keeping =
        tokio::spawn(housekeeping::keep(service.clone(), config.retention_days, config.runs_days, stopped.clone()));
    let router = http::router(service, config, hub);
    say(&format!("listening on http://{address}"));
    let bounds = http::listen::Bounds::new(descriptors::clients(descriptors::available()));
    let serving = tokio::spawn(http::listen::serve(listener, router, bounds, stopped));
    wait_for_signal().await?;
    tracing::info!("stopping");
    stop.send_replace(true);
    if tokio::time::timeout(DRAIN, serving).await.is_err() {
        tracing::warn!("some connections were still open");
    }
    collecting.await.context("the collector")?;
    if let Some(reporting) = reporting {
        reporting.await.context("the reports")?;
    }
    watching.await.context("the watch")?;
    keeping.await.context("the housekeeping")?;
    Ok(())
}

pub(crate) async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_option_is_told_in_one_line_that_names_it() {
        let told = |arguments: &[&str]| {
            let all = ["posthorn"].iter().chain(arguments);
            Cli::try_parse_from(all).err().map(|it| one_line(&it.to_string())).unwrap_or_default()
        };
        for (arguments, parts) in [
            (&["serve", "--egress-allow", "localhost"][..], ["--egress-allow", "neither a CIDR range"]),
            (&["serve", "--checks-at-once", "0"], ["--checks-at-once", "1..=4096"]),
            (&["user", "add", "--name", "ana"], ["--role <ROLE>", "not provided"]),
            (&["serve", "--unheard-of"], ["--unheard-of", "unexpected"]),
        ] {
            let line = told(arguments);
            assert!(parts.iter().all(|it| line.contains(it)) && !line.contains('\n'), "{line}");
            assert!(!line.starts_with("error") && !line.contains("Usage"), "{line}");
        }
        assert_eq!(told(&["serve", "--egress-allow", "", "--egress-ports", ""]), "");
        assert_eq!(told(&["serve", "--trusted-proxies", "10.0.0.5", "--egress-deny", "10.0.0.0/8,10.0.0.1"]), "");
    }
}
