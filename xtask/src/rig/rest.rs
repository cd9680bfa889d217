//! Calls of posthorn's REST interface, one connection each.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The interface of one running instance, for one user.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// How long an answer may take.
    pub(crate) patience: Duration,
}

impl Rest {
    pub(crate) fn read(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.call("GET", path)?)?)
    }

    pub(crate) fn post(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.call("POST", path)?)?)
    }

    /// All records of a list, page after page.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1.. {
            let mut list = self.read(&format!("{path}?page={page}&page_size=200"))?;
            let total = list["total"].as_u64().context("total")?;
            let items = list["items"].as_array_mut().context("items")?;
            all.append(items);
            if all.len() as u64 >= total {
                break;
            }
        }
        Ok(all)
    }

    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.call("GET", path)
    }

    fn call(&self, method: &str, path: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n",
            self.address, self.token
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").context("the answer broke off")?;
        let body = answer.split_off(end + 4);
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        let said = || format!("{method} {path}: {head}{}", String::from_utf8_lossy(&body));
        ensure!(head.starts_with("http/1.1 2"), "{}", said());
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
        let length: usize = length.and_then(|it| it.trim().parse().ok()).with_context(said)?;
        ensure!(body.len() == length, "the answer broke off after {} of {length} bytes", body.len());
        Ok(body)
    }
}
