//! The limits of e-mail, with unit and reason.

use std::time::Duration;

/// How often the queue is looked at without a hint: other processes give none, and nobody reads mail by the second.
pub(super) const MAIL_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause before a look that a hint asks for: a flood of commits is a few looks a second.
pub(super) const MAIL_LOOK_PAUSE: Duration = Duration::from_millis(250);
/// How long a claimed mail is ours: longer than the longest try ([`SMTP_GREETING_TIMEOUT`] and all that follows it).
pub(super) const MAIL_LEASE: Duration = Duration::from_secs(10 * 60);
/// Pause after a failed try, before the next mail: a server that is down is not knocked at by a thousand mails at once.
pub(super) const MAIL_FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Tries of one mail before it is given up. With waits that double up to an hour, less their jitter, this is about five days:
/// a mail server that is down over a long weekend loses nothing.
pub(super) const MAIL_TRIES_MAX: u32 = 170;
/// Tries to record that a mail was sent: what is not recorded is sent again.
pub(super) const MAIL_RECORD_TRIES_MAX: u32 = 5;
/// How long the mail under way may take to end at shutdown; the engine itself waits a little longer.
pub(super) const MAIL_SHUTDOWN_WAIT: Duration = Duration::from_secs(15);

/// Time to connect to one of the mail server's addresses.
pub(super) const SMTP_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to being let in (TLS and login included): servers let strangers wait up to 30 seconds.
pub(super) const SMTP_GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// Answer to one command: servers look a recipient up meanwhile.
pub(super) const SMTP_COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Handing the message over and its answer: servers look for viruses meanwhile.
pub(super) const SMTP_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// Taking leave; nothing depends on it.
pub(super) const SMTP_LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest file of certificates, in bytes: all public authorities together are a quarter of it.
pub(super) const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Largest template file, in bytes: ten times ours.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 64 * 1024;
/// Instructions of one rendering: ours stay below with twice the tasks that a mail lists.
pub(super) const TEMPLATE_FUEL: u64 = 200_000;
/// Calls of a template's macros within each other.
pub(super) const TEMPLATE_RECURSION_MAX: usize = 50;
/// Largest body, in bytes: ours stay below in the worst case, and many servers refuse messages beyond 10 MB.
pub(super) const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Characters of a subject; mail programs show fewer.
pub(super) const SUBJECT_CHARS_MAX: usize = 160;
/// Characters of a task's texts in a mail; the whole text stands in the task.
pub(super) const TEXT_CHARS_MAX: usize = 500;
/// Characters of a name (account, envelope, person) in a mail.
pub(super) const NAME_CHARS_MAX: usize = 120;
/// Counts (kind and account) listed in a mail.
pub(super) const COUNTS_MAX: usize = 20;
/// Accounts named in one line of the log.
pub(super) const LOGGED_ACCOUNTS_MAX: usize = 5;
