//! Delivers e-mail: takes it from a queue, writes it, and hands it to a mail server or, on a desk, into a directory.
//!
//! What waits is in memory. A mail that a node could not deliver before it ended is lost, and the person asks again; for notices
//! `notifier.rs` knows how far they have come.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp;
use lettre::transport::smtp::response::Code;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::letter::Letter;
use crate::clock::Clock;
use crate::domain::account::breaks_line;
use crate::domain::mail::{Mail, Subject};
use crate::domain::secret::SmtpUrl;

/// Mails that wait for their delivery. Who finds the queue full is to ask again.
pub const QUEUE: usize = 256;
/// Mails that are delivered at the same time; one that is repeated keeps its place.
pub(super) const AT_ONCE: usize = 8;
/// The pauses before a delivery is tried again: what a mail server needs for a restart.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// How long the mail server may take for one answer.
const ANSWER: Duration = Duration::from_secs(20);
/// What a stopping server gives to the mails that wait.
pub(super) const LAST_DELIVERIES: Duration = Duration::from_secs(5);

/// Delivers mails.
#[derive(Clone)]
pub struct Post {
    carrier: Carrier,
    from: Mailbox,
    /// What links begin with.
    public_url: String,
    clock: Clock,
}

#[derive(Clone)]
enum Carrier {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Spool(PathBuf),
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Delivered,
    /// The mail server does not take it: it said so for good, or in all tries.
    Refused,
    /// It may be delivered yet: the mail server is away or lets nobody in, or this node stops.
    Open,
}

/// Why a mail was not delivered, without a word of what is in it or of whom it is to.
struct Failure {
    reason: String,
    /// Trying again would not mend it.
    is_final: bool,
    blames: Blames,
}

/// What a failure speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blames {
    /// The mail: the server said no to it.
    Mail,
    /// The server or the way to it; or the mail, where the server lets us in.
    Unclear,
    /// Us: the server wants another password.
    Us,
}

impl Post {
    /// Delivers to a mail server. `from` is an address, with or without a name. Connects to nothing yet.
    ///
    /// # Errors
    /// What is wrong with the URL or the address, in words that do not repeat the URL.
    pub fn by_smtp(url: &SmtpUrl, from: &str, public_url: String, clock: Clock) -> Result<Self, String> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
        // The library's own words may quote parts of the URL.
        let server = server.map_err(|_| "no address of a mail server, such as smtps://user:password@mail.example")?;
        let carrier = Carrier::Smtp(server.timeout(Some(ANSWER)).build());
        Self::new(carrier, from, public_url, clock)
    }

    /// Writes each mail into a file `.eml` of a directory, which is made when it is needed.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn to_spool(directory: PathBuf, from: &str, public_url: String, clock: Clock) -> Result<Self, String> {
        Self::new(Carrier::Spool(directory), from, public_url, clock)
    }

    fn new(carrier: Carrier, from: &str, public_url: String, clock: Clock) -> Result<Self, String> {
        let from = from.parse().map_err(|_| format!("{from:?} is no address to send mails from"))?;
        Ok(Self { carrier, from, public_url, clock })
    }

    /// Delivers what comes in until `stop`, and then, for a few seconds, what still waits.
    pub async fn run(self, incoming: mpsc::Receiver<Mail>, stop: CancellationToken) {
        let mails = futures::stream::unfold(incoming, |mut incoming| async {
            let mail = tokio::select! {
                mail = incoming.recv() => mail,
                () = stop.cancelled() => {
                    incoming.close();
                    incoming.recv().await
                }
            };
            mail.map(|mail| (mail, incoming))
        });
        let (post, stopping) = (&self, &stop);
        let all = mails.for_each_concurrent(AT_ONCE, |mail| async move {
            post.deliver(&mail, stopping).await;
        });
        let too_late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_DELIVERIES).await;
        };
        tokio::select! {
            () = all => {}
            () = too_late => tracing::warn!("stopped before every mail was delivered"),
        }
    }

    /// Delivers one mail, as often as it takes within some minutes. Why it was not delivered is logged.
    pub(super) async fn deliver(&self, mail: &Mail, stop: &CancellationToken) -> Delivery {
        self.deliver_with(&PAUSES, mail, stop).await
    }

    async fn deliver_with(&self, pauses: &[Duration], mail: &Mail, stop: &CancellationToken) -> Delivery {
        let about = name(&mail.subject);
        let mut pauses = pauses.iter();
        loop {
            let Err(Failure { reason, is_final, blames }) = self.send(mail).await else {
                tracing::debug!(about, "mail delivered");
                return Delivery::Delivered;
            };
            let pause = pauses.next();
            if let Some(pause) = pause.filter(|_| !is_final && !stop.is_cancelled()) {
                tracing::warn!(about, reason, "a mail could not be delivered yet");
                tokio::select! { () = tokio::time::sleep(*pause) => {}, () = stop.cancelled() => {} }
                continue;
            }
            let was_tried = is_final || pause.is_none();
            let delivery = match blames {
                Blames::Mail if was_tried => Delivery::Refused,
                // Once more: it may have come back just now.
                Blames::Unclear if was_tried && self.lets_in().await => match self.send(mail).await {
                    Ok(()) => return Delivery::Delivered,
                    Err(_) => Delivery::Refused,
                },
                _ => Delivery::Open,
            };
            tracing::error!(about, reason, "a mail was not delivered");
            return delivery;
        }
    }

    /// Whether there is a mail server that would take a mail from us.
    async fn lets_in(&self) -> bool {
        match &self.carrier {
            Carrier::Smtp(server) => server.test_connection().await.unwrap_or_default(),
            Carrier::Spool(_) => false,
        }
    }

    async fn send(&self, mail: &Mail) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Smtp(server) => {
                let message = self.write(mail, quoted)?;
                server.send(message).await.map(drop).map_err(|error| Failure::of_server(&error))
            }
            Carrier::Spool(directory) => {
                let message = self.write(mail, plain)?;
                let written = self.spool(directory, &message.formatted()).await;
                written.map_err(|error| Failure {
                    reason: format!("the spool: {error}"),
                    is_final: false,
                    blames: Blames::Unclear,
                })
            }
        }
    }

    /// Under its name once it is whole; names sort by time, and within a millisecond in the order of this node. Nobody else may
    /// look: mails hold tokens.
    async fn spool(&self, directory: &PathBuf, message: &[u8]) -> std::io::Result<()> {
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).await?;
        let name = format!("{}-{}", self.clock.now().strftime("%Y%m%dT%H%M%S%3f"), Uuid::now_v7().simple());
        let (part, whole) = (directory.join(format!(".{name}")), directory.join(format!("{name}.eml")));
        tokio::fs::write(&part, message).await?;
        tokio::fs::rename(part, whole).await
    }

    /// The library encodes what stands in headers, so that nothing there can begin another; only of a line break in a
    /// name it makes a panic. No account has such a name, but that is decided elsewhere.
    fn write(&self, mail: &Mail, encode: impl Fn(String) -> Body) -> Result<Message, Failure> {
        let broken = |what: &str| Failure { reason: what.to_owned(), is_final: true, blames: Blames::Mail };
        let letter = Letter::about(&mail.subject, mail.locale.as_deref(), &self.public_url);
        let to: Address = mail.to.parse().map_err(|_| broken("no address"))?;
        let name = mail.name.replace(breaks_line, " ");
        let id = match &mail.subject {
            // The same when it comes again, so that whoever reads it can tell.
            Subject::Notice { notice, .. } => notice.id.clone(),
            _ => Uuid::new_v4().to_string(),
        };
        let generated = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(name), to))
            .subject(letter.subject)
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(generated, "auto-generated".to_owned()))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(encode(letter.text))
            .map_err(|_| broken("no message"))
    }
}

impl Failure {
    fn of_server(error: &smtp::Error) -> Self {
        let reason = match error.status() {
            // Its words quote the address.
            Some(code) => format!("the mail server answered {code}"),
            None if error.is_response() => "the mail server answered what is not SMTP".to_owned(),
            None => error.to_string(),
        };
        Self { reason, is_final: error.is_permanent(), blames: error.status().map_or(Blames::Unclear, blamed_by) }
    }
}

/// What an answer speaks against (RFC 5321, RFC 4954). With 421 and 454 servers put off a mail as well as everybody.
fn blamed_by(code: Code) -> Blames {
    match u16::from(code) {
        421 | 454 => Blames::Unclear,
        530 | 534 | 535 | 538 => Blames::Us,
        _ => Blames::Mail,
    }
}

/// For every mail server: not all take eight bits.
fn quoted(text: String) -> Body {
    Body::new(text)
}

/// For the eyes: a link can be copied from the file.
fn plain(text: String) -> Body {
    Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::EightBit)
}

fn name(subject: &Subject) -> &'static str {
    match subject {
        Subject::Verification { .. } => "verification",
        Subject::Reset { .. } => "reset",
        Subject::PasswordChanged => "password changed",
        Subject::EmailChanging => "email changing",
        Subject::EmailTaken => "email taken",
        Subject::Notice { .. } => "appointment",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(from: &str) -> Result<Post, String> {
        Post::to_spool(PathBuf::new(), from, "https://citas.example".to_owned(), Clock)
    }

    fn written(name: &str, to: &str) -> Result<String, String> {
        let mail = Mail {
            to: to.to_owned(),
            name: name.to_owned(),
            locale: Some("es-CO".to_owned()),
            subject: Subject::Reset { token: "AbC-_9".into() },
        };
        let post = post("Citas Ñ <citas@clinica.example>")?;
        let message = post.write(&mail, quoted).map_err(|failure| failure.reason)?;
        String::from_utf8(message.formatted()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_cannot_add_a_header_or_somebody_else() {
        let evil = "Bcc: x@evil.example";
        for name in [
            format!("Ana\r\n{evil}"),
            format!("Ana\n{evil}"),
            format!("Ana\r{evil}\r\n\r\nHola"),
            format!("Ñandú\r\n {evil}"),
            "Ana\" <x@evil.example>, \"Eva".to_owned(),
            "Ana, x@evil.example".to_owned(),
            "=?utf-8?q?Ana=0D=0ABcc:_x@evil.example?=".to_owned(),
            "\u{2028}Ana\0\u{85}".to_owned(),
            "Ñ".repeat(100),
        ] {
            let text = written(&name, "ana@example.com").expect("a message");
            let head = text.split_once("\r\n\r\n").expect("a head").0;
            let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
            let headers: Vec<_> =
                unfolded.split("\r\n").map(|line| line.split(':').next().unwrap_or_default()).collect();
            assert_eq!(
                headers,
                [
                    "From",
                    "To",
                    "Subject",
                    "Date",
                    "Message-ID",
                    "Auto-Submitted",
                    "MIME-Version",
                    "Content-Type",
                    "Content-Transfer-Encoding"
                ],
                "{text}"
            );
            assert!(text.is_ascii() && !head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text}");
            let to = unfolded.split("\r\n").find(|line| line.starts_with("To: ")).expect("a recipient");
            assert!(to.ends_with("<ana@example.com>"), "{to}");
        }
    }

    #[test]
    fn an_address_that_is_more_than_one_is_none() {
        for to in ["", "ana", "ana@example.com\r\nBcc: x@evil.example", "ana@example.com, x@evil.example", "a b@c.co"] {
            assert!(written("Ana", to).is_err(), "{to:?}");
        }
        for from in ["", "Cita", "a@b.co, c@d.co", "Cita <a@b.co>\r\nBcc: x@y.z"] {
            assert!(post(from).is_err(), "{from:?}");
        }
    }

    /// A mail server at which a mail with `Ana` in it breaks; `lets_in`: whether it greets at all.
    async fn fragile(lets_in: bool) -> String {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (read, mut write) = stream.split();
                let (mut lines, mut in_data) = (BufReader::new(read).lines(), false);
                let greeting: &[u8] = if lets_in { b"220 here\r\n" } else { b"421 later\r\n" };
                write.write_all(greeting).await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer: &[u8] = match line.as_str() {
                        _ if in_data && line.contains("Ana") => break,
                        "." => b"250 taken\r\n",
                        _ if in_data => continue,
                        "DATA" => b"354 go on\r\n",
                        _ => b"250 here\r\n",
                    };
                    in_data = line == "DATA";
                    if write.write_all(answer).await.is_err() {
                        break;
                    }
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn a_mail_at_which_a_server_breaks_does_not_wait_for_ever() {
        let mail = |name: &str| Mail {
            to: "ana@example.com".to_owned(),
            name: name.to_owned(),
            locale: None,
            subject: Subject::PasswordChanged,
        };
        for (lets_in, name, expected) in [
            (true, "Eva", Delivery::Delivered),
            (true, "Ana", Delivery::Refused),
            (false, "Eva", Delivery::Open),
            (false, "Ana", Delivery::Open),
        ] {
            let url = fragile(lets_in).await;
            let post = Post::by_smtp(&url.as_str().into(), "a@b.co", String::new(), Clock).expect("a server");
            let stop = CancellationToken::new();
            assert_eq!(post.deliver_with(&[], &mail(name), &stop).await, expected, "{lets_in} {name}");
            // What was not tried as often as it may be is not given up.
            stop.cancel();
            if expected != Delivery::Delivered {
                assert_eq!(post.deliver_with(&PAUSES, &mail(name), &stop).await, Delivery::Open, "{lets_in} {name}");
            }
        }
    }

    #[test]
    fn a_url_of_no_mail_server_is_not_repeated() {
        for url in ["", "mail.example", "http://user:hunter22@mail.example", "smtp://user:hunter22@:x?tls=hunter22"] {
            let refused = Post::by_smtp(&url.into(), "a@b.co", String::new(), Clock).err().expect("no such server");
            assert!(!refused.contains("hunter22") && !refused.contains("http:"), "{refused}");
        }
    }
}
