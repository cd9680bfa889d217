//! `/autodiscovery`: the settings that are proposed for a mail address.

use axum::{Extension, Json, extract::State};
use domain::{
    actor::Actor,
    discovery::{Discovered, LookUp, LookUpOutcome, Proposal, Standing},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    accounts::{Sent, sent},
    problem::Problem,
};
use crate::http::Web;

/// Whose settings are looked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read as a form of texts; this describes it")]
pub(crate) struct AutodiscoveryIn {
    #[schema(examples("ana@example.org"))]
    address: String,
}

/// A server that is proposed. Fields that an account has, too, have the same names.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProposalOut {
    #[schema(examples("imap", "pop3", "submission"))]
    protocol: &'static str,
    address: String,
    port: u16,
    secure_connection: bool,
    #[schema(examples("ssl", "tls"))]
    secure_connection_type: Option<&'static str>,
    username: String,
    /// Everybody who names it, the most binding first.
    #[schema(examples("srv", "autoconfig", "database", "guess"))]
    sources: Vec<&'static str>,
    /// The host is not within the domain of the address: let a person confirm it (RFC 6186 section 6).
    outside_domain: bool,
    /// Signing in with OAuth 2.0 tokens is offered.
    oauth: bool,
    /// `forbidden` by the egress policy, or `not_found` from here.
    #[schema(examples("open", "not_found", "forbidden"))]
    standing: &'static str,
}

impl From<Proposal> for ProposalOut {
    fn from(it: Proposal) -> Self {
        Self {
            protocol: it.service.as_str(),
            address: it.address.to_string(),
            port: it.port,
            secure_connection: it.security.is_secure(),
            secure_connection_type: it.security.kind(),
            sources: it.sources.iter().map(|it| it.as_str()).collect(),
            outside_domain: it.outside_domain,
            oauth: it.oauth,
            standing: match it.standing {
                Standing::Open => "open",
                Standing::NotFound => "not_found",
                Standing::Forbidden(_) => "forbidden",
            },
            username: it.user_name,
        }
    }
}

/// One question that was asked, and what came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct LookUpOut {
    #[schema(examples("srv", "autoconfig", "database", "guess"))]
    source: &'static str,
    /// The name or URL that was asked for.
    target: String,
    #[schema(examples("offers", "nothing", "not_offered", "failed"))]
    outcome: &'static str,
    /// How many servers the answer named that can be used.
    offers: usize,
    /// Why it failed.
    message: Option<String>,
}

impl From<LookUp> for LookUpOut {
    fn from(it: LookUp) -> Self {
        let (outcome, offers, message) = match it.outcome {
            LookUpOutcome::Offers(offers) => ("offers", offers.len(), None),
            LookUpOutcome::Nothing => ("nothing", 0, None),
            LookUpOutcome::NotOffered => ("not_offered", 0, None),
            LookUpOutcome::Failed(error) => ("failed", 0, Some(error.message)),
        };
        Self { source: it.source.as_str(), target: it.target, outcome, offers, message }
    }
}

/// What was found out. Nothing of it was saved or signed in to.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiscoveredOut {
    address: String,
    /// The best first.
    proposals: Vec<ProposalOut>,
    look_ups: Vec<LookUpOut>,
}

impl From<Discovered> for DiscoveredOut {
    fn from(it: Discovered) -> Self {
        Self {
            address: it.address.to_string(),
            proposals: it.proposals.into_iter().map(ProposalOut::from).collect(),
            look_ups: it.look_ups.into_iter().map(LookUpOut::from).collect(),
        }
    }
}

/// Looks for the settings of a mail address; answers within 15 seconds.
#[utoipa::path(post, path = "/autodiscovery", tag = "accounts", request_body = AutodiscoveryIn, responses((status = 200, body = DiscoveredOut), (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn discover(
    State(web): State<Web>,
    Extension(actor): Extension<Actor>,
    body: Sent,
) -> Result<Json<DiscoveredOut>, Problem> {
    let address = sent(body)?.text("address");
    Ok(Json(web.service.autodiscovery().discover(&actor, &address).await?.into()))
}
