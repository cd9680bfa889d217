//! Where agents dial in: a WebSocket, the greeting, and the tunnel for as long as the agent is welcome.

use std::{io, time::Duration};

use axum::{
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use domain::agent::Agent;
use futures::{SinkExt as _, StreamExt as _, future::ready};
use mail::tunnel::{Answer, Attached, Frame, Frames, GREETING, MESSAGE_MAX, PROTOCOL, Refusal, answer, challenge};
use service::Admission;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use super::{Web, origin};

/// Greetings at once: whoever dials in has proved nothing yet.
pub(super) const GREETINGS_MAX: usize = 64;
/// How often is looked whether an agent is still welcome: another instance may have removed it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn tunnel(State(web): State<Web>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, format!("an agent of this server speaks {PROTOCOL}")).into_response();
    }
    let Ok(permit) = web.greetings.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many agents at once").into_response();
    };
    let from = origin(&web, &request.into_parts().0).0;
    upgrade.on_upgrade(move |socket| async move {
        if let Err(error) = serve(&web, socket, &from, permit).await {
            tracing::warn!(from, %error, "the tunnel of an agent broke");
        }
    })
}

async fn serve(web: &Web, socket: WebSocket, from: &str, permit: OwnedSemaphorePermit) -> io::Result<()> {
    let mut frames = frames(socket);
    let Ok(greeted) = timeout(GREETING, greet(web, &mut frames, from)).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not say who it is in time"));
    };
    drop(permit);
    let Some(agent) = greeted? else { return Ok(()) };
    let name = agent.draft.name.clone();
    tracing::info!(agent = %agent.id, name, from, "an agent is connected");
    let who = Attached { agent: agent.id, connector: agent.connector_id, name, since: web.service.now() };
    let result = web.hub.carry(who, frames, no_longer_welcome(web, &agent)).await;
    // Kept for a minute at most where that fails.
    _ = web.service.agents().retract(&agent).await;
    tracing::info!(agent = %agent.id, name = agent.draft.name, "an agent is gone");
    result
}

/// `None`: it was told why nothing comes of it.
async fn greet(web: &Web, frames: &mut impl Frames, from: &str) -> io::Result<Option<Agent>> {
    let refused = |refusal| (Answer::Refused(refusal), None);
    let (said, agent) = match challenge(frames, |it| web.config.is_agent_origin(it)).await? {
        Err(refusal) => refused(refusal),
        Ok(caller) => match web.service.agents().admit(&caller.draft, caller.code.as_ref(), from).await {
            Ok(Admission::Welcome(agent)) => (Answer::Welcome, Some(agent)),
            Ok(Admission::Waiting) => (Answer::Waiting, None),
            Ok(Admission::WrongCode) => refused(Refusal::Code),
            Ok(Admission::Unknown) => refused(Refusal::Unknown),
            Err(_) => refused(Refusal::Later),
        },
    };
    if let Answer::Refused(refusal) = said {
        tracing::warn!(from, ?refusal, "an agent was refused");
    }
    answer(frames, said).await?;
    Ok(agent)
}

/// Ends when the agent was removed; tells the other instances of the tunnel until then. A store that does not answer changes
/// nothing.
async fn no_longer_welcome(web: &Web, agent: &Agent) {
    loop {
        // First of all: it may have been removed between its greeting and its tunnel.
        if let Ok(false) = web.service.agents().is_welcome(agent).await {
            return;
        }
        // Where nothing is checked, nobody would be served by it.
        if web.config.collect.role.checks() {
            _ = web.service.agents().announce(agent).await;
        }
        sleep(LOOK_EVERY).await;
    }
}

fn frames(socket: WebSocket) -> impl Frames {
    let received = |message| match message {
        Message::Binary(bytes) => Ok(Frame::Data(bytes)),
        Message::Text(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "text came where bytes belong")),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(Frame::Life),
    };
    let sent = |frame| match frame {
        Frame::Data(bytes) => Message::Binary(bytes),
        Frame::Ping | Frame::Life => Message::Ping(axum::body::Bytes::new()),
    };
    let socket = socket.map(move |it| it.map_err(io::Error::other).and_then(received));
    socket.sink_map_err(io::Error::other).with(move |frame| ready(Ok(sent(frame))))
}
