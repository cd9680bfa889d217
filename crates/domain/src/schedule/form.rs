//! From what a person typed to a schedule that keeps every rule that can be checked without a calendar.

use serde::{Deserialize, Serialize};

use super::{Format, LANGUAGES, MonthDay, Recurrence, Schedule, TimeOfDay, Timing, Weekday};
use crate::{
    account::{AccountQuery, NAME_MAX},
    email::EmailAddress,
    page::PageRequest,
    problem::{Problem, Problems, Rule, choice, line, yes_no},
};

/// The most recipients of one schedule.
const RECIPIENTS_MAX: u32 = 50;
/// The longest cron expression.
const EXPRESSION_MAX: u32 = 100;

/// The form, every field as text. What was not chosen is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleForm {
    pub name: String,
    /// Filter and sort as the report's URL has them.
    pub query: String,
    /// A kind of [`Recurrence`].
    pub recurrence: String,
    pub monday: String,
    pub tuesday: String,
    pub wednesday: String,
    pub thursday: String,
    pub friday: String,
    pub saturday: String,
    pub sunday: String,
    /// `1` to `31`, or `last`.
    pub month_day: String,
    pub expression: String,
    pub time: String,
    pub zone: String,
    pub csv: String,
    pub pdf: String,
    pub html: String,
    /// Addresses, separated by commas, semicolons, spaces or line ends.
    pub recipients: String,
    pub language: String,
    pub only_when_changed: String,
    pub enabled: String,
    /// The version that was read; empty for a new record.
    pub version: String,
}

impl ScheduleForm {
    /// The form of a new schedule of the report that is looked at.
    pub fn new_record(query: &AccountQuery, language: &str) -> Self {
        Self {
            query: of_whole_report(query).to_query_string(),
            recurrence: "weekdays".to_owned(),
            month_day: "1".to_owned(),
            time: "08:00".to_owned(),
            zone: "UTC".to_owned(),
            csv: "yes".to_owned(),
            language: language.to_owned(),
            only_when_changed: "no".to_owned(),
            enabled: "yes".to_owned(),
            ..Self::default()
        }
    }

    pub fn of(schedule: &Schedule) -> Self {
        let draft = &schedule.draft;
        let yes_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
        let yes = |it: bool| if it { "yes".to_owned() } else { String::new() };
        let mut form = Self {
            name: draft.name.clone(),
            query: draft.query.to_query_string(),
            recurrence: draft.timing.recurrence.kind().to_owned(),
            month_day: "1".to_owned(),
            time: draft.timing.time.to_string(),
            zone: draft.timing.zone.clone(),
            csv: yes(draft.formats.contains(&Format::Csv)),
            pdf: yes(draft.formats.contains(&Format::Pdf)),
            html: yes(draft.formats.contains(&Format::Html)),
            recipients: draft.recipients.iter().map(EmailAddress::as_str).collect::<Vec<_>>().join("\n"),
            language: draft.language.clone(),
            only_when_changed: yes_no(draft.only_when_changed),
            enabled: yes_no(draft.enabled),
            version: schedule.version.to_string(),
            ..Self::default()
        };
        match &draft.timing.recurrence {
            Recurrence::Daily | Recurrence::Weekdays => {}
            Recurrence::Weekly { days } => days.iter().for_each(|it| "yes".clone_into(form.day(*it))),
            Recurrence::Monthly { day } => form.month_day = day.to_string(),
            Recurrence::Cron { expression } => expression.clone_into(&mut form.expression),
        }
        form
    }

    /// The field of a day of the week.
    pub fn day(&mut self, day: Weekday) -> &mut String {
        match day {
            Weekday::Monday => &mut self.monday,
            Weekday::Tuesday => &mut self.tuesday,
            Weekday::Wednesday => &mut self.wednesday,
            Weekday::Thursday => &mut self.thursday,
            Weekday::Friday => &mut self.friday,
            Weekday::Saturday => &mut self.saturday,
            Weekday::Sunday => &mut self.sunday,
        }
    }

    /// Filter and sort.
    pub fn account_query(&self) -> AccountQuery {
        of_whole_report(&AccountQuery::from_query_string(&self.query))
    }

    /// When it runs; the zone and a cron expression are only looked at, not looked up.
    pub fn timing(&self) -> Result<Timing, Vec<Problem>> {
        let mut problems = Problems::default();
        let timing = timing(self, &mut problems);
        timing.ok_or_else(|| problems.into_vec())
    }
}

fn of_whole_report(query: &AccountQuery) -> AccountQuery {
    AccountQuery { page: PageRequest::default(), ..query.clone() }
}

/// A schedule that keeps the rules, once a calendar has found its zone and its expression good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleDraft {
    pub name: String,
    /// Filter and sort; always the whole report.
    #[serde(with = "query_string")]
    pub query: AccountQuery,
    pub timing: Timing,
    /// At least one.
    pub formats: Vec<Format>,
    /// At least one, each once.
    pub recipients: Vec<EmailAddress>,
    /// One of [`LANGUAGES`].
    pub language: String,
    pub only_when_changed: bool,
    pub enabled: bool,
}

/// A query as the URL has it.
mod query_string {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::account::AccountQuery;

    pub(super) fn serialize<S: Serializer>(query: &AccountQuery, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&query.to_query_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountQuery, D::Error> {
        String::deserialize(deserializer).map(|it| AccountQuery::from_query_string(&it))
    }
}

impl TryFrom<&ScheduleForm> for ScheduleDraft {
    type Error = Vec<Problem>;

    /// Reports every problem, in the order of the form.
    fn try_from(form: &ScheduleForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&form.name, NAME_MAX));
        let timing = timing(form, &mut problems);
        let formats = problems.keep("formats", formats(form));
        let recipients = problems.keep("recipients", recipients(&form.recipients));
        let is_spoken = |it: &str| LANGUAGES.contains(&it).then(|| it.to_owned());
        let language = problems.keep("language", choice(&form.language, is_spoken));
        let only_when_changed = problems.keep("only_when_changed", yes_no(&form.only_when_changed, false));
        let enabled = problems.keep("enabled", yes_no(&form.enabled, true));
        let all = (|| {
            Some(Self {
                name: name?,
                query: form.account_query(),
                timing: timing?,
                formats: formats?,
                recipients: recipients?,
                language: language?,
                only_when_changed: only_when_changed?,
                enabled: enabled?,
            })
        })();
        all.ok_or_else(|| problems.into_vec())
    }
}

fn timing(form: &ScheduleForm, problems: &mut Problems) -> Option<Timing> {
    let recurrence = recurrence(form, problems);
    // A cron expression has its own time.
    let time = match recurrence {
        Some(Recurrence::Cron { .. }) => Some(TimeOfDay { hour: 0, minute: 0 }),
        _ if form.time.trim().is_empty() => problems.keep("time", Err(Rule::Missing)),
        _ => problems.keep("time", TimeOfDay::parse(&form.time).ok_or(Rule::NotATime)),
    };
    let zone = problems.keep("zone", line(&form.zone, NAME_MAX));
    Some(Timing { recurrence: recurrence?, time: time?, zone: zone? })
}

fn recurrence(form: &ScheduleForm, problems: &mut Problems) -> Option<Recurrence> {
    let known = |it: &str| Recurrence::KINDS.into_iter().find(|kind| *kind == it);
    match problems.keep("recurrence", choice(&form.recurrence, known))? {
        "daily" => Some(Recurrence::Daily),
        "weekdays" => Some(Recurrence::Weekdays),
        "weekly" => {
            let mut form = form.clone();
            let days: Vec<_> = Weekday::ALL.into_iter().filter(|it| form.day(*it) == "yes").collect();
            let days = if days.is_empty() { Err(Rule::Missing) } else { Ok(days) };
            problems.keep("days", days).map(|days| Recurrence::Weekly { days })
        }
        "monthly" => {
            let day = problems.keep("month_day", choice(&form.month_day, MonthDay::parse))?;
            Some(Recurrence::Monthly { day })
        }
        _ => {
            let expression = line(&form.expression, EXPRESSION_MAX)
                .and_then(|it| if it.split_whitespace().count() == 5 { Ok(it) } else { Err(Rule::NotACron) });
            let expression = problems.keep("expression", expression)?;
            Some(Recurrence::Cron { expression })
        }
    }
}

fn formats(form: &ScheduleForm) -> Result<Vec<Format>, Rule> {
    let chosen = [(Format::Csv, &form.csv), (Format::Pdf, &form.pdf), (Format::Html, &form.html)];
    let chosen: Vec<_> = chosen.into_iter().filter(|(_, it)| *it == "yes").map(|(it, _)| it).collect();
    if chosen.is_empty() { Err(Rule::Missing) } else { Ok(chosen) }
}

/// Each address once, in the order in which they were entered.
fn recipients(text: &str) -> Result<Vec<EmailAddress>, Rule> {
    let mut found = Vec::new();
    for part in text.split([',', ';', ' ', '\t', '\r', '\n']).filter(|it| !it.is_empty()) {
        let address = EmailAddress::parse(part)?;
        if !found.contains(&address) {
            found.push(address);
        }
    }
    match u32::try_from(found.len()) {
        Ok(0) => Err(Rule::Missing),
        Ok(n) if n <= RECIPIENTS_MAX => Ok(found),
        _ => Err(Rule::TooMany { max: RECIPIENTS_MAX }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> ScheduleForm {
        ScheduleForm {
            name: "Morning".to_owned(),
            recipients: "ana@example.org, bo@example.org\nana@example.org".to_owned(),
            ..ScheduleForm::new_record(&AccountQuery::default(), "en")
        }
    }

    #[track_caller]
    fn check(form: &ScheduleForm, expected: &[(&str, Rule)]) {
        let problems = ScheduleDraft::try_from(form).err().unwrap_or_default();
        let found: Vec<_> = problems.iter().map(|it| (it.field.as_str(), it.rule.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_saved_comes_back_into_the_form() {
        for form in [
            filled(),
            ScheduleForm {
                query: "name=bill&status=enabled&sort=-port".to_owned(),
                recurrence: "weekly".to_owned(),
                tuesday: "yes".to_owned(),
                ..filled()
            },
            ScheduleForm { recurrence: "monthly".to_owned(), month_day: "last".to_owned(), ..filled() },
            ScheduleForm {
                recurrence: "cron".to_owned(),
                expression: "0 8 * * 1-5".to_owned(),
                time: "00:00".to_owned(),
                ..filled()
            },
        ] {
            let draft = ScheduleDraft::try_from(&form).unwrap();
            let schedule =
                Schedule { id: crate::ids::ScheduleId(1), version: 1, draft: draft.clone(), next_run_at: None };
            assert_eq!(ScheduleDraft::try_from(&ScheduleForm::of(&schedule)), Ok(draft));
            assert_eq!(ScheduleForm::of(&schedule).query, form.query);
        }
    }

    #[test]
    fn every_problem_is_reported_in_form_order() {
        check(
            &ScheduleForm { language: "tlh".to_owned(), ..ScheduleForm::default() },
            &[
                ("name", Rule::Missing),
                ("recurrence", Rule::Missing),
                ("time", Rule::Missing),
                ("zone", Rule::Missing),
                ("formats", Rule::Missing),
                ("recipients", Rule::Missing),
                ("language", Rule::NotAnOption),
            ],
        );
        check(&ScheduleForm { recurrence: "weekly".to_owned(), ..filled() }, &[("days", Rule::Missing)]);
        check(
            &ScheduleForm { recurrence: "cron".to_owned(), expression: "* * * *".to_owned(), ..filled() },
            &[("expression", Rule::NotACron)],
        );
        check(
            &ScheduleForm { recipients: "ana@example.org bo".to_owned(), ..filled() },
            &[("recipients", Rule::NotAMailAddress)],
        );
        let many: Vec<_> = (0..51).map(|it| format!("u{it}@example.org")).collect();
        check(&ScheduleForm { recipients: many.join(" "), ..filled() }, &[("recipients", Rule::TooMany { max: 50 })]);
    }
}
