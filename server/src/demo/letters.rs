//! What the mailboxes of the demonstration hold: letters made from their number, the same each time.

use domain::time::Timestamp;

/// Subjects and texts by host; `#` stands for a number.
const SUBJECTS: [(&str, [&str; 4]); 9] = [
    (
        "access",
        [
            "Access to the finance share #",
            "VPN for a new colleague, request #",
            "Access ends: contract #",
            "Approval needed: #",
        ],
    ),
    (
        "bounces",
        [
            "Undelivered Mail Returned to Sender (#)",
            "Delivery delayed: #",
            "Mailbox full: message #",
            "Automatic reply: #",
        ],
    ),
    ("fax", ["Fax from +49 40 555 #", "Fax failed: line busy (#)", "Fax to +55 11 555 #", "Daily fax report #"]),
    ("invoices", ["Invoice 2026-#", "Reminder for invoice 2026-#", "Credit note #", "Fatura nº #"]),
    ("newsletter", ["News of the week #", "Unsubscribe: reader #", "Reader's letter #", "Print run #"]),
    ("orders", ["Order #", "Order # changed", "Delivery note #", "Pedido # confirmado"]),
    ("scanner", ["Scan #, 2 pages", "Scan #, 14 pages", "Scanner: paper jam (#)", "Scan # in colour"]),
    ("statements", ["Statement of account #", "Extracto de cuenta #", "Balance confirmation #", "Kontoauszug #"]),
    (
        "support",
        [
            "Cannot sign in (ticket #)",
            "Printer offline, ticket #",
            "Ticket # closed",
            "Re: ticket # \u{2013} still slow",
        ],
    ),
];
const SENDERS: [(&str, &str); 7] = [
    ("Ana Souza", "ana.souza@partner.example"),
    ("Björn Åkesson", "bjorn@nordic.example"),
    ("Chiara D'Amico", "c.damico@forniture.example"),
    ("Accounts, Delta Ltd", "accounts@delta.example"),
    ("Емилия Петрова", "emilia@sofia.example"),
    ("no-reply", "no-reply@machines.example"),
    ("Zoë Faure", "zoe.faure@example.org"),
];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The `nth` letter of a host's mailbox. Every third is HTML with what a careful reader does not load, every fifth has an
/// attachment.
pub(super) fn letter(host: &str, nth: i64, sent: Timestamp) -> Vec<u8> {
    let of = |n: usize| usize::try_from(nth).unwrap_or_default() % n;
    let number = 4_100 + nth * 7;
    let subjects = SUBJECTS.iter().find(|(name, _)| *name == host).map_or(&SUBJECTS[8].1, |it| &it.1);
    let subject = subjects[of(4)].replace('#', &number.to_string());
    let (name, address) = SENDERS[of(7)];
    let text = format!(
        "Good day,\r\n\r\nthis is about {subject}. Number {number} is ready for you to look at.\r\n\r\nKind regards\r\n{name}\r\n"
    );
    let html = format!(
        "<p>Good day,</p><p>this is about <b>{subject}</b>. Number {number} is ready.</p>\
         <img src=\"https://tracker.example/open?{number}\" alt=\"Delta Ltd\"><script>document.title = 'never'</script>\
         <p>Kind regards<br>{name}</p>\r\n"
    );
    let body = if of(3) == 0 {
        format!(
            "Content-Type: multipart/alternative; boundary=alternative\r\n\r\n\
             --alternative\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
             --alternative\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--alternative--\r\n"
        )
    } else {
        format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}")
    };
    let body = if of(5) == 0 {
        format!(
            "Content-Type: multipart/mixed; boundary=mixed\r\n\r\n--mixed\r\n{body}\r\n--mixed\r\n\
             Content-Type: text/csv; charset=utf-8\r\nContent-Disposition: attachment; filename=\"{number}.csv\"\r\n\r\n\
             number;date\r\n{number};{}\r\n--mixed--\r\n",
            sent.to_minute()
        )
    } else {
        body
    };
    format!(
        "From: \"{name}\" <{address}>\r\nTo: <{host}@demo.example>\r\nSubject: {subject}\r\nDate: {}\r\n\
         Message-ID: <{nth}.{host}@demo.example>\r\nMIME-Version: 1.0\r\n{body}",
        date(sent)
    )
    .into_bytes()
}

/// RFC 5322 section 3.3, from the first sixteen letters of `2026-01-31 14:30`.
fn date(at: Timestamp) -> String {
    let minute = at.to_minute();
    let part = |range| minute.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().unwrap_or(1);
    format!("{} {} {} {}:00 +0000", part(8..10), MONTHS[(month - 1) % 12], part(0..4), part(11..16))
}

#[cfg(test)]
mod tests {
    use mail::Reader;
    use service::ports::MessageReader as _;

    use super::*;

    #[test]
    fn every_letter_can_be_read() {
        for (host, _) in SUBJECTS {
            for nth in 1..=105 {
                let sent = Timestamp::from_seconds(1_700_000_040);
                let raw = letter(host, nth, sent);
                let index = Reader.index(&raw);
                assert!(!index.is_unreadable && !index.subject.contains('#'), "{}", index.subject);
                assert_eq!((index.date, index.n_attachments), (Some(sent), u32::from(nth % 5 == 0)));
                assert_eq!(Reader.read(&raw).unwrap().has_html, nth % 3 == 0);
            }
        }
    }
}
