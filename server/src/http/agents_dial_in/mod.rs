//! Agents, from enrolment to removal: real agents, a real WebSocket, the whole system behind it.

mod world;

use domain::{
    account::Address,
    audit::{AuditAction, AuditQuery},
    check::ErrorKind,
    connector::TestForm,
};
use service::secret::Secret;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};

use self::world::{HANG, World, comes_back, echo, eventually, flood, is_over, root};

#[tokio::test]
async fn nothing_goes_by_an_agent_before_somebody_has_approved_it() {
    let (world, port) = (World::open().await, echo().await);
    let none = world.refusal("127.0.0.1", port).await;
    assert!(none.contains("no agent of this connector is connected"), "{none}");
    let running = world.start("plant-1", &format!("127.0.0.1:{port}"), Some(world.code().await));
    eventually("an agent that waits", async || world.row("plant-1").await.is_some()).await;
    let row = world.row("plant-1").await.unwrap();
    assert_eq!((&row.agent.draft.fingerprint, row.agent.approved_at), (&running.fingerprint, None));
    assert!(row.tunnel.is_none());
    world.refusal("127.0.0.1", port).await;
    world.approve("plant-1").await;
    let (mut stream, agent) = world.connect("127.0.0.1", port).await.unwrap();
    assert_eq!(agent, "plant-1");
    comes_back(&mut stream, b"hello").await;
    assert_eq!(world.row("plant-1").await.unwrap().tunnel.unwrap().n_streams, 1);
    drop(stream);
    assert_eq!(world.row("plant-1").await.unwrap().tunnel.unwrap().n_streams, 0);

    let log = world.system.service.audit().list(&root(), &AuditQuery::default()).await.unwrap();
    let actions: Vec<_> = log.items.iter().map(|it| it.entry.action).collect();
    let expected = [AuditAction::AgentApproved, AuditAction::AgentEnrolled, AuditAction::AgentCodeMade];
    assert_eq!(actions[..3], expected);
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
    eventually("the end of the tunnel", async || world.row("plant-1").await.unwrap().tunnel.is_none()).await;
}

#[tokio::test]
async fn a_code_enrols_one_agent_and_a_wrong_one_none() {
    let world = World::open().await;
    let code = world.code().await;
    let first = world.start("first", "", Some(code.clone()));
    eventually("an agent that waits", async || world.row("first").await.is_some()).await;
    for (name, code) in [("second", code), ("third", Secret::new("AAAA-BBBB-CCCC-DDDD".to_owned()))] {
        let error = world.start(name, "", Some(code)).task.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("does not take the code"), "{error}");
    }
    assert_eq!(world.rows().await.len(), 1);
    first.kill().await;
}

#[tokio::test]
async fn a_server_that_is_reached_under_another_address_takes_no_signature() {
    let world = World::reached_under(Some("https://mail.example.org")).await;
    let error = world.start("plant", "", Some(world.code().await)).task.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("another address"), "{error}");
    assert!(world.rows().await.is_empty());
}

#[tokio::test]
async fn an_agent_goes_where_its_list_allows_and_nowhere_else() {
    let (world, port, other) = (World::open().await, echo().await, echo().await);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    // The name of the machine itself is named for a port for which its addresses are not.
    let allow = format!("127.0.0.0/8:{port},127.0.0.1:{closed},localhost:{other}");
    let _running = world.agent("plant", &allow).await;
    for host in ["127.0.0.1", "localhost"] {
        let (mut stream, _) = world.connect(host, port).await.unwrap();
        comes_back(&mut stream, host.as_bytes()).await;
    }
    for (host, port) in [("127.0.0.1", other), ("localhost", other), ("10.0.0.1", port), ("::1", port)] {
        let message = world.refusal(host, port).await;
        assert!(message.contains("plant may not go there"), "{host}: {message}");
    }
    let message = world.refusal("127.0.0.1", closed).await;
    assert!(message.contains("gets no connection there"), "{message}");
}

#[tokio::test]
async fn an_agent_that_is_removed_is_cut_off_and_comes_back_no_more() {
    let (world, port) = (World::open().await, echo().await);
    let running = world.agent("plant", &format!("127.0.0.1:{port}")).await;
    let (mut stream, _) = world.connect("127.0.0.1", port).await.unwrap();
    comes_back(&mut stream, b"before").await;
    let agent = world.row("plant").await.unwrap().agent;
    let agents = world.system.service.agents();
    agents.remove(&root(), world.connector, agent.id, agent.version).await.unwrap();
    assert!(is_over(&mut stream).await);
    assert!(world.rows().await.is_empty());
    // With the key that it has it is nobody now.
    running.kill().await;
    let again = world.start("plant", "", Some(Secret::new("AAAA-BBBB-CCCC-DDDD".to_owned())));
    assert!(again.task.await.unwrap().is_err());
    world.refusal("127.0.0.1", port).await;
}

#[tokio::test]
async fn two_agents_share_the_load_and_stand_in_for_each_other() {
    let (world, port) = (World::open().await, echo().await);
    let allow = format!("127.0.0.1:{port}");
    let (first, _second) = (world.agent("first", &allow).await, world.agent("second", &allow).await);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(world.connect("127.0.0.1", port).await.unwrap());
    }
    for name in ["first", "second"] {
        assert_eq!(streams.iter().filter(|(_, by)| by == name).count(), 5, "{name}");
    }
    first.kill().await;
    for (mut stream, by) in streams {
        if by == "first" {
            assert!(is_over(&mut stream).await);
        } else {
            comes_back(&mut stream, b"still here").await;
        }
    }
    let (mut stream, by) = world.connect("127.0.0.1", port).await.unwrap();
    assert_eq!(by, "second");
    comes_back(&mut stream, b"instead").await;
    // The first one comes back by itself, without a code.
    let _first = world.start("first", &allow, None);
    world.connected("first").await;
}

#[tokio::test]
async fn what_one_agent_may_not_reach_another_one_may() {
    let (world, port) = (World::open().await, echo().await);
    let _first = world.agent("narrow", "10.0.0.0/8:143").await;
    let _second = world.agent("wide", &format!("127.0.0.1:{port}")).await;
    for _ in 0..4 {
        assert_eq!(world.connect("127.0.0.1", port).await.unwrap().1, "wide");
    }
}

#[tokio::test]
async fn one_agent_carries_250_connections_at_once() {
    let (world, port) = (World::open().await, echo().await);
    let _running = world.agent("plant", &format!("127.0.0.1:{port}")).await;
    let mut all = JoinSet::new();
    for n in 0..250_u32 {
        let (hub, connector) = (world.system.hub.clone(), world.connector);
        all.spawn(async move {
            let address = Address::parse("127.0.0.1").unwrap();
            let (mut stream, _) = hub.connect(connector, &address, port).await.unwrap();
            comes_back(&mut stream, format!("hello {n}").as_bytes()).await;
            (n, stream)
        });
    }
    let mut streams = timeout(HANG, all.join_all()).await.expect("opening hangs");
    assert_eq!(world.row("plant").await.unwrap().tunnel.unwrap().n_streams, 250);
    // All at once again, and more than a window holds.
    let mut all = JoinSet::new();
    for (n, mut stream) in streams.drain(..) {
        let text = vec![u8::try_from(n % 251).unwrap(); 300 * 1024];
        all.spawn(async move {
            let (mut from, mut to) = tokio::io::split(&mut stream);
            let mut back = vec![0; text.len()];
            let (sent, read) = tokio::join!(to.write_all(&text), from.read_exact(&mut back));
            assert!(sent.is_ok() && read.is_ok() && back == text);
        });
    }
    timeout(HANG * 2, all.join_all()).await.expect("the echoes hang");
    assert_eq!(world.row("plant").await.unwrap().tunnel.unwrap().n_streams, 0);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (world, flooding, port) = (World::open().await, flood().await, echo().await);
    let _running = world.agent("plant", &format!("127.0.0.1:{port},127.0.0.1:{flooding}")).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(world.connect("127.0.0.1", flooding).await.unwrap().0);
    }
    let (mut stream, _) = world.connect("127.0.0.1", port).await.unwrap();
    for _ in 0..100 {
        comes_back(&mut stream, &[b'y'; 10_000]).await;
    }
    let mut some = vec![0; 1024 * 1024];
    timeout(HANG, unread[0].read_exact(&mut some)).await.expect("what was left unread goes on").unwrap();
}

#[tokio::test]
async fn the_test_of_a_connector_goes_by_its_agents() {
    let (world, port) = (World::open().await, echo().await);
    let connectors = world.system.service.connectors();
    let alone = connectors.test(&root(), world.connector, &TestForm::default()).await.unwrap();
    assert_eq!(alone.error.map(|it| it.kind), Some(ErrorKind::Connector));
    assert!(connectors.load(&root(), world.connector).await.unwrap().contact.failure().is_some());
    let _running = world.agent("plant", &format!("127.0.0.1:{port}")).await;
    let alone = connectors.test(&root(), world.connector, &TestForm::default()).await.unwrap();
    assert!(alone.error.is_none() && alone.stages[0].detail.ends_with('1'), "{alone:?}");
    let denied = TestForm { address: "127.0.0.1".to_owned(), port: "1".to_owned() };
    let denied = connectors.test(&root(), world.connector, &denied).await.unwrap();
    assert!(denied.error.unwrap().message.contains("may not go there"));
}

#[tokio::test]
async fn an_agent_that_dials_anew_takes_the_place_of_its_old_tunnel() {
    let (world, port) = (World::open().await, echo().await);
    let allow = format!("127.0.0.1:{port}");
    let _running = world.agent("plant", &allow).await;
    let (mut stream, _) = world.connect("127.0.0.1", port).await.unwrap();
    // The same key on another machine, or the same machine before the old connection was missed.
    let _again = world.start("plant", &allow, None);
    assert!(is_over(&mut stream).await);
    eventually("one tunnel", async || world.connect("127.0.0.1", port).await.is_ok()).await;
}
