//! A TCP relay on 127.0.0.1 that makes the way longer but not narrower: every byte leaves a fixed time after it came.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

const CHUNK: usize = 64 * 1024;
/// More than any client here has under way: the relay is never what holds it up.
const CHUNKS_UNDER_WAY: usize = 4096;

/// Relays until the value is gone.
pub(crate) struct Relay {
    pub(crate) port: u16,
    is_over: Arc<AtomicBool>,
}

/// Bytes and when they are to leave.
type Chunk = (Instant, Vec<u8>);

impl Relay {
    /// To this port of 127.0.0.1, with the delay in each direction.
    pub(crate) fn start(to: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever calls sees an end at once where the server does not answer.
                if let Ok(far) = TcpStream::connect(("127.0.0.1", to)) {
                    _ = join(&near, &far, delay);
                }
            }
        });
        Ok(Self { port, is_over })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It waits for a connection: this is the last one.
        _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(near: &TcpStream, far: &TcpStream, delay: Duration) -> std::io::Result<()> {
    for (from, to) in [(near, far), (far, near)] {
        to.set_nodelay(true)?;
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (put, take) = sync_channel(CHUNKS_UNDER_WAY);
        thread::spawn(move || take_in(from, &put, delay));
        thread::spawn(move || give_out(to, &take));
    }
    Ok(())
}

/// Notes of everything that comes when it is to leave.
fn take_in(mut from: TcpStream, put: &SyncSender<Chunk>, delay: Duration) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        // An end takes as long as what came before it.
        if put.send((Instant::now() + delay, buffer[..n].to_vec())).is_err() || n == 0 {
            break;
        }
    }
}

fn give_out(mut to: TcpStream, take: &Receiver<Chunk>) {
    for (leaves_at, bytes) in take {
        thread::sleep(leaves_at.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other direction goes on: its own end comes by itself.
    _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Shutdown, TcpListener, TcpStream},
        thread,
        time::{Duration, Instant},
    };

    use super::Relay;

    #[test]
    fn a_relay_delays_both_ways_and_changes_nothing() {
        const DELAY: Duration = Duration::from_millis(25);
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port(), DELAY).unwrap();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|it| it.to_le_bytes()[0]).collect();
        let echo = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(&got).unwrap();
        });
        let began = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(began.elapsed() >= 2 * DELAY);
        assert!(got == sent, "{} of {} bytes came back", got.len(), sent.len());
        echo.join().unwrap();
    }
}
