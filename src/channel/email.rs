//! E-mail: what a message looks like on the wire, and the two ways out (SMTP, `.eml` files).

use super::smtp_pool::{SmtpOptions, SmtpPool};
use super::{Outgoing, SendOutcome};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncFileTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Failure to set the channel up.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    #[error("sender address must be `name@domain` or `Name <name@domain>`")]
    Sender,
    #[error("address for replies must be `name@domain` or `Name <name@domain>`")]
    ReplyTo,
    #[error("directory for outgoing mail cannot be made: {0}")]
    Directory(#[from] std::io::Error),
    #[error("TLS for the mail server cannot be set up: {0}")]
    Tls(String),
}

/// The channel e-mail.
#[derive(Debug)]
pub struct EmailChannel {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Smtp(Box<SmtpPool>),
    File(AsyncFileTransport<Tokio1Executor>),
}

impl EmailChannel {
    /// Hands mail to an SMTP server.
    pub fn smtp(from: &str, options: SmtpOptions) -> Result<Self, EmailError> {
        Ok(Self {
            from: sender(from)?,
            reply_to: None,
            transport: Transport::Smtp(Box::new(SmtpPool::new(options)?)),
        })
    }

    /// Writes mail as `.eml` files into a directory, which is made if it does not exist.
    pub fn files(from: &str, directory: &Path) -> Result<Self, EmailError> {
        std::fs::create_dir_all(directory)?;
        Ok(Self {
            from: sender(from)?,
            reply_to: None,
            transport: Transport::File(AsyncFileTransport::new(directory)),
        })
    }

    /// The same, with a name beside the sender's address; empty changes nothing.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        if !name.is_empty() {
            self.from.name = Some(name.to_owned());
        }
        self
    }

    /// The same, with replies going to another address than the sender's; empty changes nothing.
    pub fn with_reply_to(self, address: &str) -> Result<Self, EmailError> {
        if address.is_empty() {
            return Ok(self);
        }
        let reply_to = address.parse().map_err(|_| EmailError::ReplyTo)?;
        Ok(Self {
            reply_to: Some(reply_to),
            ..self
        })
    }

    /// Hands one message over.
    pub async fn send(&self, message: &Outgoing) -> SendOutcome {
        if let Some(header) = self.unwritable(message) {
            return SendOutcome::Permanent {
                detail: format!("{header} holds control characters, which no header may"),
                address_is_bad: false,
            };
        }
        let Ok(mail) = mail(&self.from, self.reply_to.as_ref(), message) else {
            return SendOutcome::Permanent {
                detail: "address is not one that mail can be sent to".to_owned(),
                address_is_bad: true,
            };
        };
        match &self.transport {
            Transport::Smtp(pool) => pool.send(mail.envelope(), &mail.formatted()).await,
            Transport::File(files) => match files.send(mail).await {
                Ok(_) => SendOutcome::Accepted,
                Err(error) => SendOutcome::Retry {
                    after: None,
                    detail: format!("file could not be written: {error}"),
                },
            },
        }
    }

    /// What cannot stand in a header: lettre panics over such a name, and writes such a URL as it is.
    fn unwritable(&self, message: &Outgoing) -> Option<&'static str> {
        let name = self.from.name.as_deref().unwrap_or_default();
        [
            ("the name of the sender", name),
            ("the subject", &message.subject),
            ("the URL to unsubscribe", &message.unsubscribe_url),
        ]
        .into_iter()
        .find_map(|(what, text)| text.contains(char::is_control).then_some(what))
    }

    /// `Message-ID` of a notice, without angle brackets.
    pub fn message_id(&self, notice: crate::notice::NoticeId) -> String {
        message_id(&self.from, notice)
    }
}

fn sender(from: &str) -> Result<Mailbox, EmailError> {
    from.parse().map_err(|_| EmailError::Sender)
}

fn message_id(from: &Mailbox, notice: crate::notice::NoticeId) -> String {
    format!("{notice}@{}", from.email.domain())
}

fn mail(
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
    message: &Outgoing,
) -> Result<Message, lettre::error::Error> {
    let to = message
        .to
        .trim()
        .parse()
        .map_err(|_| lettre::error::Error::MissingTo)?;
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(message.now_ms).unwrap_or(0));
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(&message.subject)
        .date(now)
        .message_id(Some(format!("<{}>", message_id(from, message.notice))))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("Content-Language", message.language))
        .raw_header(header(
            "List-Unsubscribe",
            &format!("<{}>", message.unsubscribe_url),
        ))
        .raw_header(header(
            "List-Unsubscribe-Post",
            "List-Unsubscribe=One-Click",
        ));
    if let Some(reply_to) = reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(root) = message.thread {
        let root = format!("<{}>", message_id(from, root));
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    builder.multipart(MultiPart::alternative_plain_html(
        message.text.clone(),
        message.html.clone(),
    ))
}

/// A header whose value must not be touched: all of them are ASCII.
fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str(name),
        value.to_owned(),
        value.to_owned(),
    )
}
