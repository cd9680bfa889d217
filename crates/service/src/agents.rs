//! The use cases of agents: people enrol, approve and remove them; the agents themselves ask whether they are welcome.

use std::time::Duration;

use domain::{
    actor::{Actor, Permission, Role},
    agent::{Agent, AgentCode, AgentDraft, AgentRow},
    audit::{AuditAction, AuditEntry},
    connector::ConnectorKind,
    ids::{AgentId, ConnectorId},
    problem::Rule,
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::StoreError,
    secret::Secret,
};

/// How long a code is good.
const CODE_GOOD_FOR: Duration = Duration::from_mins(15);
/// What an instance that was lost said of its tunnels is forgotten after so long.
const TUNNEL_KEPT: Duration = Duration::from_mins(1);
/// Groups of four letters and digits: eighty bits.
const CODE_GROUPS: usize = 4;

/// The use cases of agents.
pub struct Agents<'a>(pub(crate) &'a Parts);

/// What becomes of an agent that proved to have its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Welcome(Agent),
    /// Nobody has approved it yet.
    Waiting,
    /// The code is none, or none any more.
    WrongCode,
    /// It is not enrolled, or was removed.
    Unknown,
}

impl Agents<'_> {
    /// The agents of a connector, with the tunnels that they hold to this instance.
    pub async fn list(&self, actor: &Actor, connector: ConnectorId) -> Result<Vec<AgentRow>, Error> {
        need(actor, Permission::List)?;
        self.check_kind(connector).await?;
        let tunnels = self.0.tunnels.live(connector);
        let row = |agent: Agent| {
            let tunnel = tunnels.iter().find(|it| it.agent_id == agent.id).cloned();
            AgentRow { agent, tunnel }
        };
        Ok(self.0.store.list_agents(connector).await?.into_iter().map(row).collect())
    }

    /// Makes a code that enrols one agent of this connector. It is told this once.
    pub async fn make_code(&self, actor: &Actor, connector: ConnectorId) -> Result<AgentCode, Error> {
        need(actor, Permission::Action)?;
        let subject = self.check_kind(connector).await?;
        let (code, now) = (fresh_code(), self.0.clock.now());
        let expires_at = now.plus(CODE_GOOD_FOR);
        let entry = entry(actor, now, AuditAction::AgentCodeMade, subject);
        self.0.store.add_agent_code(connector, &hash(&code), expires_at, now, &[entry]).await?;
        Ok(AgentCode { code, expires_at })
    }

    /// From now on mail credentials may travel by this agent. Whoever approves has compared its fingerprint.
    pub async fn approve(&self, actor: &Actor, connector: ConnectorId, id: AgentId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Action)?;
        let (agent, subject) = self.find(connector, id).await?;
        let now = self.0.clock.now();
        let entry =
            AuditEntry { after: picture(&agent.draft), ..entry(actor, now, AuditAction::AgentApproved, subject) };
        self.0.store.approve_agent(id, version, now, &[entry]).await?;
        Ok(())
    }

    /// Its tunnels end at once; those to other instances as soon as they look.
    pub async fn remove(&self, actor: &Actor, connector: ConnectorId, id: AgentId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let (agent, subject) = self.find(connector, id).await?;
        let now = self.0.clock.now();
        let entry =
            AuditEntry { before: picture(&agent.draft), ..entry(actor, now, AuditAction::AgentRemoved, subject) };
        self.0.store.remove_agent(id, version, &[entry]).await?;
        self.0.tunnels.cut(id);
        Ok(())
    }

    /// Whether an agent that proved to have its key may carry connections; with a code that is good it is enrolled first.
    pub async fn admit(&self, draft: &AgentDraft, code: Option<&Secret>, origin: &str) -> Result<Admission, Error> {
        let store = &self.0.store;
        if let Some(agent) = store.find_agent_by_key(&draft.fingerprint).await? {
            store.touch_agent(agent.id, &draft.program_version, self.0.clock.now()).await?;
            return Ok(if agent.approved_at.is_some() { Admission::Welcome(agent) } else { Admission::Waiting });
        }
        let Some(code) = code else { return Ok(Admission::Unknown) };
        let (hash, now) = (hash(code.expose()), self.0.clock.now());
        let Some(connector) = store.agent_code(&hash, now).await? else {
            tracing::warn!(origin, fingerprint = draft.fingerprint, "an agent came with a code that is not good");
            return Ok(Admission::WrongCode);
        };
        let of = self.check_kind(connector).await?;
        let actor = Actor { user_id: None, name: "agent".to_owned(), role: Role::Viewer, origin: origin.to_owned() };
        let subject = format!("agent \"{}\" of {of}", draft.name);
        let entry = AuditEntry { after: picture(draft), ..entry(&actor, now, AuditAction::AgentEnrolled, subject) };
        match store.enroll_agent(&hash, draft, now, &[entry]).await {
            Ok(_) => Ok(Admission::Waiting),
            Err(StoreError::NotFound) => Ok(Admission::WrongCode),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an agent that holds a tunnel may go on; notes that it is there.
    pub async fn is_welcome(&self, agent: &Agent) -> Result<bool, Error> {
        let found = self.0.store.find_agent(agent.id).await?;
        let is_welcome = found.is_some_and(|it| it.approved_at.is_some());
        if is_welcome {
            self.0.store.touch_agent(agent.id, &agent.draft.program_version, self.0.clock.now()).await?;
        }
        Ok(is_welcome)
    }

    /// Tells the other instances that this one, which checks accounts, has a tunnel of the agent.
    pub async fn announce(&self, agent: &Agent) -> Result<(), Error> {
        let now = self.0.clock.now();
        Ok(self.0.store.touch_tunnel(agent.id, self.0.tunnels.instance(), now, now.minus(TUNNEL_KEPT)).await?)
    }

    /// Tells them that it has none any more.
    pub async fn retract(&self, agent: &Agent) -> Result<(), Error> {
        let tunnels = &self.0.tunnels;
        // It may have dialled anew meanwhile.
        if tunnels.live(agent.connector_id).iter().any(|it| it.agent_id == agent.id) {
            return Ok(());
        }
        Ok(self.0.store.end_tunnel(agent.id, tunnels.instance()).await?)
    }

    /// `connector 3 "Plant"`, if agents are its way.
    async fn check_kind(&self, id: ConnectorId) -> Result<String, Error> {
        let connector = self.0.store.find_connector(id).await?.ok_or(Error::NotFound)?;
        if connector.draft.kind == ConnectorKind::Agent {
            Ok(format!("connector {id} \"{}\"", connector.draft.name))
        } else {
            Err(Error::field("kind", Rule::NotAnOption))
        }
    }

    async fn find(&self, connector: ConnectorId, id: AgentId) -> Result<(Agent, String), Error> {
        let of = self.check_kind(connector).await?;
        let agent = self.0.store.find_agent(id).await?.filter(|it| it.connector_id == connector);
        let agent = agent.ok_or(Error::NotFound)?;
        let subject = format!("agent {id} \"{}\" of {of}", agent.draft.name);
        Ok((agent, subject))
    }
}

/// As it is kept. Eighty random bits need no salt.
fn hash(code: &str) -> String {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    blake3::hash(code.to_ascii_uppercase().as_bytes()).to_hex().to_string()
}

/// Letters and digits that are not mistaken for each other.
fn fresh_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letter = || char::from(LETTERS[usize::from(rand::random::<u8>() % 32)]);
    let group = || (0..4).map(|_| letter()).collect::<String>();
    (0..CODE_GROUPS).map(|_| group()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_recognised_however_it_is_typed_and_no_other_is() {
        let code = fresh_code();
        assert_eq!(code.len(), 19);
        assert_eq!(hash(&code), hash(&format!(" {} ", code.replace('-', "").to_ascii_lowercase())));
        assert_ne!(hash(&code), hash(&fresh_code()));
    }
}
