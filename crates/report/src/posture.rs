//! A list of the security posture as CSV.

use domain::posture::{PostureRow, PostureSubject};
use words::Locale;

use crate::csv;

/// The whole file; the columns are the same for every list.
pub fn document(locale: Locale, rows: &[PostureRow]) -> Vec<u8> {
    let (words, all) = (&locale.words().posture, locale.words());
    let headings = [words.kind, all.accounts.id, words.name, words.detail, words.at, words.accounts];
    let rows = rows.iter().map(|it| {
        let kind = match it.subject {
            PostureSubject::Account(_) => words.account,
            PostureSubject::Smtp(_) => words.smtp,
            PostureSubject::Credential(_) => words.credential,
            PostureSubject::OAuth(_) => all.tokens.oauth_credential,
            PostureSubject::Authority(_) => words.authority,
        };
        [
            kind.to_owned(),
            it.subject.id().to_string(),
            it.name.clone(),
            it.detail.clone(),
            it.at.map(domain::time::Timestamp::to_minute).unwrap_or_default(),
            it.n_uses.map(|it| it.to_string()).unwrap_or_default(),
        ]
    });
    csv::document_of(locale, std::iter::once(headings.map(str::to_owned)).chain(rows))
}

#[cfg(test)]
mod tests {
    use domain::{
        ids::{AccountId, CredentialId},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn what_a_server_or_a_person_wrote_starts_no_formula() {
        let rows = [
            PostureRow {
                subject: PostureSubject::Account(AccountId(7)),
                name: "=1+1".to_owned(),
                detail: "@SUM(\"a\", b)".to_owned(),
                at: Some(Timestamp(0)),
                n_uses: None,
            },
            PostureRow {
                subject: PostureSubject::Credential(CredentialId(8)),
                name: "c".to_owned(),
                detail: "ana".to_owned(),
                at: None,
                n_uses: Some(9),
            },
        ];
        let text = String::from_utf8(document(Locale::En, &rows)).unwrap();
        assert_eq!(
            text,
            "\u{feff}Kind,ID,Name,Details,Time (UTC),Accounts\r\n\
             Account,7,'=1+1,\"'@SUM(\"\"a\"\", b)\",1970-01-01 00:00,\r\n\
             Credential,8,c,ana,,9\r\n"
        );
    }
}
