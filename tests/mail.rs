//! Mail: what is handed over, to a mail server or into a directory, and what happens when that fails.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cita::app::{App, StartError};
use cita::clock::Clock;
use cita::domain::mail::{Mail, Subject};
use cita::domain::secret::SmtpUrl;
use cita::notify::mail::{Post, QUEUE};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::harness::clinic::{PATIENCE, PRODUCTION, config};
use crate::harness::mongo::scratch_dir;
use crate::harness::until;

/// A mail server that says a given line to each message and then takes all.
pub struct Server {
    address: SocketAddr,
    /// What it was sent: envelopes and messages, in order.
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `refusals`: what the first messages are answered.
    pub async fn open(refusals: &'static [&'static str]) -> Self {
        Self::open_at("127.0.0.1:0", refusals).await
    }

    /// The same, where somebody looks for it already.
    pub async fn open_at(address: &str, refusals: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let (address, taken) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
        let server = Self { address, taken: taken.clone() };
        let refusals = Arc::new(Mutex::new(refusals.iter()));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(converse(stream, refusals.clone(), taken.clone()));
            }
        });
        server
    }

    fn post(&self) -> Post {
        let url = SmtpUrl::from(self.url());
        let from = "Citas <citas@prueba.example>";
        Post::by_smtp(&url, from, "https://citas.prueba.example".to_owned(), Clock).expect("a mail server")
    }

    /// What `--smtp-url` is given.
    pub fn url(&self) -> String {
        format!("smtp://{}/citas.prueba.example", self.address)
    }

    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn converse(
    stream: TcpStream,
    refusals: Arc<Mutex<std::slice::Iter<'static, &'static str>>>,
    taken: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let (mut lines, mut session, mut in_data) = (BufReader::new(read).lines(), String::new(), false);
    write.write_all(b"220 mail.prueba.example\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        session.push_str(&line);
        session.push('\n');
        let answer = match line.as_str() {
            "." => {
                in_data = false;
                let refusal = refusals.lock().unwrap().next().copied();
                let whole = std::mem::take(&mut session);
                if refusal.is_none() {
                    taken.lock().unwrap().push(whole);
                }
                refusal.unwrap_or("250 taken")
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 mail.prueba.example",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// A post that delivers.
struct Office {
    mails: mpsc::Sender<Mail>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Office {
    fn open(post: Post) -> Self {
        let ((mails, incoming), stop) = (mpsc::channel(QUEUE), CancellationToken::new());
        let running = tokio::spawn(post.run(incoming, stop.clone()));
        Self { mails, stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.running).await.expect("it stops in time").expect("it stops well");
    }
}

fn reset(n: u32) -> Mail {
    Mail {
        to: format!("persona{n}@prueba.example"),
        name: "Íñigo Peña\r\nBcc: otra@prueba.example".to_owned(),
        locale: Some("es-CO".to_owned()),
        subject: Subject::Reset { token: format!("token-{n}-{}", "x".repeat(40)).into() },
    }
}

fn files(directory: &Path) -> Vec<String> {
    let mut found: Vec<_> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    found.sort();
    found.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn a_mail_server_that_is_busy_is_asked_again() {
    let server = Server::open(&["451 later", "421 later still"]).await;
    let office = Office::open(server.post());
    office.mails.send(reset(1)).await.unwrap();
    until(async || !server.taken().is_empty()).await;
    office.stop().await;
    let [taken] = &server.taken()[..] else { panic!("once: {:?}", server.taken()) };
    assert!(taken.contains("RCPT TO:<persona1@prueba.example>\n"), "{taken}");
    assert_eq!(taken.matches("RCPT TO:").count(), 1, "a name adds nobody: {taken}");
    assert!(!taken.contains("\nBcc:"), "{taken}");
    assert!(taken.is_ascii(), "whatever the server can take: {taken}");
}

#[tokio::test]
async fn what_a_mail_server_will_never_take_holds_up_nothing() {
    let server = Server::open(&["550 no such person"]).await;
    let office = Office::open(server.post());
    for n in 1..=3 {
        office.mails.send(reset(n)).await.unwrap();
    }
    until(async || server.taken().len() == 2).await;
    office.stop().await;
    assert_eq!(server.taken().len(), 2, "it is not tried again");
}

#[tokio::test]
async fn without_a_mail_server_mails_are_files() {
    let directory = scratch_dir().join("mail");
    let url = "http://127.0.0.1:8080".to_owned();
    let post = Post::to_spool(directory.clone(), "cita@localhost", url, Clock).expect("a spool");
    let office = Office::open(post);
    office.mails.send(reset(1)).await.unwrap();
    until(async || files(&directory).len() == 1).await;
    let [mail] = &files(&directory)[..] else { panic!("one file") };
    let link = format!("\r\nhttp://127.0.0.1:8080/reset-password#token=token-1-{}\r\n", "x".repeat(40));
    assert!(mail.contains(&link), "the link can be copied: {mail}");
    assert!(mail.contains("contraseña"), "{mail}");
    // What waits when the server stops is delivered still.
    for n in 2..=50 {
        office.mails.send(reset(n)).await.unwrap();
    }
    office.stop().await;
    assert_eq!(files(&directory).len(), 50);
}

#[tokio::test]
async fn nothing_is_served_to_the_public_without_mail() {
    let begin = async |options: &[&str]| match App::bind(config("mongodb://x/?", "mongodb://x/?", options)).await {
        Ok(_) => None,
        Err(StartError::Configuration(complaint)) => Some(complaint),
        Err(other) => panic!("{other}"),
    };
    assert!(begin(&PRODUCTION[..2]).await.expect("it is refused").contains("CITA_SMTP_URL"));
    assert_eq!(begin(&PRODUCTION).await, None);
    assert_eq!(begin(&[]).await, None);
    let wrong = ["--smtp-url", "http://user:hunter22@mail.example", "--mail-from", "a@b.co"];
    let complaint = begin(&wrong).await.expect("it is refused");
    assert!(complaint.contains("mail server") && !complaint.contains("hunter22"), "{complaint}");
    assert!(begin(&["--mail-from", "nobody"]).await.expect("it is refused").contains("nobody"));
}
