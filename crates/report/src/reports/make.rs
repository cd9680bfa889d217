//! Makes what a run sends.

use std::collections::HashMap;

use domain::{
    account::AccountRow,
    audit::{AuditAction, AuditEntry},
    ids::AccountId,
    schedule::{Format, ReportRun, Schedule},
    time::Timestamp,
};
use service::ports::{MadeReport, Recipient, RunLease, StoreError};
use tokio::task::spawn_blocking;
use words::Locale;

use super::Inner;
use crate::{
    changes::{Line, Snapshot},
    content::Content,
    csv, html,
    pdf::{self, Fonts, PdfError},
};

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 2_000;
const MEGABYTE: u64 = 1024 * 1024;

/// How the making ended.
pub(super) enum Made {
    /// There are mails to send.
    Kept,
    /// Nothing had changed: the run is over.
    Nothing,
    /// It cannot be made, for this reason.
    Failed(String),
}

/// A report in all its forms.
struct Forms {
    files: Vec<(Format, String, Vec<u8>)>,
    n_rows: u64,
    /// Present if there was an earlier report to compare with.
    n_changes: Option<u64>,
    snapshot: Vec<u8>,
    detail: String,
}

impl Inner {
    /// Reads the accounts that the filter gives now, makes the files, and keeps them with the mails to send.
    pub(super) async fn make(
        &self,
        lease: RunLease,
        schedule: &Schedule,
        run: &ReportRun,
        locale: Locale,
    ) -> Result<Made, StoreError> {
        let (store, draft, settings) = (&self.parts.store, &schedule.draft, &self.parts.settings);
        let at = self.parts.clock.now();
        let words = &locale.words().report;
        let ids = store.matching_accounts(&draft.query.filter, draft.query.sort).await?;
        if ids.len() as u64 > settings.rows_at_most {
            let (n, max) = (locale.number(ids.len() as u64), locale.number(settings.rows_at_most));
            return Ok(Made::Failed(words.too_many_rows(n, max)));
        }
        let rows = self.rows(&ids).await?;
        let query = draft.query.to_query_string();
        let last = if draft.only_when_changed { store.last_snapshot(schedule.id, &query).await? } else { None };
        let last = last.as_deref().and_then(Snapshot::read);
        let (fonts, copy) = (self.parts.fonts.clone(), schedule.clone());
        let files = match spawn_blocking(move || files(&copy, rows, last, locale, at, &fonts)).await {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => return Ok(Made::Failed(error.to_string())),
            Err(error) => {
                tracing::error!(%error, schedule = %schedule.id, "a report could not be made");
                return Ok(Made::Failed("internal error; the server's log says which".to_owned()));
            }
        };
        let size: u64 = files.files.iter().map(|(_, _, bytes)| bytes.len() as u64).sum();
        if size > settings.bytes_at_most {
            let max = settings.bytes_at_most / MEGABYTE;
            return Ok(Made::Failed(words.too_large(size.div_ceil(MEGABYTE), max)));
        }
        let is_unchanged = files.n_changes == Some(0);
        let recipients: Vec<Recipient> = if is_unchanged { Vec::new() } else { recipients(schedule, run) };
        if !is_unchanged {
            store.add_audit(&[entry(schedule, files.n_rows, at)]).await?;
        }
        let made = MadeReport {
            n_rows: files.n_rows,
            n_changes: files.n_changes,
            detail: files.detail,
            files: if is_unchanged { Vec::new() } else { files.files },
            snapshot: files.snapshot,
            recipients,
        };
        store.record_made(lease, &query, &made, self.parts.clock.now()).await?;
        Ok(if is_unchanged { Made::Nothing } else { Made::Kept })
    }

    /// The rows of these accounts in their order.
    async fn rows(&self, ids: &[AccountId]) -> Result<Vec<AccountRow>, StoreError> {
        let mut rows = Vec::with_capacity(ids.len());
        for part in ids.chunks(ROWS_AT_ONCE) {
            let found = self.parts.store.account_rows(part).await?;
            let mut found: HashMap<_, _> = found.into_iter().map(|it| (it.id, it)).collect();
            rows.extend(part.iter().filter_map(|it| found.remove(it)));
        }
        Ok(rows)
    }
}

/// Pure computation, off the async threads.
fn files(
    schedule: &Schedule,
    rows: Vec<AccountRow>,
    last: Option<Snapshot>,
    locale: Locale,
    at: Timestamp,
    fonts: &Fonts,
) -> Result<Forms, PdfError> {
    let draft = &schedule.draft;
    let snapshot = Snapshot::of(&rows).to_bytes();
    let is_marked = last.is_some();
    let lines = match last {
        Some(last) => last.compare(rows),
        None => rows.into_iter().map(|row| Line { row, change: None }).collect(),
    };
    let content = Content {
        locale,
        name: &draft.name,
        query: &draft.query,
        lines: &lines,
        is_marked,
        zone: &draft.timing.zone,
        at,
    };
    let mut made = Forms {
        files: Vec::new(),
        n_rows: content.n_rows(),
        n_changes: is_marked.then(|| content.n_changes()),
        snapshot,
        detail: String::new(),
    };
    if made.n_changes == Some(0) {
        return Ok(made);
    }
    let stamp = at.to_file_stamp();
    for format in &draft.formats {
        let bytes = match format {
            Format::Csv => csv::document(&content),
            Format::Html => html::document(&content),
            Format::Pdf => {
                let document = pdf::document(&content, fonts)?;
                if !document.missing.is_empty() {
                    let characters: String = document.missing.iter().collect();
                    made.detail = locale.words().report.missing_glyphs(characters);
                }
                document.bytes
            }
        };
        made.files.push((*format, format!("imap-pop3-accounts_{stamp}.{}", format.as_str()), bytes));
    }
    Ok(made)
}

/// One mail each, with an id that stays the same however often it is sent.
fn recipients(schedule: &Schedule, run: &ReportRun) -> Vec<Recipient> {
    let one = |address: &domain::email::EmailAddress| {
        let key = format!("{} {} {}", schedule.id, run.due_at.0, address);
        let hash = blake3::hash(key.as_bytes()).to_hex();
        let message_id = format!("<{}.{}.{}@{}>", schedule.id, run.due_at.0, &hash[..16], address.host());
        Recipient { address: address.clone(), message_id }
    };
    schedule.draft.recipients.iter().map(one).collect()
}

/// Says in the audit log that accounts leave the house.
fn entry(schedule: &Schedule, n_rows: u64, at: Timestamp) -> AuditEntry {
    let draft = &schedule.draft;
    let formats: Vec<_> = draft.formats.iter().map(|it| it.label()).collect();
    let recipients: Vec<_> = draft.recipients.iter().map(ToString::to_string).collect();
    AuditEntry {
        at,
        actor: format!("schedule {}", schedule.id),
        origin: "this server".to_owned(),
        action: AuditAction::ReportExported,
        subject: format!(
            "accounts, {}, {n_rows} rows, {}, schedule {} \"{}\" to {}",
            formats.join(" "),
            draft.query.to_query_string(),
            schedule.id,
            draft.name,
            recipients.join(" ")
        ),
        before: None,
        after: None,
    }
}
