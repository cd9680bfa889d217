//! What the store has, read back byte by byte.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use domain::{
    ids::{AccountId, MessageId},
    message::MessageQuery,
    page::{PAGE_SIZE_MAX, PageRequest},
    time::Timestamp,
};
use service::ports::Store;

pub(crate) type Hash = [u8; 32];

pub(crate) fn hash(raw: &[u8]) -> Hash {
    *blake3::hash(raw).as_bytes()
}

/// How many there are of each.
pub(crate) fn count(hashes: impl IntoIterator<Item = Hash>) -> BTreeMap<Hash, usize> {
    let mut counts = BTreeMap::new();
    for hash in hashes {
        *counts.entry(hash).or_default() += 1;
    }
    counts
}

pub(crate) struct StoredMessage {
    pub(crate) hash: Hash,
    pub(crate) at: Timestamp,
}

pub(crate) struct Archive {
    store: Arc<dyn Store>,
    /// A stored message never changes.
    read: Mutex<HashMap<MessageId, Hash>>,
}

impl Archive {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, read: Mutex::default() }
    }

    pub(crate) async fn stored(&self, account: AccountId) -> Vec<StoredMessage> {
        let mut all = Vec::new();
        for page in 1.. {
            let page = PageRequest::new(page, PAGE_SIZE_MAX);
            let query = MessageQuery { search: String::new(), page };
            let found = self.store.list_messages(account, None, &query).await.unwrap();
            for row in &found.items {
                let hash = self.hash_of(row.id, row.size).await;
                all.push(StoredMessage { hash, at: row.received_at });
            }
            if all.len() as u64 >= found.total {
                break;
            }
        }
        all
    }

    async fn hash_of(&self, id: MessageId, size: u64) -> Hash {
        if let Some(hash) = self.read.lock().unwrap().get(&id) {
            return *hash;
        }
        let mut whole = self.store.raw_part(id, 0).await.unwrap().expect("a stored message has bytes");
        let mut nth = 1;
        while let Some(part) = self.store.raw_part(id, nth).await.unwrap() {
            whole.extend(part);
            nth += 1;
        }
        assert_eq!(whole.len() as u64, size, "the size of message {id}");
        let hash = hash(&whole);
        self.read.lock().unwrap().insert(id, hash);
        hash
    }
}
