//! A wire between a node and a mongod that can be disturbed: replies get lost, connections are cut, answers hang.
//!
//! It finds a command in what the node sends by its name as BSON has it, and does not read the wire otherwise.

use std::sync::Arc;

use mongodb::bson::{doc, serialize_to_vec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::clinic::PATIENCE;

/// What happens to a command that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It arrives, its reply does not: the connection is cut instead.
    LoseReply,
    /// The connection is cut before it arrives.
    Refuse,
    /// It arrives, its reply comes once the proxy is calmed.
    HoldReply,
    /// It arrives, its reply is replaced by an error with this code.
    Fail(i32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    fault: Option<(&'static str, Fault)>,
    /// How many commands are still to be disturbed.
    left: usize,
    /// How many were.
    done: usize,
}

/// A proxy in front of a mongod.
pub struct Proxy {
    port: u16,
    plan: Arc<watch::Sender<Plan>>,
}

impl Proxy {
    /// A proxy in front of the mongod of a connection string.
    pub async fn to(uri: &str) -> Self {
        let target = uri.trim_start_matches("mongodb://").split('/').next().expect("a URI has a host").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(watch::Sender::new(Plan::default()));
        let accepting = plan.clone();
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let (target, plan) = (target.clone(), accepting.clone());
                tokio::spawn(async move {
                    if let Ok(mongod) = TcpStream::connect(&target).await {
                        carry(node, mongod, &plan).await;
                    }
                });
            }
        });
        Self { port, plan }
    }

    /// The connection string of a database behind the proxy.
    pub fn uri(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?directConnection=true", self.port)
    }

    /// Disturbs the next `count` commands of this name.
    pub fn disturb(&self, command: &'static str, fault: Fault, count: usize) {
        self.plan.send_replace(Plan { fault: Some((command, fault)), left: count, done: 0 });
    }

    /// Ends the disturbance; held replies arrive.
    pub fn calm(&self) {
        self.plan.send_modify(|plan| (plan.fault, plan.left) = (None, 0));
    }

    /// How many commands were disturbed since [`Proxy::disturb`].
    pub fn disturbed(&self) -> usize {
        self.plan.borrow().done
    }

    /// Waits until that many were disturbed.
    pub async fn until_disturbed(&self, count: usize) {
        let mut plan = self.plan.subscribe();
        let reached = timeout(PATIENCE, plan.wait_for(|plan| plan.done >= count)).await;
        reached.expect("commands are disturbed in time").expect("the proxy is there");
    }
}

/// Carries both directions until one side ends, or the connection is cut.
async fn carry(mut node: TcpStream, mut mongod: TcpStream, plan: &watch::Sender<Plan>) {
    for socket in [&node, &mongod] {
        socket.set_nodelay(true).expect("a fresh socket takes options");
    }
    let (requests, to_node) = node.split();
    let (replies, to_mongod) = mongod.split();
    // Set while the reply to a disturbed command is on its way.
    let disturbing = watch::Sender::new(None);
    let cut = tokio::select! {
        cut = forward(requests, to_mongod, plan, &disturbing) => cut,
        cut = bring_back(replies, to_node, plan, &disturbing) => cut,
    };
    if cut {
        // A reset rather than an orderly end.
        node.set_zero_linger().expect("an open socket takes options");
    }
}

/// Returns whether the connection is to be cut.
async fn forward(
    mut requests: ReadHalf<'_>,
    mut to_mongod: WriteHalf<'_>,
    plan: &watch::Sender<Plan>,
    disturbing: &watch::Sender<Option<Fault>>,
) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = requests.read(&mut buffer).await else { return false };
        let fault = next_fault(plan, &buffer[..length]);
        if fault == Some(Fault::Refuse) {
            return true;
        }
        if fault.is_some() {
            disturbing.send_replace(fault);
        }
        if to_mongod.write_all(&buffer[..length]).await.is_err() {
            return false;
        }
    }
}

/// What is planned for this chunk, and that it happens.
fn next_fault(plan: &watch::Sender<Plan>, chunk: &[u8]) -> Option<Fault> {
    let mut found = None;
    plan.send_if_modified(|plan| {
        let Some((command, fault)) = plan.fault.filter(|_| plan.left > 0) else { return false };
        // A command is a document whose first field has its name: type, name, zero. Its value is a text, a 1 where it is about
        // no collection, the long number of a cursor; or a document, where it is a stage of a pipeline that is meant.
        let is_field = |kind: u8| {
            let field = [&[kind], command.as_bytes(), &[0]].concat();
            chunk.windows(field.len()).any(|window| window == field)
        };
        if ![2, 3, 16, 18].into_iter().any(is_field) {
            return false;
        }
        found = Some(fault);
        plan.left -= 1;
        plan.done += 1;
        true
    });
    found
}

async fn bring_back(
    mut replies: ReadHalf<'_>,
    mut to_node: WriteHalf<'_>,
    plan: &watch::Sender<Plan>,
    disturbing: &watch::Sender<Option<Fault>>,
) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = replies.read(&mut buffer).await else { return false };
        match disturbing.send_replace(None) {
            Some(Fault::LoseReply) => return true,
            Some(Fault::HoldReply) => {
                let calm = plan.subscribe().wait_for(|plan| plan.fault.is_none()).await.is_ok();
                assert!(calm, "the proxy is there");
            }
            Some(Fault::Fail(code)) => {
                let error = error(&buffer[..length], code);
                if to_node.write_all(&error).await.is_err() {
                    return false;
                }
                continue;
            }
            Some(Fault::Refuse) | None => {}
        }
        if to_node.write_all(&buffer[..length]).await.is_err() {
            return false;
        }
    }
}

/// An error in place of a reply, which is no longer than a chunk: length, two ids and kind of message; flags, kind of section, a document.
fn error(reply: &[u8], code: i32) -> Vec<u8> {
    let document = doc! { "ok": 0.0, "code": code, "codeName": "Injected", "errmsg": "injected by a test" };
    let document = serialize_to_vec(&document).expect("a document");
    let length = u32::try_from(16 + 5 + document.len()).expect("it is short");
    [&length.to_le_bytes()[..], &reply[4..16], &[0; 5], &document].concat()
}
