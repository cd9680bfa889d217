//! What has changed since the last report.

use std::collections::HashMap;

use domain::account::AccountRow;
use serde::{Deserialize, Serialize};

/// What became of an account since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    New,
    /// The cells that differ, in the order of the columns.
    Changed([bool; 10]),
    /// It is shown as it was.
    Removed,
}

/// An account in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) row: AccountRow,
    pub(crate) change: Option<Change>,
}

/// What a report showed, kept for the next one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    rows: Vec<AccountRow>,
}

impl Snapshot {
    pub(crate) fn of(rows: &[AccountRow]) -> Self {
        Self { rows: rows.to_vec() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Rows are plain data: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for what an earlier version may have kept in another form.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The rows with what has changed since; what is gone comes last.
    pub(crate) fn compare(self, rows: Vec<AccountRow>) -> Vec<Line> {
        let order: Vec<_> = self.rows.iter().map(|it| it.id).collect();
        let mut before: HashMap<_, _> = self.rows.into_iter().map(|it| (it.id, it)).collect();
        let mut lines: Vec<Line> = rows
            .into_iter()
            .map(|row| {
                let change = match before.remove(&row.id) {
                    None => Some(Change::New),
                    Some(old) => Some(differences(&old, &row)).filter(|it| it.contains(&true)).map(Change::Changed),
                };
                Line { row, change }
            })
            .collect();
        let gone = order.iter().filter_map(|it| before.remove(it));
        lines.extend(gone.map(|row| Line { row, change: Some(Change::Removed) }));
        lines
    }
}

/// Which cells differ. Of health counts how an account does and why, not when it was checked last.
fn differences(old: &AccountRow, new: &AccountRow) -> [bool; 10] {
    let kind = |it: &AccountRow| it.health.failure.as_ref().map(|it| it.kind);
    [
        false,
        old.name != new.name,
        old.security.is_secure() != new.security.is_secure(),
        old.security != new.security,
        old.protocol != new.protocol,
        old.port != new.port,
        old.automatic_check != new.automatic_check,
        old.keep_copy != new.keep_copy,
        old.enabled != new.enabled,
        old.health.state() != new.health.state() || kind(old) != kind(new),
    ]
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;

    use super::*;
    use crate::samples::row;

    #[test]
    fn new_changed_and_removed_accounts_are_marked_and_times_do_not_count() {
        let before = [row(1, "same"), row(2, "changes"), row(3, "goes")];
        let snapshot = Snapshot::read(&Snapshot::of(&before).to_bytes()).unwrap();
        let mut same = row(1, "same");
        same.health.last_success_at = Some(Timestamp(99));
        let mut changed = row(2, "changes");
        changed.port = 143;
        let lines = snapshot.compare(vec![same, changed, row(4, "comes")]);
        let mut port = [false; 10];
        port[5] = true;
        let found: Vec<_> = lines.iter().map(|it| (it.row.id.0, it.change)).collect();
        assert_eq!(
            found,
            [(1, None), (2, Some(Change::Changed(port))), (4, Some(Change::New)), (3, Some(Change::Removed)),]
        );
    }
}
