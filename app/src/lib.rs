//! What people see: shell, screens, server functions. Compiled natively (`ssr`) and to WebAssembly (`hydrate`, `csr`).
//!
//! One folder a screen, with the same file names each time: `api.rs` (server functions), `report.rs` (a list), `form.rs`. The
//! kit in `ui` knows nothing of accounts. Truth lives in the URL, then on the server, then in a form's signals.
#![recursion_limit = "256"]
#![expect(clippy::needless_pass_by_value, reason = "the properties of a component are its own")]

pub mod accounts;
pub mod agents;
pub mod audit;
pub mod authorities;
pub mod checks;
pub mod codec;
pub mod connection_tests;
pub mod connectors;
pub mod context;
pub mod credentials;
pub mod discovery;
pub mod egress;
pub mod error;
pub mod inbox;
pub mod ledger;
pub mod notices;
pub mod oauth;
pub mod posted;
pub mod posture;
#[cfg(feature = "ssr")]
pub mod refused;
pub mod schedules;
pub mod served;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod sign_in;
pub mod smtp;
pub mod ui;

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    SsrMode,
    components::{Redirect, Route, Router, Routes},
    path,
};

use served::records::{ListPage, Records};

/// The whole console.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    context::provide();
    // Tells tests and scripts that clicks do something from now on.
    Effect::new(|| {
        if let Some(body) = document().body() {
            _ = body.set_attribute("data-hydrated", "");
        }
    });
    view! {
        <Router>
            <Routes fallback=ui::page::NotFound>
                <Route path=path!("/") view=|| view! { <Redirect path=accounts::PATH/> } ssr=SsrMode::Async/>
                <Route path=path!("/sign-in") view=sign_in::SignInPage ssr=SsrMode::Async/>
                <Route path=path!("/set-up") view=sign_in::SetUpPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3") view=accounts::report::ReportPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/new") view=accounts::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/discover") view=discovery::DiscoveryPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/deleted") view=accounts::deleted::DeletedPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/save/:id") view=accounts::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id") view=accounts::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/inbox") view=inbox::InboxPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/quarantine") view=ledger::page::QuarantinePage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/quarantine/:remote/sample") view=ledger::page::SamplePage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/deletions") view=ledger::page::DeletionsPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/checks/:run/transcript") view=ledger::page::TranscriptPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/:id/test") view=connection_tests::TestPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/imap-pop3/test/:run") view=connection_tests::TestPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/checks") view=checks::page::ChecksPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/notices") view=notices::form::NoticesPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/notices/test") view=notices::form::NoticesPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials") view=|| view! { <ListPage of=Records::Credentials/> } ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/new") view=credentials::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/save/:id") view=credentials::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/rotate/:id") view=credentials::RotationPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/oauth/:id") view=oauth::OAuthPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/oauth/:id/start") view=oauth::OAuthPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/oauth/:id/fetch") view=oauth::OAuthPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/oauth/:id/device") view=oauth::DevicePage ssr=SsrMode::Async/>
                <Route path=path!("/settings/credentials/:id") view=credentials::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors") view=|| view! { <ListPage of=Records::Connectors/> } ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/new") view=connectors::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/save/:id") view=connectors::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/:id") view=connectors::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/:id/test") view=connectors::test::TestPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/:id/agents") view=agents::AgentsPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/connectors/:id/agents/code") view=agents::CodePage ssr=SsrMode::Async/>
                <Route path=path!("/settings/authorities") view=|| view! { <ListPage of=Records::Authorities/> } ssr=SsrMode::Async/>
                <Route path=path!("/settings/authorities/:id") view=authorities::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/egress") view=egress::EgressPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/smtp") view=|| view! { <ListPage of=Records::Smtp/> } ssr=SsrMode::Async/>
                <Route path=path!("/settings/posture") view=posture::PosturePage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/smtp/new") view=smtp::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/smtp/save/:id") view=smtp::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/smtp/:id") view=smtp::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/smtp/:id/test") view=smtp::test::TestPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/schedules") view=|| view! { <ListPage of=Records::Schedules/> } ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/schedules/new") view=schedules::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/schedules/save/:id") view=schedules::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/schedules/:id") view=schedules::form::FormPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/email/schedules/:id/runs") view=schedules::runs::RunsPage ssr=SsrMode::Async/>
                <Route path=path!("/settings/audit") view=audit::report::ReportPage ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}
