//! The agents of a connector as HTML: a code for a new one, who waits for approval, who is connected.

use domain::{
    actor::Permission,
    agent::{AgentCode, AgentRow},
    connector::Connector,
    ids::ConnectorId,
    time::Timestamp,
};
use leptos::prelude::*;

use crate::{
    connectors::PATH,
    context::{self, actor, service},
    error::UserError,
    inbox::text::plain,
    ui::{icon::Icon, notice::Empty, when::ago},
};

/// The agents, and the code if one was just made.
pub async fn load(connector: ConnectorId) -> Result<AnyView, UserError> {
    let (service, actor) = (service()?, actor()?);
    let rows = service.agents().list(&actor, connector).await?;
    let connector = service.connectors().load(&actor, connector).await?;
    let now = service.now();
    let code = use_context::<AgentCode>();
    Ok(view! { <Code connector=connector.clone() code/><Agents connector rows now/> }.into_any())
}

/// What is typed in the closed network. Its language is the shell's.
fn command(code: &str) -> String {
    format!("posthorn connector --server https://… --token-file … --allow mail.internal:993 --enroll {code}")
}

#[component]
fn Code(connector: Connector, code: Option<AgentCode>) -> impl IntoView {
    let words = &context::words().agents;
    let back = format!("{PATH}/{}", connector.id);
    let may_act = context::user().is_some_and(|it| it.role.may(Permission::Action));
    let form = move || {
        view! {
            <form method="post" action=format!("{PATH}/{}/agents/code", connector.id)>
                <button class="button primary" type="submit">{words.make_code}</button>
            </form>
        }
    };
    let body = match code {
        Some(AgentCode { code, expires_at }) => {
            let good_until = words.good_until(format!("{} UTC", expires_at.to_minute()));
            view! {
                <div role="status">
                    <p><strong>{words.code}": "<span class="mono">{code.clone()}</span></strong></p>
                    <p>{words.shown_once}" "{good_until}</p>
                </div>
                <p>{words.run_this}</p>
                <pre tabindex="0">{command(&code)}</pre>
                <p>{words.then}</p>
                <p><a class="button primary" href=format!("{back}/agents")>{words.go_on}</a></p>
            }
            .into_any()
        }
        None => may_act.then(form).into_any(),
    };
    view! {
        <section class="card">
            <p><a href=back.clone()><bdi>{connector.draft.name}</bdi></a></p>
            <p>{words.intro}</p>
            {body}
        </section>
    }
}

#[component]
fn Agents(connector: Connector, rows: Vec<AgentRow>, now: Timestamp) -> impl IntoView {
    let words = &context::words().agents;
    if rows.is_empty() {
        return view! {
            <Empty title=words.empty hint=words.empty_hint><a href=format!("{PATH}/{}", connector.id)>{words.back}</a></Empty>
        }
        .into_any();
    }
    let title = context::words().connectors.agents;
    let heads = [words.name, words.fingerprint, words.version, words.state, context::words().common.actions];
    let id = connector.id;
    view! {
        <div class="table-region" role="region" aria-label=title tabindex="0">
            <table>
                <caption class="visually-hidden">{title}</caption>
                <thead><tr>{heads.map(|it| view! { <th scope="col">{it}</th> }).into_iter().collect_view()}</tr></thead>
                <tbody>{rows.into_iter().map(|row| view! { <Row connector=id row now/> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Row(connector: ConnectorId, row: AgentRow, now: Timestamp) -> impl IntoView {
    let words = &context::words().agents;
    let user = context::user();
    let may = |permission| user.as_ref().is_some_and(|it| it.role.may(permission));
    let name_id = format!("agent-{}", row.agent.id);
    let base = format!("{PATH}/{connector}/agents/{}", row.agent.id);
    let version = row.agent.version.to_string();
    let approve = (row.agent.approved_at.is_none() && may(Permission::Action)).then(|| {
        view! {
            <form method="post" action=format!("{base}/approve")>
                <input type="hidden" name="version" value=version.clone()/>
                <button class="button compact primary" type="submit" aria-describedby=name_id.clone()>{words.approve}</button>
            </form>
        }
    });
    let remove = may(Permission::Delete).then(|| {
        view! {
            <form method="post" action=format!("{base}/remove")>
                <input type="hidden" name="version" value=version.clone()/>
                <button class="button compact danger" type="submit" aria-describedby=name_id.clone()>{words.remove}</button>
            </form>
        }
    });
    let state = state(&row, now);
    let draft = row.agent.draft;
    view! {
        <tr>
            <th scope="row" id=name_id.clone()><bdi>{plain(&draft.name)}</bdi></th>
            <td class="hash">{draft.fingerprint}</td>
            <td><bdi>{plain(&draft.program_version)}</bdi></td>
            <td class="prose">{state}</td>
            <td class="row-actions">{approve}{remove}</td>
        </tr>
    }
}

/// Whether it waits, is connected, or was seen last.
fn state(row: &AgentRow, now: Timestamp) -> impl IntoView + use<> {
    let words = &context::words().agents;
    let seen = |at: Option<Timestamp>| at.map_or_else(|| words.never_seen.to_owned(), |it| words.seen(ago(it, now)));
    let (class, icon, text, hint) = match (&row.tunnel, row.agent.approved_at) {
        (_, None) => ("state warn", "alert", words.waiting.to_owned(), words.compare.to_owned()),
        (Some(tunnel), Some(_)) => {
            let hint =
                format!("{}; {}", words.dialled(ago(tunnel.since, now)), words.streams(u64::from(tunnel.n_streams)));
            ("state ok", "check", words.connected.to_owned(), hint)
        }
        (None, Some(_)) => ("state", "clock", words.away.to_owned(), seen(row.agent.last_seen_at)),
    };
    view! { <span class=class><Icon name=icon/>{text}</span><p class="hint">{hint}</p> }
}

#[cfg(test)]
mod tests {
    use domain::{
        agent::{Agent, AgentDraft, Tunnel},
        ids::AgentId,
    };

    use super::*;

    fn row(approved: bool, connected: bool) -> AgentRow {
        let at = Timestamp::from_seconds;
        AgentRow {
            agent: Agent {
                id: AgentId(7),
                version: 3,
                connector_id: ConnectorId(1),
                draft: AgentDraft {
                    name: "<b>plant</b>".to_owned(),
                    fingerprint: "SHA256:abc".to_owned(),
                    program_version: "1.0.0".to_owned(),
                },
                enrolled_at: at(0),
                approved_at: approved.then(|| at(1)),
                last_seen_at: Some(at(60)),
            },
            tunnel: connected.then(|| Tunnel { agent_id: AgentId(7), since: at(60), n_streams: 2 }),
        }
    }

    #[test]
    fn an_agent_waits_is_connected_or_was_seen() {
        let html =
            |row: AgentRow| Owner::new().with(|| view! { {state(&row, Timestamp::from_seconds(120))} }.to_html());
        assert!(html(row(false, false)).contains("Waiting for approval"));
        let connected = html(row(true, true));
        assert!(connected.contains("Dialled in 1 min ago") && connected.contains("2 connections"), "{connected}");
        let away = html(row(true, false));
        assert!(away.contains("Not connected") && away.contains("1 min ago"), "{away}");
        let line = Owner::new().with(|| {
            let (connector, now) = (ConnectorId(1), Timestamp::from_seconds(120));
            view! { <Row connector row=row(false, false) now/> }.to_html()
        });
        assert!(line.contains("&lt;b&gt;plant&lt;/b&gt;") && line.contains("SHA256:abc"), "{line}");
    }
}
