//! One report of a schedule, before it takes a form.

use domain::{account::AccountQuery, time::Timestamp};
use words::Locale;

use crate::{
    calendar,
    changes::{Change, Line},
};

/// What a report says, in whatever form.
pub(crate) struct Content<'a> {
    pub(crate) locale: Locale,
    /// The schedule's name.
    pub(crate) name: &'a str,
    pub(crate) query: &'a AccountQuery,
    pub(crate) lines: &'a [Line],
    /// Whether it says what has changed since the last one.
    pub(crate) is_marked: bool,
    pub(crate) zone: &'a str,
    pub(crate) at: Timestamp,
}

impl Content<'_> {
    /// Accounts that the filter gives.
    pub(crate) fn n_rows(&self) -> u64 {
        self.lines.iter().filter(|it| it.change != Some(Change::Removed)).count() as u64
    }

    pub(crate) fn n_changes(&self) -> u64 {
        self.lines.iter().filter(|it| it.change.is_some()).count() as u64
    }

    /// What a line's last cell says.
    pub(crate) fn change(&self, line: &Line) -> String {
        let words = self.locale.words();
        match line.change {
            None => String::new(),
            Some(Change::New) => words.report.new.to_owned(),
            Some(Change::Removed) => words.report.removed.to_owned(),
            Some(Change::Changed(cells)) => {
                let names = super::headings(words);
                let names: Vec<_> =
                    cells.iter().zip(names).filter(|(changed, _)| **changed).map(|(_, it)| it).collect();
                words.report.changed(names.join(", "))
            }
        }
    }

    /// What stands above the table: how many, which, in which order, when.
    pub(crate) fn notes(&self) -> Vec<String> {
        let words = self.locale.words();
        let number = |it| self.locale.number(it);
        let mut count = words.report.count(self.n_rows());
        if self.is_marked {
            count = format!("{count}, {}", words.report.changes(self.n_changes()));
        }
        vec![
            count.replace(&self.n_rows().to_string(), &number(self.n_rows())),
            super::filter(&self.query.filter, words),
            super::sort(self.query.sort, words),
            words.report.made_at(calendar::local(self.zone, self.at)),
        ]
    }
}
