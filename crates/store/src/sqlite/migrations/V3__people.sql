-- People: their access, their consents, the drafts that they send, and the e-mail that reaches them.

-- For whose access a transfer is parked; NULL for the account's own.
ALTER TABLE transfers ADD COLUMN parked_for TEXT;
DROP INDEX transfers_parked;
CREATE INDEX transfers_parked ON transfers (account, parked, parked_for) WHERE parked IS NOT NULL;

-- Records of before cannot be opened as grants: no version that was released wrote any.
DROP TABLE vault;
CREATE TABLE vault (
    n INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    sender TEXT NOT NULL,
    user_id TEXT,
    kind TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    granted_at INTEGER NOT NULL,
    renew_at INTEGER,
    refused_at INTEGER,
    version INTEGER NOT NULL,
    renewing_until INTEGER,
    UNIQUE (account, sender)
) STRICT;
CREATE INDEX vault_key ON vault (key_id);

-- Consents under way. `n` is their order, by which the oldest are found.
CREATE TABLE consents (
    n INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    state BLOB NOT NULL,
    browser BLOB NOT NULL,
    key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (account, state)
) STRICT;
CREATE INDEX consents_expired ON consents (expires_at);
CREATE INDEX consents_key ON consents (key_id);

-- Drafts that pages of ours send. `sender` is with whose access the platform was asked; `asked_at` stands while it is not known what came of it, `sent_at` from when it is.
CREATE TABLE drafts (
    n INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (n),
    draft TEXT NOT NULL,
    sender TEXT,
    asked_at INTEGER,
    last_asked_at INTEGER,
    sent_at INTEGER,
    lease_token INTEGER NOT NULL,
    leased_until INTEGER,
    UNIQUE (account, draft)
) STRICT;
CREATE INDEX drafts_unclear ON drafts (asked_at) WHERE asked_at IS NOT NULL AND sent_at IS NULL;
CREATE TABLE draft_envelopes (
    draft INTEGER NOT NULL REFERENCES drafts (n),
    envelope TEXT NOT NULL,
    PRIMARY KEY (draft, envelope)
) STRICT, WITHOUT ROWID;

-- Lines of a timeline that tell what we did ourselves.
ALTER TABLE timeline ADD COLUMN by_us INTEGER NOT NULL DEFAULT 0;

-- What people were told of a task: by the first mail that was sent, when it was put into a mail, and when the admins were
-- last told that it is overdue.
ALTER TABLE tasks ADD COLUMN mailed_at INTEGER;
ALTER TABLE tasks ADD COLUMN mail_queued_at INTEGER;
ALTER TABLE tasks ADD COLUMN overdue_told_at INTEGER;
CREATE INDEX tasks_untold ON tasks (assignee, n) WHERE resolved_at IS NULL AND mail_queued_at IS NULL;
CREATE INDEX tasks_due ON tasks (due_at)
    WHERE resolved_at IS NULL AND overdue_told_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX tasks_aging ON tasks (opened_at)
    WHERE resolved_at IS NULL AND overdue_told_at IS NULL AND due_at IS NULL;
CREATE INDEX tasks_overdue ON tasks (overdue_told_at) WHERE resolved_at IS NULL AND overdue_told_at IS NOT NULL;

-- The queue of e-mail. `next_at` is there as long as something is left to be done; while a mail is on its way it is the end
-- of the lease.
CREATE TABLE mails (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER,
    claimed_at INTEGER,
    leased_until INTEGER,
    sent_at INTEGER,
    dropped_at INTEGER,
    error TEXT
) STRICT;
CREATE UNIQUE INDEX mails_open ON mails (recipient) WHERE sent_at IS NULL AND dropped_at IS NULL;
CREATE INDEX mails_due ON mails (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX mails_sent ON mails (recipient, sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE mail_tasks (
    mail INTEGER NOT NULL REFERENCES mails (n),
    task INTEGER NOT NULL REFERENCES tasks (n),
    reason TEXT NOT NULL,
    PRIMARY KEY (mail, task)
) STRICT, WITHOUT ROWID;
