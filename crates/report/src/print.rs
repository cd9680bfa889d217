//! The report as a page to print: all rows, black on white, its head repeated on each sheet, saying what it shows and when.

use domain::{
    account::{AccountQuery, AccountRow},
    time::Timestamp,
};
use words::Locale;

/// Who prints, when, and with which style sheet and script nonce.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    pub locale: Locale,
    pub query: &'a AccountQuery,
    pub who: &'a str,
    pub at: Timestamp,
    /// The address of the style sheet.
    pub css: &'a str,
    pub nonce: &'a str,
}

impl Printed<'_> {
    /// Everything before the rows.
    pub fn head(&self) -> String {
        let words = self.locale.words();
        let sort = super::sort(self.query.sort, words);
        let headings: Vec<String> =
            super::headings(words).iter().map(|it| format!("<th scope=\"col\">{}</th>", escape(it))).collect();
        format!(
            "<!doctype html><html lang=\"{}\" data-theme=\"light\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"{}\"></head><body class=\"print\"><main><h1>{title}</h1>\
             <p>{}</p><p>{}</p><p>{}</p><table><thead><tr>{}</tr></thead><tbody>",
            self.locale.tag(),
            escape(self.css),
            escape(&super::filter(&self.query.filter, words)),
            escape(&sort),
            escape(&words.report.printed(self.at.to_minute(), self.who)),
            headings.concat(),
            title = escape(words.accounts.title),
        )
    }

    /// Everything after the rows; the dialog opens once they are all there.
    pub fn tail(&self) -> String {
        format!(
            "</tbody></table></main><script nonce=\"{}\">document.fonts.ready.then(() => window.print());</script></body></html>",
            escape(self.nonce)
        )
    }
}

/// Rows; call it as often as rows come.
pub fn rows(locale: Locale, rows: &[AccountRow]) -> String {
    let line = |row: &AccountRow| {
        let cells = super::cells(row, locale).map(|it| format!("<td>{}</td>", escape(&it)));
        format!("<tr>{}</tr>", cells.concat())
    };
    rows.iter().map(line).collect()
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}
