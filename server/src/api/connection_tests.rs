//! `/accounts/{id}/test` and `/accounts/{id}/tests`

use axum::{Extension, Json, extract::State};
use domain::{
    actor::Actor,
    connection_test::{CertificateFacts, ConnectionTest, Evidence, StepRecord, TestEnd, TestRecord, Verdict},
    ids::AccountId,
};
use serde::Serialize;
use service::TestRun;
use utoipa::ToSchema;

use super::{
    accounts::{Sent, sent},
    path::At,
    problem::Problem,
};
use crate::http::Web;

/// One step of a test.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestStep {
    #[schema(examples(
        "resolve",
        "egress",
        "connector",
        "connect",
        "tls",
        "greeting",
        "start_tls",
        "authenticate",
        "mailbox"
    ))]
    step: &'static str,
    ok: bool,
    ms: u64,
    detail: String,
}

impl From<&StepRecord> for TestStep {
    fn from(it: &StepRecord) -> Self {
        Self { step: it.step.as_str(), ok: it.ok, ms: it.ms, detail: it.detail.clone() }
    }
}

/// Why a test failed, and what to do next.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    step: &'static str,
    #[schema(examples("refused", "timeout", "certificate", "authentication"))]
    kind: &'static str,
    message: String,
    #[schema(examples("port", "not_ssl", "certificate", "password"))]
    advice: &'static str,
}

/// What one certificate says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Certificate {
    subject: String,
    issuer: String,
    names: Vec<String>,
    not_before: String,
    not_after: String,
    fingerprint: String,
    key: String,
    /// What pins its key.
    pin: String,
}

impl From<&CertificateFacts> for Certificate {
    fn from(it: &CertificateFacts) -> Self {
        Self {
            subject: it.subject.clone(),
            issuer: it.issuer.clone(),
            names: it.names.clone(),
            not_before: it.not_before.to_string(),
            not_after: it.not_after.to_string(),
            fingerprint: it.fingerprint.clone(),
            key: it.key.clone(),
            pin: it.pin.clone(),
        }
    }
}

/// What a server says that it can; null where it was not asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct Capabilities {
    plain: Option<Vec<String>>,
    secured: Option<Vec<String>>,
    signed_in: Option<Vec<String>>,
}

/// What the mailbox holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mailbox {
    messages: u64,
    unseen: Option<u64>,
    size: Option<u64>,
    uid_validity: Option<u32>,
}

/// What was seen.
#[derive(Serialize, ToSchema)]
pub(crate) struct Seen {
    /// Of the connector, where one is gone by.
    resolved: Vec<String>,
    connected: Option<String>,
    #[schema(examples("TLSv1.3"))]
    tls_version: Option<String>,
    cipher: Option<String>,
    /// From the server's certificate up, as it was sent.
    chain: Vec<Certificate>,
    is_trusted: Option<bool>,
    /// Why the chain is not trusted, whether it is accepted or not.
    not_trusted: Option<String>,
    greeting: Option<String>,
    capabilities: Capabilities,
    mechanisms: Vec<String>,
    mechanism: Option<String>,
    mailbox: Option<Mailbox>,
}

impl From<&Evidence> for Seen {
    fn from(it: &Evidence) -> Self {
        let it = it.clone();
        let mechanisms = it.mechanisms();
        let is_trusted = it.verdict.as_ref().map(|it| *it == Verdict::Trusted);
        let not_trusted = it.verdict.and_then(|it| match it {
            Verdict::Trusted => None,
            Verdict::Accepted { why } | Verdict::Refused { why } => Some(why),
        });
        let (tls_version, cipher) = it.tls.map(|it| (it.version, it.cipher)).unzip();
        let capabilities = it.capabilities;
        Self {
            resolved: it.resolved.into_iter().map(|it| it.address).collect(),
            connected: it.connected,
            tls_version,
            cipher,
            chain: it.chain.iter().map(Certificate::from).collect(),
            is_trusted,
            not_trusted,
            greeting: it.greeting,
            capabilities: Capabilities {
                plain: capabilities.plain,
                secured: capabilities.secured,
                signed_in: capabilities.signed_in,
            },
            mechanisms,
            mechanism: it.mechanism,
            mailbox: it.mailbox.map(|it| Mailbox {
                messages: it.n_messages,
                unseen: it.n_unseen,
                size: it.size,
                uid_validity: it.uid_validity,
            }),
        }
    }
}

/// A test that has ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tested {
    /// Null for one that is not in the list yet.
    id: Option<i64>,
    at: String,
    /// Who asked for it.
    actor: Option<String>,
    /// The connector that was gone by; null directly.
    connector: Option<String>,
    #[schema(examples("passed", "failed", "cancelled"))]
    outcome: &'static str,
    /// Whether the credential had a part in it; else the test ended before the sign-in.
    signs_in: bool,
    /// Whether the account was stored like this; else the values were only typed.
    is_saved: bool,
    steps: Vec<TestStep>,
    failure: Option<Failure>,
    evidence: Seen,
    /// When the last good test was that this one was compared with.
    compared_with: Option<String>,
    /// What is different from it: each with `what` it is, and what was and is `now`.
    #[schema(value_type = Vec<Object>)]
    differences: Vec<serde_json::Value>,
}

impl Tested {
    fn of(id: Option<i64>, at: String, actor: Option<String>, test: &ConnectionTest) -> Self {
        let failure = test.failure().zip(test.advice()).map(|(it, advice)| Failure {
            step: it.step.as_str(),
            kind: it.kind.as_str(),
            message: it.message.clone(),
            advice: advice.as_str(),
        });
        Self {
            id,
            at,
            actor,
            connector: test.connector.clone(),
            outcome: match test.end {
                None => "running",
                Some(TestEnd::Passed) => "passed",
                Some(TestEnd::Failed(_)) => "failed",
                Some(TestEnd::Cancelled) => "cancelled",
            },
            signs_in: test.signs_in,
            is_saved: test.is_saved,
            steps: test.steps.iter().map(TestStep::from).collect(),
            failure,
            evidence: Seen::from(&test.evidence),
            compared_with: test.compared_with.map(|it| it.to_string()),
            differences: test.differences.iter().filter_map(|it| serde_json::to_value(it).ok()).collect(),
        }
    }
}

impl From<TestRun> for Tested {
    fn from(it: TestRun) -> Self {
        Self::of(None, it.started_at.to_string(), None, &it.test)
    }
}

impl From<TestRecord> for Tested {
    fn from(it: TestRecord) -> Self {
        Self::of(Some(it.id.0), it.at.to_string(), Some(it.actor), &it.test)
    }
}

/// The tests of an account, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tests {
    items: Vec<Tested>,
}

/// Whether every way is tested.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a form of texts; this describes it")]
pub(crate) struct WaysIn {
    /// Sends the credential by the other ways, too, for this test.
    grant_credential: Option<bool>,
}

/// Tests the connection of the account as it is saved; answers when the test has ended.
#[utoipa::path(post, path = "/accounts/{id}/test", tag = "accounts", params(("id" = i64, Path)), responses((status = 200, body = Tested), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<Tested>, Problem> {
    let tests = web.service.connection_tests();
    let run = tests.start(&actor, AccountId(id)).await?;
    Ok(Json(tests.finished(&actor, run).await?.into()))
}

/// Tests the connection directly and by every connector; answers when all tests have ended.
#[utoipa::path(post, path = "/accounts/{id}/test/each", tag = "accounts", params(("id" = i64, Path)), request_body = WaysIn, responses((status = 200, body = Tests), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test_each(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
    body: Sent,
) -> Result<Json<Tests>, Problem> {
    let tests = web.service.connection_tests();
    let is_granted = matches!(sent(body)?.text("grant_credential").as_str(), "true" | "yes");
    let mut items = Vec::new();
    for run in tests.start_each_way(&actor, AccountId(id), is_granted).await? {
        items.push(tests.finished(&actor, run).await?.into());
    }
    Ok(Json(Tests { items }))
}

/// What was kept of the account's tests.
#[utoipa::path(get, path = "/accounts/{id}/tests", tag = "accounts", params(("id" = i64, Path)), responses((status = 200, body = Tests), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    At(id): At<i64>,
) -> Result<Json<Tests>, Problem> {
    let records = web.service.connection_tests().list(&actor, AccountId(id)).await?;
    Ok(Json(Tests { items: records.into_iter().map(Tested::from).collect() }))
}
