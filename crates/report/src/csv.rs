//! The report as CSV: RFC 4180, with a byte order mark for spreadsheets, and no cell that a spreadsheet would run.

use domain::account::AccountRow;
use words::Locale;

use crate::content::Content;

/// Writes the head: byte order mark and headings.
pub fn head(locale: Locale) -> Vec<u8> {
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    bytes.extend(lines(locale, [super::headings(locale.words()).map(str::to_owned)]));
    bytes
}

/// Writes rows; call it as often as rows come.
pub fn rows(locale: Locale, rows: &[AccountRow]) -> Vec<u8> {
    lines(locale, rows.iter().map(|it| super::cells(it, locale)))
}

/// A whole report, with a last column for what has changed if that is marked.
pub(crate) fn document(content: &Content<'_>) -> Vec<u8> {
    let locale = content.locale;
    let mut headings = super::headings(locale.words()).map(str::to_owned).to_vec();
    headings.extend(content.is_marked.then(|| locale.words().report.change.to_owned()));
    let rows = content.lines.iter().map(|line| {
        let mut cells = super::cells(&line.row, locale).to_vec();
        cells.extend(content.is_marked.then(|| content.change(line)));
        cells
    });
    document_of(locale, std::iter::once(headings).chain(rows))
}

/// These rows as a file, the headings first among them.
pub(crate) fn document_of<R: IntoIterator<Item = String>>(
    locale: Locale,
    rows: impl IntoIterator<Item = R>,
) -> Vec<u8> {
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    bytes.extend(lines(locale, rows));
    bytes
}

fn lines<R: IntoIterator<Item = String>>(locale: Locale, rows: impl IntoIterator<Item = R>) -> Vec<u8> {
    // Where the comma is the decimal sign, spreadsheets expect a semicolon between cells.
    let delimiter = if locale == Locale::En { b',' } else { b';' };
    let mut writer =
        ::csv::WriterBuilder::new().delimiter(delimiter).terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail.
        _ = writer.write_record(row.into_iter().map(|it| guard(&it)));
    }
    writer.into_inner().unwrap_or_default()
}

/// A cell that begins like a formula is marked as text (OWASP, CSV injection).
fn guard(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\0', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn row(name: &str) -> AccountRow {
        AccountRow { health: domain::account::Health::default(), ..samples::row(1, name) }
    }

    #[test]
    fn no_cell_begins_a_formula_and_quotes_are_doubled() {
        let text = String::from_utf8(rows(Locale::En, &[row("=cmd|' /C calc'!A0"), row("a \"b\", c")])).unwrap();
        assert_eq!(
            text,
            "1,'=cmd|' /C calc'!A0,Yes,SSL,IMAP,993,Yes,No,Enabled,Not checked yet\r\n\
             1,\"a \"\"b\"\", c\",Yes,SSL,IMAP,993,Yes,No,Enabled,Not checked yet\r\n"
        );
    }

    #[test]
    fn the_head_is_in_the_users_language() {
        let text = String::from_utf8(head(Locale::PtBr)).unwrap();
        assert!(text.starts_with("\u{feff}ID;Nome;Conexão segura;"), "{text}");
        assert!(text.ends_with("\r\n"));
    }
}
