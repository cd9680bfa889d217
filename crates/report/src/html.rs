//! The report as a table in a mail. Mail programs know no style sheets, so styles stand at the elements.

use crate::{
    changes::{Change, Line},
    content::Content,
    print::escape,
};

/// Rows that a mail shows; the rest is in its files, or in the next narrower filter. Some programs cut long mails off.
const ROWS_AT_MOST: usize = 1_000;

const CELL: &str = "border:1px solid #999;padding:3px 6px;text-align:left;vertical-align:top";

/// The whole document.
pub(crate) fn document(content: &Content<'_>) -> Vec<u8> {
    let words = content.locale.words();
    let mut headings = super::headings(words).to_vec();
    headings.extend(content.is_marked.then_some(words.report.change));
    let head = headings
        .iter()
        .map(|it| format!("<th scope=\"col\" style=\"{CELL};background:#eee\">{}</th>", escape(it)))
        .collect::<Vec<_>>()
        .concat();
    let shown = &content.lines[..content.lines.len().min(ROWS_AT_MOST)];
    let rows: String = shown.iter().map(|it| row(content, it)).collect();
    let note = |it: &String| format!("<p style=\"margin:4px 0\">{}</p>", escape(it));
    let notes = content.notes().iter().map(note).collect::<Vec<_>>().concat();
    let n_left = content.lines.len() - shown.len();
    let rest =
        if n_left == 0 { String::new() } else { format!("<p>{}</p>", escape(&words.report.more_rows(n_left as u64))) };
    let title = escape(content.name);
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body style=\"font-family:sans-serif;font-size:13px;color:#000;background:#fff\"><h1 style=\"font-size:18px\">{title}</h1>\
         {notes}<table style=\"border-collapse:collapse;font-size:12px\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>\
         {rest}</body></html>",
        content.locale.tag(),
    )
    .into_bytes()
}

fn row(content: &Content<'_>, line: &Line) -> String {
    let is_changed = |nth: usize| matches!(line.change, Some(Change::Changed(cells)) if cells[nth]);
    let cells = super::cells(&line.row, content.locale);
    let cells = cells.iter().enumerate().map(|(nth, text)| {
        let text = format!("<bdi>{}</bdi>", escape(text));
        let text = match line.change {
            Some(Change::Removed) => format!("<s>{text}</s>"),
            _ if is_changed(nth) => format!("<strong>{text}</strong>"),
            _ => text,
        };
        format!("<td style=\"{CELL}\">{text}</td>")
    });
    let change = content.is_marked.then(|| {
        let text = escape(&content.change(line));
        format!("<td style=\"{CELL}\"><strong>{text}</strong></td>")
    });
    let cells: String = cells.chain(change).collect();
    format!("<tr>{cells}</tr>")
}

#[cfg(test)]
mod tests {
    use domain::{account::AccountQuery, time::Timestamp};
    use words::Locale;

    use super::*;
    use crate::samples;

    #[test]
    fn hostile_names_are_text_and_changes_are_said_in_words() {
        let mut port = [false; 10];
        port[5] = true;
        let line = |id, name: &str, change| Line { row: samples::row(id, name), change };
        let lines =
            [line(1, "<script>alert(1)</script>", Some(Change::Changed(port))), line(2, "gone", Some(Change::Removed))];
        let query = AccountQuery::default();
        let content = Content {
            locale: Locale::En,
            name: "<b>",
            query: &query,
            lines: &lines,
            is_marked: true,
            zone: "UTC",
            at: Timestamp(0),
        };
        let html = String::from_utf8(document(&content)).unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("Changed: Port") && html.contains("<s><bdi>gone</bdi></s>"), "{html}");
        assert!(html.contains("1 account, 2 changes"), "{html}");
    }
}
