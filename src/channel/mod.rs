//! Ways to hand a notice to a person.
//!
//! A channel only says that it worked, that another try may work, or that none will.

pub mod email;
pub mod recorder;
pub mod smtp_pool;

use crate::clock::Millis;
use crate::notice::NoticeId;
use std::time::Duration;

/// A message on its way to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub notice: NoticeId,
    /// The notice that began the thread; `None` when this is it.
    pub thread: Option<NoticeId>,
    /// E-mail address.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub language: &'static str,
    pub unsubscribe_url: String,
    pub now_ms: Millis,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The next system has taken it over.
    Accepted,
    /// Another try may work, not before `after` if that is given.
    Retry {
        after: Option<Duration>,
        detail: String,
    },
    /// No try will work.
    Permanent {
        detail: String,
        /// The address itself is the reason: nothing should be sent there any more.
        address_is_bad: bool,
    },
}

/// A way to hand over messages.
#[derive(Debug)]
pub enum Channel {
    Email(email::EmailChannel),
    /// Keeps messages in memory and answers as it is told.
    Recorder(recorder::Recorder),
}

impl Channel {
    /// Hands one message over. Ends within the timeouts of the channel.
    pub async fn send(&self, message: &Outgoing) -> SendOutcome {
        match self {
            Self::Email(email) => email.send(message).await,
            Self::Recorder(recorder) => recorder.send(message),
        }
    }
}
