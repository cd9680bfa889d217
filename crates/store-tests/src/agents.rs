//! Agents: codes that are good once and for a while, approval, and what goes with the connector.

use domain::{
    agent::AgentDraft,
    audit::{AuditAction, AuditQuery},
    ids::{AgentId, ConnectorId},
};
use service::ports::StoreError;

use crate::{
    Subject,
    samples::{at, connector, entry},
};

fn agent_draft(nth: u32) -> AgentDraft {
    AgentDraft {
        name: format!("plant-{nth}"),
        fingerprint: format!("SHA256:{nth}"),
        program_version: "1.0.0".to_owned(),
    }
}

/// An agent that waits for approval.
async fn agent(store: &Subject, connector: ConnectorId, nth: u32) -> AgentId {
    let code = format!("code {nth}");
    store.add_agent_code(connector, &code, at(900), at(0), &[]).await.unwrap();
    store.enroll_agent(&code, &agent_draft(nth), at(1), &[]).await.unwrap()
}

pub async fn a_code_enrols_one_agent_while_it_is_good(store: Subject) {
    let plant = connector(&store, "Plant").await;
    let made = [entry(AuditAction::AgentCodeMade, "ana", "Plant")];
    store.add_agent_code(plant, "one", at(900), at(0), &made).await.unwrap();
    assert_eq!(store.agent_code("one", at(899)).await.unwrap(), Some(plant));
    assert_eq!(store.agent_code("one", at(900)).await.unwrap(), None);
    assert_eq!(store.agent_code("other", at(0)).await.unwrap(), None);
    let late = store.enroll_agent("one", &agent_draft(1), at(900), &[]).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");

    let enrolled = [entry(AuditAction::AgentEnrolled, "agent", "plant-1")];
    let id = store.enroll_agent("one", &agent_draft(1), at(5), &enrolled).await.unwrap();
    let found = store.find_agent(id).await.unwrap().unwrap();
    assert_eq!((found.connector_id, found.version, found.approved_at), (plant, 1, None));
    assert_eq!((&found.draft, found.enrolled_at, found.last_seen_at), (&agent_draft(1), at(5), Some(at(5))));
    assert_eq!(store.find_agent_by_key("SHA256:1").await.unwrap(), Some(found));
    let again = store.enroll_agent("one", &agent_draft(2), at(6), &enrolled).await;
    assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    assert_eq!(store.list_audit(&AuditQuery::default()).await.unwrap().total, 2);
    let nowhere = store.add_agent_code(ConnectorId(99), "two", at(900), at(0), &[]).await;
    assert!(matches!(nowhere, Err(StoreError::NotFound)), "{nowhere:?}");
}

pub async fn only_one_of_two_at_once_uses_a_code(store: Subject) {
    let plant = connector(&store, "Plant").await;
    store.add_agent_code(plant, "one", at(900), at(0), &[]).await.unwrap();
    let (first, second) = (agent_draft(1), agent_draft(2));
    let (first, second) =
        tokio::join!(store.enroll_agent("one", &first, at(1), &[]), store.enroll_agent("one", &second, at(1), &[]));
    assert_eq!(first.is_ok(), second.is_err());
    assert_eq!(store.list_agents(plant).await.unwrap().len(), 1);
}

pub async fn an_agent_is_approved_seen_and_removed(store: Subject) {
    let (plant, other) = (connector(&store, "Plant").await, connector(&store, "Other").await);
    let (first, second) = (agent(&store, plant, 1).await, agent(&store, plant, 2).await);
    let third = agent(&store, other, 3).await;
    let ids = |it: Vec<domain::agent::Agent>| it.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_agents(plant).await.unwrap()), [first, second]);

    assert!(matches!(store.approve_agent(first, 2, at(10), &[]).await, Err(StoreError::Conflict)));
    assert!(matches!(store.approve_agent(AgentId(99), 1, at(10), &[]).await, Err(StoreError::NotFound)));
    store.approve_agent(first, 1, at(10), &[]).await.unwrap();
    let found = store.find_agent(first).await.unwrap().unwrap();
    assert_eq!((found.version, found.approved_at), (2, Some(at(10))));

    // At most once a minute, unless the program was renewed; and it is no change of the record.
    for (version, seconds, expected) in [("1.0.0", 30, 1), ("1.0.0", 61, 61), ("1.0.0", 70, 61), ("1.0.1", 71, 71)] {
        store.touch_agent(first, version, at(seconds)).await.unwrap();
        let found = store.find_agent(first).await.unwrap().unwrap();
        assert_eq!((found.last_seen_at, found.version), (Some(at(expected)), 2), "{version} at {seconds}");
        assert_eq!(found.draft.program_version, version);
    }

    assert!(matches!(store.remove_agent(first, 1, &[]).await, Err(StoreError::Conflict)));
    store.remove_agent(first, 2, &[]).await.unwrap();
    assert_eq!(store.find_agent_by_key("SHA256:1").await.unwrap(), None);
    assert_eq!(ids(store.list_agents(plant).await.unwrap()), [second]);
    assert_eq!(ids(store.list_agents(other).await.unwrap()), [third]);
}

pub async fn other_instances_know_where_agents_are_connected(store: Subject) {
    let (plant, other) = (connector(&store, "Plant").await, connector(&store, "Other").await);
    let (first, second) = (agent(&store, plant, 1).await, agent(&store, plant, 2).await);
    let third = agent(&store, other, 3).await;
    for id in [first, second] {
        store.touch_tunnel(id, "a", at(0), at(0)).await.unwrap();
    }
    store.touch_tunnel(third, "b", at(10), at(0)).await.unwrap();
    let elsewhere = async |instance: &str, since| store.connectors_elsewhere(instance, at(since)).await.unwrap();
    assert_eq!((elsewhere("a", 0).await, elsewhere("b", 0).await), (vec![other], vec![plant]));
    assert_eq!(elsewhere("b", 1).await, []);
    store.touch_tunnel(first, "a", at(20), at(0)).await.unwrap();
    assert_eq!(elsewhere("b", 1).await, [plant]);
    store.end_tunnel(first, "a").await.unwrap();
    assert_eq!(elsewhere("b", 1).await, []);
    // What nobody has said for long is forgotten, and an agent that is gone has no tunnel.
    store.touch_tunnel(third, "b", at(100), at(50)).await.unwrap();
    assert_eq!(elsewhere("b", 0).await, []);
    store.remove_agent(third, 1, &[]).await.unwrap();
    assert_eq!(elsewhere("a", 0).await, []);
    let gone = store.touch_tunnel(third, "b", at(101), at(50)).await;
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
}

pub async fn agents_and_codes_go_with_their_connector(store: Subject) {
    let plant = connector(&store, "Plant").await;
    let id = agent(&store, plant, 1).await;
    store.add_agent_code(plant, "unused", at(900), at(0), &[]).await.unwrap();
    store.remove_connector(plant, 1, &[]).await.unwrap();
    assert_eq!(store.find_agent(id).await.unwrap(), None);
    assert_eq!(store.agent_code("unused", at(1)).await.unwrap(), None);
}
