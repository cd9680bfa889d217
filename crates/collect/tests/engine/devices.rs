//! Device codes: the provider is asked at its interval by one at a time, and what it gives is stored before it counts.

use std::{sync::Arc, time::Duration};

use domain::{
    audit::{AuditAction, AuditQuery},
    device::DeviceState,
    ids::CredentialId,
    oauth::{Grant, TokenState},
};
use service::{
    Tokens,
    ports::{Clock as _, NewDeviceFlow, SealedPlace, SealedSecret},
};

use crate::{
    tokens::{FIRST, Scripted, settings, text},
    world::{LEASE, World},
};

const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);
const SLOW_DOWN: (u16, &str) = (400, r#"{"error":"slow_down"}"#);
const CODES: &str = r#"{"device_code":"the device code","token_url":"https://id.example.org/token",
    "shown":{"user_code":"WDJB-MJHT","verification_uri":"https://id.example.org/device"}}"#;

/// A credential whose owner was given a code that is good for ten minutes.
async fn begun(world: &World) -> CredentialId {
    let id = world.oauth_credential(settings(Grant::DeviceCode), None).await;
    let sealed = world.sealed(SealedPlace::DeviceCodes, id, CODES);
    let now = world.clock.now();
    let flow = NewDeviceFlow {
        sealed,
        started_by: "ana".to_owned(),
        started_at: now,
        until: now.plus(Duration::from_mins(10)),
        interval_s: 5,
        poll_at: now.plus(Duration::from_secs(5)),
    };
    world.store.start_device(id, &flow, &[]).await.unwrap();
    id
}

async fn state(world: &World, id: CredentialId) -> (DeviceState, Option<String>) {
    let row = world.store.find_device(id).await.unwrap().unwrap();
    (row.flow.state, row.flow.message)
}

async fn actions(world: &World) -> Vec<(AuditAction, String)> {
    let entries = world.store.list_audit(&AuditQuery::default()).await.unwrap().items;
    entries.into_iter().map(|it| (it.entry.action, it.entry.actor)).collect()
}

/// Seconds go by one after the other, in each of which both instances look; answers with the seconds in which they asked.
async fn asked_in(world: &World, provider: &Scripted, instances: &[Tokens; 2], seconds: u64) -> Vec<u64> {
    let mut asked = Vec::new();
    for second in 1..=seconds {
        world.clock.advance(Duration::from_secs(1));
        let before = provider.n_asked();
        let (one, two) = tokio::join!(instances[0].poll_devices(10), instances[1].poll_devices(10));
        one.and(two).unwrap();
        asked.extend((before..provider.n_asked()).map(|_| second));
    }
    asked
}

fn instances(world: &World, provider: &Arc<Scripted>) -> [Tokens; 2] {
    [(); 2].map(|()| world.tokens_of(Arc::<Scripted>::clone(provider)))
}

#[tokio::test]
async fn two_instances_ask_once_an_interval_and_slow_down_when_they_are_told_to() {
    let world = World::new().await;
    let provider = Scripted::answering(&[PENDING, SLOW_DOWN, PENDING, (200, FIRST)]);
    let instances = instances(&world, &provider);
    let id = begun(&world).await;
    // RFC 8628 section 3.5: five seconds more, for this question and all that follow.
    assert_eq!(asked_in(&world, &provider, &instances, 60).await, [5, 10, 20, 30]);
    let said = |name| provider.said(3, name);
    assert_eq!(said("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:device_code"));
    assert_eq!(said("device_code").as_deref(), Some("the device code"));
    assert_eq!(said("client_id").as_deref(), Some("posthorn"));
    assert_eq!(said("client_secret").as_deref(), Some("client secret"));
    assert_eq!(state(&world, id).await, (DeviceState::Granted, None));
    assert_eq!(actions(&world).await, [(AuditAction::OauthConsented, "ana".to_owned())]);
    assert_eq!(text(instances[1].access_token(id).await), "a1");
    assert_eq!(provider.n_asked(), 4);
    assert!(world.store.find_device(id).await.unwrap().unwrap().sealed.is_none(), "the codes are kept for nothing");
}

#[tokio::test]
async fn a_refusal_ends_it_and_names_its_reason() {
    for (error, expected) in [
        ("access_denied", DeviceState::Denied),
        ("expired_token", DeviceState::Expired),
        ("invalid_grant", DeviceState::Failed),
    ] {
        let world = World::new().await;
        let provider = Scripted::answering(&[(400, &format!(r#"{{"error":"{error}"}}"#))]);
        let id = begun(&world).await;
        assert_eq!(asked_in(&world, &provider, &instances(&world, &provider), 30).await, [5], "{error}");
        assert_eq!(state(&world, id).await, (expected, Some(error.to_owned())));
        assert_eq!(actions(&world).await, [(AuditAction::DeviceEnded, "ana".to_owned())]);
        let tokens = world.store.find_oauth(id).await.unwrap().unwrap();
        assert_eq!((tokens.status.state, tokens.tokens.is_some()), (TokenState::Never, false));
    }
}

#[tokio::test]
async fn a_code_that_nobody_entered_in_time_is_asked_about_no_more() {
    let world = World::new().await;
    let provider = Scripted::answering(&[]);
    let id = begun(&world).await;
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(asked_in(&world, &provider, &instances(&world, &provider), 5).await, [0; 0]);
    assert_eq!(state(&world, id).await, (DeviceState::Expired, Some("expired_token".to_owned())));
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_half_as_often_each_time() {
    let world = World::new().await;
    let busy = (503, "busy");
    let provider = Scripted::answering(&[busy, (200, "<html>"), busy, busy, busy, (200, FIRST)]);
    let id = begun(&world).await;
    let asked = asked_in(&world, &provider, &instances(&world, &provider), 300).await;
    assert_eq!(asked, [5, 15, 35, 75, 135, 195]);
    assert_eq!(state(&world, id).await.0, DeviceState::Granted);
}

#[tokio::test]
async fn what_an_instance_that_is_gone_had_begun_goes_on_in_another() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST)]);
    let id = begun(&world).await;
    world.clock.advance(Duration::from_secs(5));
    let now = world.clock.now();
    assert!(world.store.claim_device(id, now, now.plus(LEASE)).await.unwrap().is_some());
    // Another process, which knows nothing but what is stored.
    let asked = asked_in(&world, &provider, &instances(&world, &provider), 70).await;
    assert_eq!(asked, [60]);
    assert_eq!(state(&world, id).await.0, DeviceState::Granted);
}

#[tokio::test]
async fn what_was_cancelled_while_the_provider_answered_is_not_kept() {
    let world = World::new().await;
    let provider = Scripted::answering(&[(200, FIRST)]);
    let tokens = world.tokens_of(Arc::<Scripted>::clone(&provider));
    let id = begun(&world).await;
    world.clock.advance(Duration::from_secs(5));
    let cancel = async {
        while provider.n_asked() == 0 {
            tokio::task::yield_now().await;
        }
        world.store.cancel_device(id, &[]).await.unwrap();
    };
    let held = provider.held.lock().await;
    let (polled, ()) = tokio::join!(tokens.poll_devices(10), async {
        cancel.await;
        drop(held);
    });
    polled.unwrap();
    assert_eq!(state(&world, id).await, (DeviceState::Cancelled, None));
    assert_eq!(world.store.find_oauth(id).await.unwrap().unwrap().status.state, TokenState::Never);
}

#[tokio::test]
async fn a_code_that_another_key_sealed_has_to_be_asked_for_anew() {
    let world = World::new().await;
    let provider = Scripted::answering(&[]);
    let id = begun(&world).await;
    world.store.cancel_device(id, &[]).await.unwrap();
    let now = world.clock.now();
    let flow = NewDeviceFlow {
        sealed: SealedSecret(vec![1, 2, 3]),
        started_by: "ana".to_owned(),
        started_at: now,
        until: now.plus(Duration::from_mins(10)),
        interval_s: 1,
        poll_at: now,
    };
    world.store.start_device(id, &flow, &[]).await.unwrap();
    assert_eq!(asked_in(&world, &provider, &instances(&world, &provider), 5).await, [0; 0]);
    assert_eq!(state(&world, id).await, (DeviceState::Failed, Some("unreadable".to_owned())));
}
