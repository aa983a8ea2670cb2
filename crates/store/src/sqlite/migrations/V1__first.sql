-- The first schema.
-- Times are microseconds since 1970. Rows lie in the order in which they came (rowid `n`), so that what is
-- written together and read together lies together.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    probes INTEGER NOT NULL,
    lease_token INTEGER NOT NULL,
    journal_entries INTEGER NOT NULL,
    journal_head BLOB NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0, zeroblob(32));

CREATE TABLE accounts (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE platforms (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;

-- One row per distinct callback. What changes (repeats, projection) stands here in a narrow row; the raw
-- request stands in `requests` and is never written again.
CREATE TABLE callbacks (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    account INTEGER NOT NULL,
    platform INTEGER NOT NULL,
    key BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    last_repeat_at INTEGER,
    unprojected INTEGER,
    channel TEXT,
    kind TEXT,
    envelope TEXT,
    quarantine_reason TEXT,
    envelope_n INTEGER
) STRICT;
CREATE UNIQUE INDEX callbacks_key ON callbacks (account, key);
CREATE UNIQUE INDEX callbacks_id ON callbacks (id);
CREATE INDEX callbacks_account ON callbacks (account, n);
CREATE INDEX callbacks_unprojected ON callbacks (unprojected) WHERE unprojected = 1;
CREATE INDEX callbacks_quarantined ON callbacks (n) WHERE quarantine_reason IS NOT NULL;
CREATE INDEX callbacks_quarantined_envelope ON callbacks (envelope) WHERE quarantine_reason IS NOT NULL;
-- Linked by the projector: envelopes' ids are random, and an index over them would cost intake a cold page
-- per callback.
CREATE INDEX callbacks_envelope ON callbacks (envelope_n) WHERE envelope_n IS NOT NULL;

CREATE TABLE requests (
    n INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    remote TEXT,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE envelopes (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (n),
    platform INTEGER NOT NULL REFERENCES platforms (n),
    status TEXT NOT NULL,
    confirmed INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    announced INTEGER NOT NULL,
    swept INTEGER NOT NULL,
    gap INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    completed_at INTEGER,
    archived_at INTEGER,
    disposed_at INTEGER,
    status_at_platform TEXT,
    name TEXT,
    sender TEXT
) STRICT;
CREATE UNIQUE INDEX envelopes_id ON envelopes (id, account);
CREATE INDEX envelopes_updated ON envelopes (updated_at, n);
CREATE INDEX envelopes_account ON envelopes (account, updated_at, n);
CREATE INDEX envelopes_status ON envelopes (status, updated_at, n);
CREATE INDEX envelopes_account_status ON envelopes (account, status, updated_at, n);
CREATE INDEX envelopes_gaps ON envelopes (updated_at, n) WHERE gap = 1;
CREATE INDEX envelopes_unsettled ON envelopes (account, id) WHERE settled = 0;

CREATE TABLE timeline (
    n INTEGER PRIMARY KEY,
    envelope INTEGER NOT NULL REFERENCES envelopes (n),
    callback INTEGER,
    part INTEGER NOT NULL,
    at INTEGER NOT NULL,
    heard_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    kind_at_platform TEXT NOT NULL,
    signer TEXT,
    detail TEXT
) STRICT;
CREATE UNIQUE INDEX timeline_callback ON timeline (callback, part) WHERE callback IS NOT NULL;
CREATE INDEX timeline_envelope ON timeline (envelope, at, n);

-- `state` is the whole transfer; the other columns are what queries need of it. `wake` gathers what came
-- while a worker held the lease.
CREATE TABLE transfers (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts (n),
    envelope INTEGER NOT NULL REFERENCES envelopes (n),
    phase TEXT NOT NULL,
    due_at INTEGER,
    parked TEXT,
    leased_node TEXT,
    leased_boot TEXT,
    leased_until INTEGER,
    lease_token INTEGER NOT NULL,
    wake TEXT,
    state TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX transfers_id ON transfers (id);
CREATE UNIQUE INDEX transfers_envelope ON transfers (envelope);
CREATE INDEX transfers_due ON transfers (account, due_at) WHERE leased_until IS NULL AND due_at IS NOT NULL;
CREATE INDEX transfers_leased ON transfers (leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX transfers_parked ON transfers (account, parked) WHERE parked IS NOT NULL;
CREATE INDEX transfers_account ON transfers (account, n);
CREATE INDEX transfers_phase ON transfers (phase, n);
CREATE INDEX transfers_account_phase ON transfers (account, phase, n);

CREATE TABLE attempts (
    n INTEGER PRIMARY KEY,
    transfer INTEGER NOT NULL REFERENCES transfers (n),
    step TEXT NOT NULL,
    subject TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX attempts_transfer ON attempts (transfer, n);

CREATE TABLE tasks (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    envelope TEXT,
    opened_at INTEGER NOT NULL,
    due_at INTEGER,
    assignee TEXT NOT NULL,
    what TEXT NOT NULL,
    todo TEXT NOT NULL,
    resolved_at INTEGER,
    resolution TEXT
) STRICT;
CREATE UNIQUE INDEX tasks_key ON tasks (key) WHERE resolved_at IS NULL;
CREATE INDEX tasks_envelope ON tasks (envelope, account) WHERE resolved_at IS NULL;
CREATE INDEX tasks_open ON tasks (n) WHERE resolved_at IS NULL;
CREATE INDEX tasks_settled ON tasks (n) WHERE resolved_at IS NOT NULL;

CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    account TEXT NOT NULL,
    envelope TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE INDEX journal_action ON journal (action, sequence);
CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal BEGIN
    SELECT raise(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_holds BEFORE DELETE ON journal BEGIN
    SELECT raise(ABORT, 'the journal is append-only');
END;

CREATE TABLE sweeps (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    account INTEGER NOT NULL REFERENCES accounts (n),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    seen INTEGER NOT NULL,
    found INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX sweeps_finished ON sweeps (account, finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE senders (
    account INTEGER NOT NULL REFERENCES accounts (n),
    envelope TEXT NOT NULL,
    sender TEXT NOT NULL,
    noted_at INTEGER NOT NULL,
    PRIMARY KEY (account, envelope)
) STRICT, WITHOUT ROWID;

CREATE TABLE vault (
    n INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    owner TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    sealed_at INTEGER NOT NULL,
    UNIQUE (account, owner)
) STRICT;
CREATE INDEX vault_key ON vault (key_id);

-- Counts that are kept, so that nobody counts. Callbacks are counted by intake's batches (one addition per
-- batch); the rest by triggers, so that no writer can forget it.
CREATE TABLE counters (
    kind TEXT NOT NULL,
    account INTEGER NOT NULL,
    word TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (kind, account, word)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER envelopes_count_new AFTER INSERT ON envelopes BEGIN
    INSERT INTO counters VALUES ('envelopes', NEW.account, NEW.status, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER envelopes_count_status AFTER UPDATE OF status ON envelopes WHEN OLD.status <> NEW.status BEGIN
    UPDATE counters SET count = count - 1
        WHERE kind = 'envelopes' AND account = OLD.account AND word = OLD.status;
    INSERT INTO counters VALUES ('envelopes', NEW.account, NEW.status, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER envelopes_count_new_gap AFTER INSERT ON envelopes WHEN NEW.gap = 1 BEGIN
    INSERT INTO counters VALUES ('gaps', 0, '', 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER envelopes_count_gap AFTER UPDATE OF gap ON envelopes WHEN OLD.gap <> NEW.gap BEGIN
    INSERT INTO counters VALUES ('gaps', 0, '', NEW.gap - OLD.gap)
        ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;
CREATE TRIGGER transfers_count_new AFTER INSERT ON transfers BEGIN
    INSERT INTO counters VALUES ('transfers', NEW.account, NEW.phase, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER transfers_count_phase AFTER UPDATE OF phase ON transfers WHEN OLD.phase <> NEW.phase BEGIN
    UPDATE counters SET count = count - 1
        WHERE kind = 'transfers' AND account = OLD.account AND word = OLD.phase;
    INSERT INTO counters VALUES ('transfers', NEW.account, NEW.phase, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER tasks_count_new AFTER INSERT ON tasks WHEN NEW.resolved_at IS NULL BEGIN
    INSERT INTO counters VALUES ('open_tasks', 0, '', 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER tasks_count_settled AFTER UPDATE OF resolved_at ON tasks
WHEN OLD.resolved_at IS NULL AND NEW.resolved_at IS NOT NULL BEGIN
    UPDATE counters SET count = count - 1 WHERE kind = 'open_tasks' AND account = 0 AND word = '';
END;
